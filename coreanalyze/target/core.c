#include "target/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/large.h"
#include "base/mapped.h"
#include "target/notes.h"

/* A core file, mapped whole. */
struct core {
    uint8_t *bytes;
    uint64_t size;
    Elf64_Ehdr header;
    uint64_t phdr_count;
    uint64_t wanted;               /* how large the file would be if nothing were cut */
    uint64_t noted;                /* bytes of notes that were read */
    uint64_t data_start, data_end; /* where the file was last seen to have no hole */
    bool blank;                    /* the segment that was read last */
};

static void destroy(struct ca_target *target)
{
    struct core *core = target->self;
    ca_large_forget(core->bytes, core->size);
    ca_mapped_destroy(core->bytes, core->size);
    free(core);
}

static struct ca_error *check(struct ca_target *target)
{
    const struct core *core = target->self;
    return ca_mapped_check(core->bytes, target->path ? target->path : "the core");
}

static bool changed(struct ca_target *target, uint64_t *before, uint64_t *now)
{
    const struct core *core = target->self;
    *before = core->size;
    return ca_mapped_changed(core->bytes, now);
}

static uint64_t hole(struct ca_target *target, const uint8_t *bytes)
{
    struct core *core = target->self;
    uint64_t at = (uint64_t)(bytes - core->bytes);
    if ((uintptr_t)bytes < (uintptr_t)core->bytes || at >= core->size)
        return 0; /* a file's */
    if (at < core->data_start || at >= core->data_end)
        ca_mapped_data(core->bytes, at, &core->data_start, &core->data_end);
    return core->data_start > at ? core->data_start - at : 0;
}

static struct ca_error *map_file(struct core *core, int fd, const char *path,
                                 struct ca_target *target)
{
    struct stat st;
    if (fstat(fd, &st))
        return ca_error_create(CA_ERROR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ca_error_create(CA_ERROR_FORMAT,
                               "%s is not a regular file: give a core file, or -p PID", path);
    if (!st.st_size)
        return ca_error_create(CA_ERROR_FORMAT,
                               "%s is empty: was there room on the disk, and is `ulimit -c` not 0?",
                               path);
    void *bytes = ca_mapped_create(fd, (size_t)st.st_size, false);
    if (!bytes)
        return ca_error_create(CA_ERROR_IO, "%s cannot be mapped: %s", path, strerror(errno));
    core->bytes = bytes;
    core->size = (uint64_t)st.st_size;
    target->wall_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return NULL;
}

static struct ca_error *open_file(struct core *core, const char *path, struct ca_target *target)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return ca_error_create(errno == EACCES ? CA_ERROR_PERMISSION : CA_ERROR_IO, "%s: %s", path,
                               strerror(errno));
    struct ca_error *error = map_file(core, fd, path, target);
    close(fd);
    return error;
}

static struct ca_error *not_elf(const struct core *core, const char *path)
{
    static const struct {
        const char *magic, *name, *tool; /* tool NULL: nothing here reads it */
        size_t size;
    } known[] = {
        {"MDMP", "a minidump", NULL, 4},
        {"\xcf\xfa\xed\xfe", "of macOS", NULL, 4},
        {"MZ", "of Windows", NULL, 2},
        {"\x28\xb5\x2f\xfd", "zstd", "zstd -d", 4},
        {"\x1f\x8b", "gzip", "gzip -d", 2},
        {"\xfd"
         "7zXZ",
         "xz", "xz -d", 5},
        {"\x04\x22\x4d\x18", "lz4", "lz4 -d", 4},
        {"BZh", "bzip2", "bzip2 -d", 3},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (core->size < known[i].size || memcmp(core->bytes, known[i].magic, known[i].size))
            continue;
        if (!known[i].tool)
            return ca_error_create(CA_ERROR_FORMAT,
                                   "%s is not a core file: it is %s; only ELF cores can be read",
                                   path, known[i].name);
        return ca_error_create(CA_ERROR_FORMAT,
                               "%s is compressed with %s: unpack it first (%s -c %s >core; what "
                               "systemd keeps: coredumpctl dump PID --output=core)",
                               path, known[i].name, known[i].tool, path);
    }
    return ca_error_create(CA_ERROR_FORMAT, "%s is not a core file: it is not an ELF file", path);
}

static struct ca_error *check_header(struct core *core, const char *path, struct ca_target *target)
{
    Elf64_Ehdr *header = &core->header;
    if (core->size < SELFMAG || memcmp(core->bytes, ELFMAG, SELFMAG))
        return not_elf(core, path);
    if (core->size >= EI_NIDENT &&
        (core->bytes[EI_CLASS] != ELFCLASS64 || core->bytes[EI_DATA] != ELFDATA2LSB))
        return ca_error_create(CA_ERROR_UNSUPPORTED,
                               "%s is of a 32-bit or big-endian machine: only 64-bit "
                               "little-endian targets (amd64, arm64) are supported",
                               path);
    if (core->size < sizeof(*header))
        return ca_error_create(CA_ERROR_FORMAT, "%s is cut within its first %zu bytes", path,
                               sizeof(*header));
    memcpy(header, core->bytes, sizeof(*header));
    if (header->e_type != ET_CORE)
        return ca_error_create(
            CA_ERROR_FORMAT,
            "%s is %s, not a core: give a core file, or -p PID (and the "
            "executable with --exe)",
            path, header->e_type == ET_REL ? "an object file" : "an executable or library");
    target->arch = header->e_machine == EM_X86_64    ? CA_ARCH_AMD64
                   : header->e_machine == EM_AARCH64 ? CA_ARCH_ARM64
                                                     : CA_ARCH_UNKNOWN;
    if (target->arch == CA_ARCH_UNKNOWN)
        return ca_error_create(CA_ERROR_UNSUPPORTED,
                               "%s is of a machine (ELF number %u) that is not supported: only "
                               "amd64 and arm64 are",
                               path, header->e_machine);
    return NULL;
}

/* How many program headers there are. More than 65534 are counted in section header 0. */
static struct ca_error *count_headers(struct core *core, const char *path, struct ca_gaps *gaps)
{
    const Elf64_Ehdr *header = &core->header;
    uint64_t count = header->e_phnum;
    if (count == PN_XNUM && header->e_shoff <= core->size &&
        core->size - header->e_shoff >= sizeof(Elf64_Shdr)) {
        Elf64_Shdr first;
        memcpy(&first, core->bytes + header->e_shoff, sizeof(first));
        count = first.sh_info;
    }
    if (!count || header->e_phentsize != sizeof(Elf64_Phdr))
        return ca_error_create(CA_ERROR_FORMAT, "%s holds no program headers: not a core", path);
    if (header->e_phoff > core->size)
        return ca_error_create(CA_ERROR_FORMAT, "%s is cut before its program headers", path);
    uint64_t there = (core->size - header->e_phoff) / sizeof(Elf64_Phdr);
    if (count > there) {
        ca_gaps_add(gaps, "the core", 0, "it is cut within its program headers: %llu of %llu",
                    (unsigned long long)there, (unsigned long long)count);
        core->wanted = core->size + 1;
        count = there;
    }
    core->phdr_count = count;
    return NULL;
}

static Elf64_Phdr phdr_at(const struct core *core, uint64_t i)
{
    Elf64_Phdr phdr;
    memcpy(&phdr, core->bytes + core->header.e_phoff + i * sizeof(phdr), sizeof(phdr));
    return phdr;
}

/* How many bytes of a program header's claim are in the file; remembers what is missing. */
static uint64_t bytes_there(struct core *core, const Elf64_Phdr *phdr)
{
    uint64_t end;
    if (__builtin_add_overflow(phdr->p_offset, phdr->p_filesz, &end))
        end = UINT64_MAX;
    if (phdr->p_filesz && end > core->wanted)
        core->wanted = end;
    if (phdr->p_offset >= core->size)
        return 0;
    uint64_t room = core->size - phdr->p_offset;
    return phdr->p_filesz < room ? phdr->p_filesz : room;
}

static bool is_plain(const Elf64_Phdr *phdr)
{
    return phdr->p_type == PT_LOAD && phdr->p_flags == (PF_R | PF_W);
}

/* Private memory that nobody ever wrote to is left out by the kernel (fs/coredump.c:
 * vma_dump_size). Bytes that somebody else left out are a gap in the file; and where such memory is
 * not wanted at all, what lies right before it is not there either. */
static bool is_blank(const struct core *core, uint64_t i, const Elf64_Phdr *phdr)
{
    if (!is_plain(phdr) || phdr->p_filesz || i == 0 || i + 1 >= core->phdr_count)
        return false;
    Elf64_Phdr before = phdr_at(core, i - 1), after = phdr_at(core, i + 1);
    return is_plain(&before) && before.p_vaddr + before.p_memsz == phdr->p_vaddr &&
           before.p_offset + before.p_filesz == phdr->p_offset &&
           (before.p_filesz == before.p_memsz || core->blank) && after.p_type == PT_LOAD &&
           after.p_offset == phdr->p_offset;
}

static struct ca_error *add_load(struct ca_target *target, struct core *core,
                                 const Elf64_Phdr *phdr, struct ca_gaps *gaps)
{
    uint64_t there = bytes_there(core, phdr);
    uint64_t span = phdr->p_memsz > there ? phdr->p_memsz : there;
    if (span > UINT64_MAX - phdr->p_vaddr) {
        ca_gaps_add(gaps, "a segment of the core", phdr->p_vaddr,
                    "it goes beyond the end of the address space");
        return NULL;
    }
    if (there &&
        !ca_vec_push(&target->segments, (struct ca_segment){phdr->p_vaddr, phdr->p_vaddr + there,
                                                            core->bytes + phdr->p_offset}))
        return &ca_error_nomem;
    if (span && !ca_vec_push(&target->mappings,
                             (struct ca_mapping){.start = phdr->p_vaddr,
                                                 .end = phdr->p_vaddr + span,
                                                 .flags = phdr->p_flags & (PF_R | PF_W | PF_X),
                                                 .blank = core->blank}))
        return &ca_error_nomem;
    return NULL;
}

/* Every byte of a core can be a note once, not once for each of a million headers. */
static struct ca_error *add_notes(struct ca_target *target, struct core *core,
                                  const Elf64_Phdr *phdr, struct ca_core_files *files,
                                  struct ca_gaps *gaps)
{
    uint64_t there = bytes_there(core, phdr);
    if (there > core->size - core->noted) {
        ca_gaps_add(gaps, "notes of the core", 0, "they overlap: those that come later are lost");
        return NULL;
    }
    core->noted += there;
    return there ? ca_core_read_notes(target, core->bytes + phdr->p_offset, there, files, gaps)
                 : NULL;
}

static struct ca_error *read_headers(struct ca_target *target, struct core *core,
                                     struct ca_core_files *files, struct ca_gaps *gaps)
{
    for (uint64_t i = 0; i < core->phdr_count; i++) {
        Elf64_Phdr phdr = phdr_at(core, i);
        struct ca_error *error = NULL;
        core->blank = is_blank(core, i, &phdr);
        if (phdr.p_type == PT_LOAD)
            error = add_load(target, core, &phdr, gaps);
        else if (phdr.p_type == PT_NOTE)
            error = add_notes(target, core, &phdr, files, gaps);
        if (error)
            return error;
    }
    return NULL;
}

static int by_start(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int segment_order(const void *a, const void *b)
{
    return by_start(((const struct ca_segment *)a)->start, ((const struct ca_segment *)b)->start);
}

static int mapping_order(const void *a, const void *b)
{
    return by_start(((const struct ca_mapping *)a)->start, ((const struct ca_mapping *)b)->start);
}

static int file_order(const void *a, const void *b)
{
    return by_start(((const struct ca_core_file *)a)->start,
                    ((const struct ca_core_file *)b)->start);
}

/* Sorts; where two overlap the one that starts first keeps the bytes; neighbours whose bytes are
 * neighbours here become one, so that reads across them are one copy. */
static void settle_segments(struct ca_target *target)
{
    struct ca_segment *data = target->segments.data;
    size_t kept = 0;
    if (target->segments.len)
        qsort(data, target->segments.len, sizeof(*data), segment_order);
    for (size_t i = 0; i < target->segments.len; i++) {
        struct ca_segment next = data[i];
        struct ca_segment *last = kept ? &data[kept - 1] : NULL;
        if (last && next.end <= last->end)
            continue;
        if (last && next.start < last->end) {
            next.bytes += last->end - next.start;
            next.start = last->end;
        }
        if (last && next.start == last->end &&
            next.bytes == last->bytes + (last->end - last->start))
            last->end = next.end;
        else
            data[kept++] = next;
    }
    target->segments.len = kept;
}

static void settle_mappings(struct ca_target *target)
{
    struct ca_mapping *data = target->mappings.data;
    size_t kept = 0;
    if (target->mappings.len)
        qsort(data, target->mappings.len, sizeof(*data), mapping_order);
    for (size_t i = 0; i < target->mappings.len; i++) {
        struct ca_mapping next = data[i];
        uint64_t edge = kept ? data[kept - 1].end : 0;
        if (next.end <= edge)
            continue;
        if (next.start < edge)
            next.start = edge;
        data[kept++] = next;
    }
    target->mappings.len = kept;
}

static void settle_files(struct ca_core_files *files)
{
    struct ca_core_file *data = files->list.data;
    size_t kept = 0;
    if (files->list.len)
        qsort(data, files->list.len, sizeof(*data), file_order);
    for (size_t i = 0; i < files->list.len; i++) {
        struct ca_core_file next = data[i];
        uint64_t edge = kept ? data[kept - 1].end : 0;
        if (next.end <= edge)
            continue;
        if (next.start < edge) {
            next.offset += edge - next.start;
            next.start = edge;
        }
        data[kept++] = next;
    }
    files->list.len = kept;
}

static struct ca_mapping file_mapping(const struct ca_core_file *file, uint64_t start, uint64_t end,
                                      uint32_t flags)
{
    return (struct ca_mapping){.start = start,
                               .end = end,
                               .flags = flags,
                               .file_offset = file->offset + (start - file->start),
                               .path = file->path,
                               .deleted = file->deleted};
}

/* Joins the core's segments with the kernel's list of files: cuts the segments where files begin
 * and end, and adds files for which there is no segment. Both lists are settled. */
static struct ca_error *join_files(struct ca_target *target, const struct ca_core_files *files)
{
    CA_VEC(struct ca_mapping) joined = {0};
    size_t m = 0, f = 0;
    uint64_t at = 0;
    if (!ca_vec_reserve(&joined, target->mappings.len * 2 + files->list.len * 2))
        return &ca_error_nomem;
    while (m < target->mappings.len || f < files->list.len) {
        const struct ca_mapping *map = m < target->mappings.len ? &target->mappings.data[m] : NULL;
        const struct ca_core_file *file = f < files->list.len ? &files->list.data[f] : NULL;
        if (map && map->end <= at) {
            m++;
            continue;
        }
        if (file && file->end <= at) {
            f++;
            continue;
        }
        uint64_t from = UINT64_MAX;
        if (map)
            from = map->start;
        if (file && file->start < from)
            from = file->start;
        if (from < at)
            from = at;
        bool in_map = map && map->start <= from, in_file = file && file->start <= from;
        uint64_t to = UINT64_MAX;
        if (map)
            to = in_map ? map->end : map->start;
        if (file) {
            uint64_t edge = in_file ? file->end : file->start;
            to = edge < to ? edge : to;
        }
        struct ca_mapping piece =
            in_file ? file_mapping(file, from, to, in_map ? map->flags : PF_R) : *map;
        piece.start = from;
        piece.end = to;
        if (!ca_vec_push(&joined, piece)) {
            ca_vec_deinit(&joined);
            return &ca_error_nomem;
        }
        at = to;
    }
    ca_vec_deinit(&target->mappings);
    target->mappings.data = joined.data;
    target->mappings.len = joined.len;
    target->mappings.cap = joined.cap;
    return NULL;
}

static void note_cut(struct ca_target *target, const struct core *core, struct ca_gaps *gaps)
{
    if (core->wanted <= core->size)
        return;
    target->complete = false;
    ca_gaps_add(gaps, "memory", 0,
                "the core is cut at %llu of %llu bytes: `ulimit -c`, the core_pattern's handler or "
                "a full disk may have ended it early",
                (unsigned long long)core->size, (unsigned long long)core->wanted);
}

static struct ca_error *fill(struct ca_target *target, struct core *core, const char *path,
                             struct ca_gaps *gaps)
{
    struct ca_core_files files = {0};
    target->path = ca_strings_intern(&target->strings, path, strlen(path));
    struct ca_error *error = target->path ? open_file(core, path, target) : &ca_error_nomem;
    if (!error)
        error = check_header(core, path, target);
    if (!error)
        error = count_headers(core, path, gaps);
    if (!error)
        error = read_headers(target, core, &files, gaps);
    if (!error) {
        settle_segments(target);
        settle_mappings(target);
        settle_files(&files);
        error = join_files(target, &files);
    }
    ca_vec_deinit(&files.list);
    if (error)
        return error;
    note_cut(target, core, gaps);
    if (!target->threads.len)
        ca_gaps_add(gaps, "threads", 0, "the core has no notes about threads");
    return NULL;
}

struct ca_error *ca_target_open_core(const char *path, struct ca_gaps *gaps, struct ca_target **ret)
{
    struct ca_target *target = ca_target_create(CA_TARGET_CORE);
    struct core *core = calloc(1, sizeof(*core));
    if (!target || !core) {
        free(core);
        ca_target_destroy(target);
        return &ca_error_nomem;
    }
    target->self = core;
    target->destroy = destroy;
    target->check = check;
    target->changed = changed;
    target->hole = hole;
    struct ca_error *error = fill(target, core, path, gaps);
    struct ca_error *lost = check(target);
    if (lost) {
        ca_error_destroy(error);
        error = lost;
    }
    if (error) {
        ca_target_destroy(target);
        return error;
    }
    *ret = target;
    return NULL;
}
