/* Opens a core of a described runtime again and again, in one process: with other random bytes in
 * its tasks, stacks, waited-for objects and variables, or with a description that random changes
 * have made a lie. Everything that a session can be asked is asked. A crash, a sanitizer's word, or
 * more than LIMIT seconds of processor time end it; what is answered does not matter.
 *
 *   fuzz_described core CORE EXECUTABLE DESCRIPTION|- SEEDS [FIRST]
 *   fuzz_described text CORE EXECUTABLE DESCRIPTION SEEDS [FIRST]
 *
 * DESCRIPTION -: what ships, or what the program has in itself.
 */
#include "ask.h"
#include "session.h"

enum {
    TASK = 1024, /* bytes from a task's struct on */
    STACK = 768,
    OBJECT = 128,
    DATA = 1 << 20, /* writable segments up to this size are variables */
    TEXT = 1 << 16,
};

struct region {
    uint64_t address, size;
};

enum { TASKS, STACKS, OBJECTS, VARIABLES, KINDS };
static struct kind {
    CA_VEC(struct region) list;
} kinds[KINDS];

static char text[TEXT], changed[2 * TEXT], text_path[64];
static size_t text_size, changed_size;
static int text_file = -1;

static struct copy core; /* that is changed */

static uint8_t *place_of(uint64_t address, uint64_t size)
{
    return place_in(&core, address, size);
}

/* ---- what to change ---- */

static void add(int kind, uint64_t address, uint64_t size)
{
    address &= ~7ull;
    while (size > 8 && !place_of(address, size))
        size /= 2;
    if (place_of(address, size))
        (void)ca_vec_push(&kinds[kind].list, (struct region){address, size});
}

static void add_variables(void)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)core.bytes;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(core.bytes + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (phdr[i].p_type == PT_LOAD && phdr[i].p_flags & PF_W && phdr[i].p_filesz <= DATA)
            add(VARIABLES, phdr[i].p_vaddr, phdr[i].p_filesz);
}

/* Learns from an undamaged session where the structures are. */
static void learn(const struct ca_options *options)
{
    struct ca_session *session;
    struct ca_error *error = ca_session_open_core(core.path, options, &session);
    if (error || !session->tasks.list.len) {
        fprintf(stderr, "fuzz_described: %s\n", error ? error->message : "it has no tasks");
        exit(2);
    }
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        add(TASKS, task->address, TASK);
        add(STACKS, task->sp, STACK);
        struct ca_wait room;
        const struct ca_wait *wait = ca_tasks_wait(&session->tasks, task, &room);
        if (wait && wait->has_address)
            add(OBJECTS, wait->channel.address, OBJECT);
    }
    ca_session_destroy(session);
    add_variables();
}

/* ---- changing the core ---- */

static struct region any_region(void)
{
    const struct kind *kind;
    do
        kind = &kinds[below(KINDS)];
    while (!kind->list.len);
    return kind->list.data[below(kind->list.len)];
}

static struct edit change(void)
{
    struct region region = any_region(), other = any_region();
    struct edit edit = edit_at(place_of(region.address + below(region.size / 8) * 8, 8));
    uint64_t word;
    memcpy(&word, edit.at, 8);
    if (below(4)) {
        word = bad_word(word, other.address, other.size);
        memcpy(edit.at, &word, 8);
    } else {
        edit.at[below(8)] = (uint8_t)next_random();
    }
    return edit;
}

/* ---- changing the description ---- */

/* Puts `size` bytes in the place of `cut` bytes at `at`. */
static void replace_at(size_t at, size_t cut, const char *with, size_t size)
{
    char kept[4096];
    if (at > changed_size || size > sizeof(kept))
        return;
    if (cut > changed_size - at)
        cut = changed_size - at;
    if (changed_size - cut + size > sizeof(changed))
        return;
    memcpy(kept, with, size);
    memmove(changed + at + size, changed + at + cut, changed_size - at - cut);
    memcpy(changed + at, kept, size);
    changed_size += size - cut;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '&' || c == '*';
}

/* The word of the text that is around a place. */
static size_t word_at(const char *in, size_t size, size_t at, size_t *start)
{
    while (at && is_word(in[at - 1]))
        at--;
    *start = at;
    while (at < size && is_word(in[at]))
        at++;
    return at - *start;
}

static size_t line_at(size_t at, size_t *start)
{
    while (at && changed[at - 1] != '\n')
        at--;
    *start = at;
    while (at < changed_size && changed[at] != '\n')
        at++;
    return at - *start + (at < changed_size);
}

static void change_text(void)
{
    static const char *const signs[] = {"0",
                                        "-1",
                                        "0xffffffffffffffff",
                                        "0x7fffffffffffffff",
                                        "4096",
                                        ".",
                                        "^",
                                        "&.",
                                        "*",
                                        ".[1]",
                                        " as u8",
                                        " as code*",
                                        " in ",
                                        " + 8",
                                        " - 0x1000",
                                        " & 0xff",
                                        " >> 3",
                                        "[.x]",
                                        " demangled",
                                        " | ",
                                        " && ",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        ", ",
                                        ": ",
                                        "\n",
                                        "  ",
                                        "?",
                                        "ring",
                                        "list",
                                        "tree",
                                        "scan",
                                        "array",
                                        "vector",
                                        "cycle",
                                        "each",
                                        "exclude",
                                        "count",
                                        "end",
                                        "any-of",
                                        "object-ring",
                                        "cases"};
    const char *sign = signs[below(sizeof(signs) / sizeof(*signs))];
    size_t at = below(changed_size), start, other,
           size = word_at(changed, changed_size, at, &start);
    char byte = (char)below(256);
    switch (below(9)) {
    case 0:
        replace_at(at, 1, &byte, 1);
        break;
    case 1:
        replace_at(at, 1 + below(12), "", 0);
        break;
    case 2: /* one word for another */
    case 3: {
        size_t length = word_at(text, text_size, below(text_size), &other);
        replace_at(start, size, text + other, length < 64 ? length : 64);
        break;
    }
    case 4:
        replace_at(start, size, sign, strlen(sign));
        break;
    case 5:
        replace_at(start + size, 0, sign, strlen(sign));
        break;
    case 6: /* a line twice */
        size = line_at(at, &start);
        replace_at(start, 0, changed + start, size);
        break;
    case 7:
        changed_size = below(8) ? changed_size : at;
        break;
    default:
        replace_at(start, size, "0x10000000", below(11));
        break;
    }
    if (!changed_size)
        changed[changed_size++] = '#';
}

static void write_text(void)
{
    memcpy(changed, text, text_size);
    changed_size = text_size;
    for (uint64_t n = 1 + below(6); n; n--)
        change_text();
    if (ftruncate(text_file, 0) ||
        pwrite(text_file, changed, changed_size, 0) != (ssize_t)changed_size)
        die("memfd");
}

static void read_text(const char *from)
{
    int in = open(from, O_RDONLY);
    ssize_t got = in < 0 ? -1 : read(in, text, sizeof(text));
    text_file = memfd_create("text", 0);
    if (got <= 0 || text_file < 0)
        die(from);
    close(in);
    text_size = (size_t)got;
    snprintf(text_path, sizeof(text_path), "/proc/self/fd/%d", text_file);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv, 4, "core|text CORE EXECUTABLE DESCRIPTION");
    bool lie = strcmp(argv[1], "text") == 0;
    const char *files[] = {argv[4], NULL};
    struct ca_options options = {.size = sizeof(options), .exe = argv[3], .threshold = 5};
    if (strcmp(argv[4], "-") != 0)
        options.runtime_files = files;
    copy_file(argv[2], &core);
    learn(&options);
    if (lie) {
        read_text(argv[4]);
        files[0] = text_path;
    }
    while (next_seed()) {
        options.check = lie && seed & 1 ? text_path : NULL;
        if (lie)
            write_text();
        else
            damage(change, EDITS_MAX);
        try_session(core.path, &options);
        mend();
    }
    say_result();
    printf("\n");
    return 0;
}
