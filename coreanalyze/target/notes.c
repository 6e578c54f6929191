#include "target/notes.h"

#include <elf.h>
#include <string.h>

/* Sizes and places are those of the kernel's struct elf_prstatus and elf_prpsinfo of 64-bit
 * machines (include/uapi/linux/elfcore.h), equal on amd64 and arm64 but for the registers. */
enum {
    PRSTATUS_SIGNAL = 12,
    PRSTATUS_PID = 32,
    PRSTATUS_REGS = 112,
    AMD64_REGS = 27 * 8,
    ARM64_REGS = 34 * 8,
    PRPSINFO_PID = 24,
    PRPSINFO_NAME = 40,
    PRPSINFO_NAME_SIZE = 16,
};

static uint64_t u64_at(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return value;
}

static uint32_t u32_at(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, 4);
    return value;
}

static void amd64_regs(const uint8_t *bytes, struct ca_regs *regs, uint64_t *tls)
{
    /* Places in struct user_regs_struct of rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8..r15, rip. */
    static const uint8_t place[] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16};
    for (unsigned i = 0; i < sizeof(place); i++)
        regs->value[i] = u64_at(bytes + 8 * place[i]);
    regs->known = (1ull << sizeof(place)) - 1;
    /* qemu-user puts the selector of fs here, which is no address. */
    uint64_t base = u64_at(bytes + 8 * 21);
    *tls = base > 0xffff ? base : 0;
}

void ca_regs_from_kernel(enum ca_arch arch, const uint8_t *bytes, size_t size, struct ca_regs *regs,
                         uint64_t *tls)
{
    memset(regs, 0, sizeof(*regs));
    if (arch == CA_ARCH_AMD64 && size >= AMD64_REGS) {
        amd64_regs(bytes, regs, tls);
    } else if (arch == CA_ARCH_ARM64 && size >= ARM64_REGS - 8) {
        /* x0..x30, sp, pc, as DWARF counts them; pstate is not needed. */
        for (unsigned i = 0; i < 33; i++)
            regs->value[i] = u64_at(bytes + 8 * i);
        regs->known = (1ull << 33) - 1;
    }
}

const char *ca_path_intern(struct ca_target *target, const char *path, size_t size, bool *deleted)
{
    static const char tail[] = " (deleted)";
    size_t cut = sizeof(tail) - 1;
    *deleted = size > cut && !memcmp(path + size - cut, tail, cut);
    return ca_strings_intern(&target->strings, path, *deleted ? size - cut : size);
}

static struct ca_error *read_prstatus(struct ca_target *target, const uint8_t *desc, size_t size,
                                      struct ca_gaps *gaps)
{
    if (size < PRSTATUS_REGS) {
        ca_gaps_add(gaps, "a thread", 0, "its note in the core is too short (%zu bytes)", size);
        return NULL;
    }
    struct ca_thread thread = {
        .tid = (int32_t)u32_at(desc + PRSTATUS_PID),
        .signal = (int16_t)(desc[PRSTATUS_SIGNAL] | desc[PRSTATUS_SIGNAL + 1] << 8),
    };
    ca_regs_from_kernel(target->arch, desc + PRSTATUS_REGS, size - PRSTATUS_REGS, &thread.regs,
                        &thread.tls);
    if (!thread.regs.known)
        ca_gaps_add(gaps, "registers of a thread", 0,
                    "the note of thread %lld in the core is too short (%zu bytes)",
                    (long long)thread.tid, size);
    if (!target->threads.len && thread.signal > 0)
        target->signal = thread.signal;
    return ca_vec_push(&target->threads, thread) ? NULL : &ca_error_nomem;
}

static void read_prpsinfo(struct ca_target *target, const uint8_t *desc, size_t size)
{
    if (size < PRPSINFO_NAME + PRPSINFO_NAME_SIZE)
        return;
    target->pid = (int32_t)u32_at(desc + PRPSINFO_PID);
    memcpy(target->program, desc + PRPSINFO_NAME, PRPSINFO_NAME_SIZE);
    target->program[PRPSINFO_NAME_SIZE] = 0;
}

static struct ca_error *read_auxv(struct ca_target *target, const uint8_t *desc, size_t size)
{
    for (; size >= 16; desc += 16, size -= 16) {
        struct ca_auxv entry = {u64_at(desc), u64_at(desc + 8)};
        if (entry.type == AT_NULL)
            break;
        if (!ca_vec_push(&target->auxv, entry))
            return &ca_error_nomem;
    }
    return NULL;
}

/* count, page size; count times start, end, offset in pages; then count names. */
static struct ca_error *read_files(struct ca_target *target, const uint8_t *desc, size_t size,
                                   struct ca_core_files *files, struct ca_gaps *gaps)
{
    uint64_t count = size >= 16 ? u64_at(desc) : 0, page = size >= 16 ? u64_at(desc + 8) : 0;
    if (size < 16 || count > (size - 16) / 24) {
        ca_gaps_add(gaps, "mapped files", 0, "the core's list of mapped files is damaged");
        return NULL;
    }
    const char *name = (const char *)desc + 16 + 24 * count, *end = (const char *)desc + size;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *entry = desc + 16 + 24 * i;
        size_t room = (size_t)(end - name), len = strnlen(name, room);
        if (len == room) {
            ca_gaps_add(gaps, "mapped files", 0,
                        "the names in the core's list of mapped files end after %llu of %llu",
                        (unsigned long long)i, (unsigned long long)count);
            return NULL;
        }
        struct ca_core_file file = {.start = u64_at(entry), .end = u64_at(entry + 8)};
        file.path = ca_path_intern(target, name, len, &file.deleted);
        if (!file.path)
            return &ca_error_nomem;
        name += len + 1;
        if (__builtin_mul_overflow(u64_at(entry + 16), page, &file.offset) ||
            file.start >= file.end)
            continue;
        if (!ca_vec_push(&files->list, file))
            return &ca_error_nomem;
    }
    return NULL;
}

/* Notes about the thread whose NT_PRSTATUS came last. */
static void read_thread_note(struct ca_target *target, uint32_t type, const uint8_t *desc,
                             size_t size)
{
    if (!target->threads.len)
        return;
    struct ca_thread *thread = &target->threads.data[target->threads.len - 1];
    switch (type) {
    case NT_X86_XSTATE:
    case NT_PRFPREG:
        /* The wider one wins; it holds the other. */
        if (type == NT_X86_XSTATE || !thread->vector) {
            thread->vector = desc;
            thread->vector_size = size;
        }
        break;
    case NT_ARM_TLS:
        if (target->arch == CA_ARCH_ARM64 && size >= 8)
            thread->tls = u64_at(desc);
        break;
    case NT_SIGINFO:
        if (target->threads.len == 1 && !target->signal && size >= 4)
            target->signal = (int32_t)u32_at(desc) > 0 ? (int32_t)u32_at(desc) : 0;
        break;
    }
}

static struct ca_error *read_note(struct ca_target *target, uint32_t type, const uint8_t *desc,
                                  size_t size, struct ca_core_files *files, struct ca_gaps *gaps)
{
    switch (type) {
    case NT_PRSTATUS:
        return read_prstatus(target, desc, size, gaps);
    case NT_PRPSINFO:
        read_prpsinfo(target, desc, size);
        return NULL;
    case NT_AUXV:
        return target->auxv.len ? NULL : read_auxv(target, desc, size);
    case NT_FILE:
        return read_files(target, desc, size, files, gaps);
    default:
        read_thread_note(target, type, desc, size);
        return NULL;
    }
}

struct ca_error *ca_core_read_notes(struct ca_target *target, const uint8_t *bytes, uint64_t size,
                                    struct ca_core_files *files, struct ca_gaps *gaps)
{
    uint64_t at = 0;
    while (size - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr header;
        memcpy(&header, bytes + at, sizeof(header));
        uint64_t name = at + sizeof(header);
        uint64_t desc = name + (((uint64_t)header.n_namesz + 3) & ~3ull);
        if (desc > size || header.n_descsz > size - desc) {
            ca_gaps_add(gaps, "notes of the core", 0,
                        "a note claims more bytes than there are: what follows it is lost");
            return NULL;
        }
        /* Vendors' notes ("GNU", "QEMU", "Go") reuse the numbers with other meanings. */
        bool kernel = (header.n_namesz == 5 && !memcmp(bytes + name, "CORE", 5)) ||
                      (header.n_namesz == 6 && !memcmp(bytes + name, "LINUX", 6));
        if (kernel) {
            struct ca_error *error =
                read_note(target, header.n_type, bytes + desc, header.n_descsz, files, gaps);
            if (error)
                return error;
        }
        at = desc + (((uint64_t)header.n_descsz + 3) & ~3ull);
        if (at > size)
            break;
    }
    return NULL;
}
