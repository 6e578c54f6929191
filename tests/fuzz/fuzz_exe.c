/* Opens a core again and again, each time with other damage in its executable: headers, sections,
 * symbols, line tables, debug information, and in the headers and notes of the core itself. It is
 * asked everything. A crash, a sanitizer's word, or more than LIMIT seconds of processor time end
 * it. Sections that are compressed should be unpacked first: damage does not get far into them.
 *
 *   fuzz_exe CORE EXECUTABLE SEEDS [FIRST]
 */
#include "ask.h"
#include "base/vec.h"

enum { HEAD = 4096, EDIT = 8 };

/* Bytes that are changed. Ranges are equally likely, whatever their size. */
struct range {
    uint8_t *at;
    uint64_t size;
};

static CA_VEC(struct range) ranges;
static struct copy core, exe;

static void add(struct copy *copy, uint64_t at, uint64_t size)
{
    if (at > copy->size || size > copy->size - at || size < EDIT)
        return;
    if (!ca_vec_push(&ranges, (struct range){copy->bytes + at, size}))
        die("no memory");
    /* Tables have their most important words in front. */
    if (size > 4 * HEAD && !ca_vec_push(&ranges, (struct range){copy->bytes + at, 128}))
        die("no memory");
}

/* Only what can be read of a program: its code is not. */
static void add_sections(struct copy *copy)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)copy->bytes;
    if (header->e_shoff > copy->size ||
        header->e_shnum * sizeof(Elf64_Shdr) > copy->size - header->e_shoff)
        return;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(copy->bytes + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type != SHT_NOBITS && !(sections[i].sh_flags & SHF_EXECINSTR))
            add(copy, sections[i].sh_offset, sections[i].sh_size);
    for (int i = 0; i < 4; i++)
        add(copy, header->e_shoff, header->e_shnum * sizeof(Elf64_Shdr));
}

static void add_headers(struct copy *copy)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)copy->bytes;
    const Elf64_Phdr *phdrs = (const Elf64_Phdr *)(copy->bytes + header->e_phoff);
    for (int i = 0; i < 2; i++) {
        add(copy, 0, sizeof(*header));
        add(copy, header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr));
    }
    for (int i = 0; i < header->e_phnum; i++)
        if (phdrs[i].p_type == PT_NOTE)
            add(copy, phdrs[i].p_offset, phdrs[i].p_filesz);
}

static uint64_t bad_number(uint64_t before)
{
    switch (below(9)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - below(64);
    case 2:
        return before ^ 1ull << below(64);
    case 3:
        return before + below(65) - 32;
    case 4:
        return before << 32 | before >> 32;
    case 5:
        return below(1 << 20);
    case 6:
        return (before & ~0xffffffffull) | below(1ull << 32);
    case 7:
        return 0x8080808080808080ull | next_random(); /* LEB128 without an end */
    default:
        return next_random();
    }
}

/* As often a byte, or a word that another place has. */
static struct edit change(void)
{
    struct range range = ranges.data[below(ranges.len)], other = ranges.data[below(ranges.len)];
    uint64_t at = below(range.size - EDIT + 1), word;
    struct edit edit = edit_at(range.at + (below(2) ? at / EDIT * EDIT : at));
    memcpy(&word, edit.at, EDIT);
    switch (below(4)) {
    case 0:
        edit.at[below(EDIT)] = (uint8_t)next_random();
        return edit;
    case 1:
        memcpy(edit.at, (below(2) ? range : other).at, EDIT);
        return edit;
    default:
        word = bad_number(word);
        memcpy(edit.at, &word, EDIT);
        return edit;
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv, 2, "CORE EXECUTABLE");
    copy_file(argv[1], &core);
    copy_file(argv[2], &exe);
    struct ca_options options = {
        .size = sizeof(options), .exe = exe.path, .threshold = 5, .force = true};
    add_headers(&exe);
    add_sections(&exe);
    add_headers(&core);
    while (next_seed()) {
        damage(change, 12);
        try_session(core.path, &options);
        mend();
    }
    say_result();
    printf("; %zu ranges\n", ranges.len);
    return 0;
}
