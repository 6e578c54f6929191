#include "target/export.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 1 << 20 };

static size_t header_count(size_t mappings)
{
    return 1 + mappings;
}

/* As a kernel chooses by default (core_pattern(5), coredump_filter 0x33): what may have been
 * written, whole; of a file's pages the first, which hold its build id. */
static uint64_t wanted(const struct ca_mapping *mapping)
{
    if (!(mapping->flags & PF_R))
        return 0;
    if ((mapping->flags & PF_W) || !mapping->path || mapping->path[0] != '/')
        return mapping->end - mapping->start;
    return !mapping->file_offset && mapping->end - mapping->start >= PAGE ? PAGE : 0;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, size - 1);
}

/* Pages that are zero stay holes. Pages that cannot be read do, too: guard pages and devices. */
static struct ca_error *put_pages(const struct ca_export *export, int fd, uint64_t address,
                                  uint8_t *buffer, size_t size, uint64_t at)
{
    bool whole = ca_target_read(export->target, address, buffer, size);
    for (size_t page = 0; page < size; page += PAGE) {
        size_t length = size - page < PAGE ? size - page : PAGE;
        if (!whole && !ca_target_read(export->target, address + page, buffer + page, length))
            continue;
        if (all_zero(buffer + page, length))
            continue;
        struct ca_error *error = ca_export_put(fd, buffer + page, length, at + page);
        if (error)
            return error;
    }
    return NULL;
}

static struct ca_error *put_memory(const struct ca_export *export, int fd,
                                   const Elf64_Phdr *segments, size_t count, uint64_t total)
{
    uint8_t *buffer = malloc(PIECE);
    if (!buffer)
        return &ca_error_nomem;
    struct ca_error *error = NULL;
    uint64_t written = 0;
    for (size_t i = 0; i < count && !error; i++) {
        const Elf64_Phdr *segment = &segments[i];
        for (uint64_t done = 0; done < segment->p_filesz && !error; done += PIECE) {
            uint64_t left = segment->p_filesz - done;
            size_t size = left < PIECE ? (size_t)left : PIECE;
            error = put_pages(export, fd, segment->p_vaddr + done, buffer, size,
                              segment->p_offset + done);
            written += size;
            if (!error)
                error = ca_export_poll(export, written, total);
        }
    }
    free(buffer);
    return error;
}

static Elf64_Ehdr elf_header(const struct ca_target *target, size_t count, uint64_t table)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = target->arch == CA_ARCH_ARM64 ? EM_AARCH64 : EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = table,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = count < PN_XNUM ? (Elf64_Half)count : PN_XNUM,
    };
    if (count >= PN_XNUM) {
        header.e_shoff = sizeof(header);
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = 1;
    }
    return header;
}

static struct ca_error *put_file(const struct ca_export *export, int fd, Elf64_Phdr *table,
                                 const struct ca_buf *notes)
{
    const struct ca_target *target = export->target;
    size_t count = header_count(target->mappings.len);
    uint64_t table_at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr);
    uint64_t at = table_at + count * sizeof(Elf64_Phdr);
    table[0] =
        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = at, .p_filesz = notes->len, .p_align = 4};
    at = (at + notes->len + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    uint64_t first = at;
    for (size_t i = 0; i < target->mappings.len; i++) {
        const struct ca_mapping *mapping = &target->mappings.data[i];
        table[i + 1] = (Elf64_Phdr){.p_type = PT_LOAD,
                                    .p_flags = mapping->flags,
                                    .p_offset = at,
                                    .p_vaddr = mapping->start,
                                    .p_filesz = wanted(mapping),
                                    .p_memsz = mapping->end - mapping->start,
                                    .p_align = PAGE};
        if (__builtin_add_overflow(at, table[i + 1].p_filesz, &at) || at > INT64_MAX - PAGE)
            return ca_error_create(CA_ERROR_UNSUPPORTED,
                                   "the mappings are larger together than a file can be");
        at = (at + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    }
    Elf64_Ehdr header = elf_header(target, count, table_at);
    Elf64_Shdr extended = {.sh_info = (Elf64_Word)count};
    if (ftruncate(fd, (off_t)at))
        return ca_error_create(CA_ERROR_IO, "the new core: %s", strerror(errno));
    struct ca_error *error = ca_export_put(fd, &header, sizeof(header), 0);
    if (!error)
        error = ca_export_put(fd, &extended, sizeof(extended), sizeof(header));
    if (!error)
        error = ca_export_put(fd, table, count * sizeof(Elf64_Phdr), table_at);
    if (!error)
        error = ca_export_put(fd, notes->data, notes->len, table[0].p_offset);
    if (!error)
        error = put_memory(export, fd, table + 1, count - 1, at - first);
    return error;
}

struct ca_error *ca_export_dump(const struct ca_export *export, int fd)
{
    size_t count = header_count(export->target->mappings.len);
    Elf64_Phdr *table = calloc(count, sizeof(*table));
    struct ca_buf notes = {0};
    ca_export_notes(export, NULL, 0, &notes);
    struct ca_error *error =
        !table || notes.failed ? &ca_error_nomem : put_file(export, fd, table, &notes);
    ca_buf_deinit(&notes);
    free(table);
    return error;
}
