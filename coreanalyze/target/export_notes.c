#include "target/export.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The kernel's struct elf_prstatus and elf_prpsinfo of 64-bit machines
 * (include/uapi/linux/elfcore.h). */
enum {
    PRSTATUS_SIGNAL = 12,
    PRSTATUS_PID = 32,
    PRSTATUS_REGS = 112,
    AMD64_WORDS = 27,
    ARM64_WORDS = 34,
    PRPSINFO_SIZE = 136,
    PRPSINFO_PID = 24,
    PRPSINFO_NAME = 40,
    PRPSINFO_NAME_SIZE = 16,
};

enum { AMD64_CS = 17, AMD64_FLAGS = 18, AMD64_SS = 20, AMD64_FS_BASE = 21 };

static void add_note(struct ca_buf *buf, const char *name, uint32_t type, const void *desc,
                     size_t size)
{
    static const char zero[4];
    Elf64_Nhdr header = {(uint32_t)strlen(name) + 1, (uint32_t)size, type};
    ca_buf_add(buf, (const char *)&header, sizeof(header));
    ca_buf_add(buf, name, header.n_namesz);
    ca_buf_add(buf, zero, -header.n_namesz & 3);
    ca_buf_add(buf, desc, size);
    ca_buf_add(buf, zero, -size & 3);
}

/* ca_regs_from_kernel the other way round. */
static size_t kernel_regs(enum ca_arch arch, const struct ca_regs *regs, uint64_t tls,
                          uint64_t *words)
{
    static const uint8_t place[] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16};
    memset(words, 0, ARM64_WORDS * 8);
    if (arch == CA_ARCH_ARM64) {
        for (unsigned i = 0; i < 33; i++)
            words[i] = regs->known >> i & 1 ? regs->value[i] : 0;
        return ARM64_WORDS;
    }
    for (unsigned i = 0; i < sizeof(place); i++)
        words[place[i]] = regs->known >> i & 1 ? regs->value[i] : 0;
    /* What Linux gives every 64-bit program. */
    words[AMD64_CS] = 0x33;
    words[AMD64_SS] = 0x2b;
    words[AMD64_FLAGS] = 0x202;
    words[AMD64_FS_BASE] = tls;
    return AMD64_WORDS;
}

static void add_prstatus(struct ca_buf *buf, enum ca_arch arch, int64_t tid, int signal,
                         const struct ca_regs *regs, uint64_t tls)
{
    uint64_t words[ARM64_WORDS];
    uint8_t desc[PRSTATUS_REGS + sizeof(words) + 8] = {0};
    int32_t pid = (int32_t)tid;
    int16_t number = (int16_t)signal;
    size_t count = kernel_regs(arch, regs, tls, words);
    memcpy(desc, &signal, 4); /* si_signo */
    memcpy(desc + PRSTATUS_SIGNAL, &number, 2);
    memcpy(desc + PRSTATUS_PID, &pid, 4);
    memcpy(desc + PRSTATUS_REGS, words, 8 * count);
    add_note(buf, "CORE", NT_PRSTATUS, desc, PRSTATUS_REGS + 8 * count + 8);
    if (arch == CA_ARCH_ARM64 && tls)
        add_note(buf, "LINUX", NT_ARM_TLS, &tls, 8);
}

/* NT_PRPSINFO of a core's own notes, or of what the target knows. */
static void process_info(const struct ca_target *target, const uint8_t *own, size_t size,
                         uint8_t ret[PRPSINFO_SIZE])
{
    memset(ret, 0, PRPSINFO_SIZE);
    int32_t pid = target->pid == CA_UNKNOWN ? 0 : (int32_t)target->pid;
    memcpy(ret + PRPSINFO_PID, &pid, 4);
    memcpy(ret + PRPSINFO_NAME, target->program, PRPSINFO_NAME_SIZE - 1);
    memcpy(ret + PRPSINFO_NAME + PRPSINFO_NAME_SIZE, target->program, sizeof(target->program));
    for (size_t at = 0; size - at >= sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr header;
        memcpy(&header, own + at, sizeof(header));
        size_t desc = at + sizeof(header) + (((size_t)header.n_namesz + 3) & ~(size_t)3);
        if (desc > size || header.n_descsz > size - desc)
            return;
        if (header.n_type == NT_PRPSINFO && header.n_namesz == 5 &&
            header.n_descsz == PRPSINFO_SIZE)
            memcpy(ret, own + desc, PRPSINFO_SIZE);
        at = desc + (((size_t)header.n_descsz + 3) & ~(size_t)3);
        if (at > size)
            return;
    }
}

static void add_files(struct ca_buf *buf, const struct ca_target *target)
{
    struct ca_buf desc = {0}, names = {0};
    uint64_t head[2] = {0, 1}; /* count; offsets are in bytes */
    ca_buf_add(&desc, (const char *)head, sizeof(head));
    for (size_t i = 0; i < target->mappings.len; i++) {
        const struct ca_mapping *mapping = &target->mappings.data[i];
        if (!mapping->path || mapping->path[0] != '/')
            continue;
        uint64_t entry[3] = {mapping->start, mapping->end, mapping->file_offset};
        ca_buf_add(&desc, (const char *)entry, sizeof(entry));
        ca_buf_add(&names, mapping->path, strlen(mapping->path) + 1);
        head[0]++;
    }
    if (desc.data)
        memcpy(desc.data, head, sizeof(head));
    if (names.data)
        ca_buf_add(&desc, names.data, names.len);
    buf->failed |= desc.failed | names.failed;
    if (head[0])
        add_note(buf, "CORE", NT_FILE, desc.data, desc.len);
    ca_buf_deinit(&desc);
    ca_buf_deinit(&names);
}

/* The notes that a kernel would have written. */
static void add_own(struct ca_buf *buf, const struct ca_target *target)
{
    uint8_t info[PRPSINFO_SIZE];
    process_info(target, NULL, 0, info);
    for (size_t i = 0; i < target->threads.len; i++) {
        const struct ca_thread *thread = &target->threads.data[i];
        add_prstatus(buf, target->arch, thread->tid, thread->signal, &thread->regs, thread->tls);
        if (i)
            continue;
        add_note(buf, "CORE", NT_PRPSINFO, info, sizeof(info));
        if (target->auxv.len) {
            struct ca_buf auxv = {0};
            struct ca_auxv end = {0, 0};
            ca_buf_add(&auxv, (const char *)target->auxv.data,
                       target->auxv.len * sizeof(struct ca_auxv));
            ca_buf_add(&auxv, (const char *)&end, sizeof(end));
            buf->failed |= auxv.failed;
            if (!auxv.failed)
                add_note(buf, "CORE", NT_AUXV, auxv.data, auxv.len);
            ca_buf_deinit(&auxv);
        }
        add_files(buf, target);
    }
}

/* lldb names a thread by the NT_PRPSINFO behind its NT_PRSTATUS; both debuggers take the last one
 * for the process's. So the last task bears the program's own. */
static void add_tasks(struct ca_buf *buf, const struct ca_export *export,
                      const uint8_t info[PRPSINFO_SIZE])
{
    for (size_t i = 0; i < export->count && !buf->failed; i++) {
        const struct ca_export_thread *thread = &export->threads[i];
        uint8_t named[PRPSINFO_SIZE];
        memcpy(named, info, PRPSINFO_SIZE);
        if (i + 1 < export->count) {
            memset(named + PRPSINFO_NAME, 0, PRPSINFO_NAME_SIZE);
            memcpy(named + PRPSINFO_NAME, thread->name,
                   strnlen(thread->name, PRPSINFO_NAME_SIZE - 1));
        }
        /* No thread pointer: a task has none of its own, and who looks for the thread that runs
         * it must not find two. */
        add_prstatus(buf, export->target->arch, thread->tid, 0, &thread->regs, 0);
        add_note(buf, "CORE", NT_PRPSINFO, named, sizeof(named));
    }
}

void ca_export_notes(const struct ca_export *export, const uint8_t *own, size_t own_size,
                     struct ca_buf *ret)
{
    uint8_t info[PRPSINFO_SIZE];
    process_info(export->target, own, own_size, info);
    if (own) {
        static const char zero[4];
        ca_buf_add(ret, (const char *)own, own_size);
        ca_buf_add(ret, zero, -own_size & 3);
    } else {
        add_own(ret, export->target);
    }
    struct ca_buf names = {0};
    for (size_t i = 0; i < export->count; i++)
        ca_buf_printf(&names, "%" PRId64 " %s\n", export->threads[i].tid, export->threads[i].name);
    if (names.data)
        add_note(ret, CA_EXPORT_NOTE, CA_EXPORT_NOTE_NAMES, names.data, names.len);
    ret->failed |= names.failed;
    ca_buf_deinit(&names);
    add_tasks(ret, export, info);
}
