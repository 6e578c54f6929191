#include "target/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "target/procfs.h"
#include "target/trace.h"

#if defined(__x86_64__)
#define NATIVE_ARCH CA_ARCH_AMD64
#elif defined(__aarch64__)
#define NATIVE_ARCH CA_ARCH_ARM64
#else
#define NATIVE_ARCH CA_ARCH_UNKNOWN
#endif

enum {
    PIECES = 1024, /* IOV_MAX */
    BYTES_AT_ONCE = 256 << 20,
};

struct live {
    struct ca_trace trace;
    pid_t tid;  /* a thread that lives: the first one may have ended before the others */
    int memory; /* /proc/TID/mem, or -1 */
    bool by_file;
    CA_VEC(uint8_t *) vectors; /* what the threads' vector points to */
};

/* One bulk read; the file is for kernels and filters without the call. */
static bool load(struct ca_target *target, uint64_t address, void *buffer, size_t size)
{
    struct live *live = target->self;
    if (!live->by_file) {
        struct iovec here = {buffer, size}, there = {(void *)(uintptr_t)address, size};
        ssize_t got = process_vm_readv(live->tid, &here, 1, &there, 1, 0);
        if (got >= 0 || errno == EFAULT || errno == ESRCH)
            return got >= 0 && (size_t)got == size;
        live->by_file = true;
    }
    return live->memory >= 0 && address <= INT64_MAX &&
           pread(live->memory, buffer, size, (off_t)address) == (ssize_t)size;
}

/* The pieces from the first on: they are many and lie close together, so one call copies a thousand
 * of them. */
static size_t load_pieces(struct ca_target *target, const struct ca_piece *pieces, size_t count)
{
    struct live *live = target->self;
    size_t all = 0;
    for (size_t i = 0; i < count;) {
        struct iovec here[PIECES], there[PIECES];
        size_t n = 0, wanted = 0;
        for (; n < PIECES && i + n < count && wanted < BYTES_AT_ONCE; n++) {
            const struct ca_piece *piece = &pieces[i + n];
            here[n] = (struct iovec){piece->to, piece->size};
            there[n] = (struct iovec){(void *)(uintptr_t)piece->address, piece->size};
            wanted += piece->size;
        }
        ssize_t got = live->by_file ? -1 : process_vm_readv(live->tid, here, n, there, n, 0);
        if (got < 0 && !load(target, pieces[i].address, pieces[i].to, pieces[i].size))
            return all;
        if (got < 0) {
            got = (ssize_t)pieces[i].size;
            wanted = pieces[i].size;
            n = 1;
        }
        all += (size_t)got;
        if ((size_t)got < wanted)
            return all;
        i += n;
    }
    return all;
}

static void release(struct ca_target *target)
{
    struct live *live = target->self;
    bool stopped = live->trace.list.len != 0;
    ca_trace_release(&live->trace);
    /* What it does from here on is no part of the picture. */
    target->load = NULL;
    if (stopped)
        target->stopped_ns += ca_monotonic_ns() - live->trace.first_ns;
}

static void destroy(struct ca_target *target)
{
    struct live *live = target->self;
    ca_trace_deinit(&live->trace);
    for (size_t i = 0; i < live->vectors.len; i++)
        free(live->vectors.data[i]);
    ca_vec_deinit(&live->vectors);
    if (live->memory >= 0)
        close(live->memory);
    free(live);
}

/* A thread that has not ended, the first one if possible; 0: there is none. */
static pid_t living_thread(int64_t pid)
{
    struct ca_tids tids = {0};
    pid_t found = 0;
    if (ca_procfs_tids(pid, &tids))
        for (size_t i = 0; !found && i < tids.list.len; i++) {
            char state = ca_procfs_state(tids.list.data[i]);
            if (state && state != 'Z' && state != 'X' && state != 'x')
                found = tids.list.data[i];
        }
    ca_vec_deinit(&tids.list);
    return found;
}

static struct ca_error *refuse_32_bit(int64_t pid)
{
    return ca_error_create(
        CA_ERROR_UNSUPPORTED,
        "process %" PRId64 " is a 32-bit program: only 64-bit ones are supported", pid);
}

/* By its file, where that may be read; its registers tell for sure when it is stopped. */
static struct ca_error *check_class(int64_t pid, pid_t tid)
{
    char path[64];
    unsigned char head[EI_NIDENT] = {0};
    snprintf(path, sizeof(path), "/proc/%d/exe", tid);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return NULL;
    ssize_t got = read(file, head, sizeof(head));
    close(file);
    bool narrow =
        got == sizeof(head) && !memcmp(head, ELFMAG, SELFMAG) && head[EI_CLASS] == ELFCLASS32;
    return narrow ? refuse_32_bit(pid) : NULL;
}

/* Refuses what cannot be attached to; a thread's id becomes that of its process. */
static struct ca_error *check_pid(int64_t *pid, pid_t *tid)
{
    uint64_t group, kernel = 0, size;
    if (NATIVE_ARCH == CA_ARCH_UNKNOWN)
        return ca_error_create(CA_ERROR_UNSUPPORTED,
                               "live processes are supported on amd64 and arm64 only");
    if (*pid <= 0 || *pid > INT32_MAX)
        return ca_error_create(CA_ERROR_INVALID, "%" PRId64 " is not a process id", *pid);
    if (!ca_procfs_status(*pid, "Tgid", 10, &group) || !group)
        return ca_error_create(CA_ERROR_NOT_FOUND, "there is no process %" PRId64, *pid);
    *pid = (int64_t)group;
    if (*pid == getpid())
        return ca_error_create(CA_ERROR_INVALID,
                               "process %" PRId64 " is this one: it cannot stop itself", *pid);
    *tid = living_thread(*pid);
    if (!*tid)
        return ca_error_create(CA_ERROR_NOT_FOUND,
                               "process %" PRId64 " has ended (a zombie): there is nothing to read",
                               *pid);
    /* Kernels that do not say so: theirs have no memory, nor have those that are about to end. */
    bool told = ca_procfs_status(*pid, "Kthread", 10, &kernel);
    bool memory = ca_procfs_status(*tid, "VmSize", 10, &size);
    if (kernel || (!told && !memory))
        return ca_error_create(
            CA_ERROR_INVALID, "process %" PRId64 " is a thread of the kernel, not a program", *pid);
    if (!memory)
        return ca_error_create(CA_ERROR_NOT_FOUND, "process %" PRId64 " has ended", *pid);
    return check_class(*pid, *tid);
}

static int by_tid(const void *a, const void *b)
{
    const struct ca_thread *one = a, *two = b;
    return (one->tid > two->tid) - (one->tid < two->tid);
}

struct threads {
    CA_VEC(struct ca_thread) list; /* sorted */
};

static bool known_name(const struct threads *known, struct ca_thread *thread)
{
    const struct ca_thread *found =
        known->list.len
            ? bsearch(thread, known->list.data, known->list.len, sizeof(*thread), by_tid)
            : NULL;
    if (found)
        memcpy(thread->name, found->name, sizeof(thread->name));
    return found != NULL;
}

/* known: threads seen before it was stopped, so that less is left to ask while it stands still. */
static struct ca_error *add_stopped(struct ca_target *target, struct live *live,
                                    const struct threads *known)
{
    for (size_t i = 0; i < live->trace.list.len; i++) {
        const struct ca_traced *traced = &live->trace.list.data[i];
        struct ca_thread thread = {.tid = traced->tid, .signal = traced->signal};
        uint8_t *vector;
        if (!ca_vec_reserve(&live->vectors, 1) || !ca_vec_reserve(&target->threads, 1))
            return &ca_error_nomem;
        if (!known_name(known, &thread))
            ca_procfs_name(traced->tid, thread.name);
        ca_trace_regs(traced, &thread, &vector);
        if (vector)
            live->vectors.data[live->vectors.len++] = vector;
        if (traced->stopped && !thread.regs.known)
            return refuse_32_bit(target->pid);
        target->threads.data[target->threads.len++] = thread;
    }
    return NULL;
}

/* Where a thread that sleeps entered the kernel: "number arguments... sp pc". */
static void peek_regs(struct ca_thread *thread)
{
    struct ca_buf text = {0};
    if (!ca_procfs_read(&text, "/proc/%" PRId64 "/syscall", thread->tid) && text.data) {
        char *last = strrchr(text.data, ' '), *before = NULL;
        if (last) {
            *last = 0;
            before = strrchr(text.data, ' ');
        }
        if (before) {
            unsigned pc = NATIVE_ARCH == CA_ARCH_ARM64 ? 32 : 16;
            unsigned sp = NATIVE_ARCH == CA_ARCH_ARM64 ? 31 : 7;
            thread->regs.value[pc] = strtoull(last + 1, NULL, 16);
            thread->regs.value[sp] = strtoull(before + 1, NULL, 16);
            thread->regs.known = 1ull << pc | 1ull << sp;
        }
    }
    ca_buf_deinit(&text);
}

static struct ca_error *add_running(struct ca_target *target, struct ca_gaps *gaps)
{
    struct ca_tids tids = {0};
    struct ca_error *error = NULL;
    if (ca_procfs_tids(target->pid, &tids))
        for (size_t i = 0; !error && i < tids.list.len; i++) {
            struct ca_thread thread = {.tid = tids.list.data[i]};
            ca_procfs_name(thread.tid, thread.name);
            peek_regs(&thread);
            if (!ca_vec_push(&target->threads, thread))
                error = &ca_error_nomem;
        }
    ca_vec_deinit(&tids.list);
    ca_gaps_add(gaps, "the picture", 0,
                "the target was not stopped: what was read may not fit together");
    return error;
}

/* Where its files are seen from here. */
static struct ca_error *set_paths(struct ca_target *target, pid_t tid)
{
    char path[64], root[8];
    target->exe_hint = ca_strings_printf(&target->strings, "/proc/%d/exe", tid);
    snprintf(path, sizeof(path), "/proc/%d/root", tid);
    ssize_t size = readlink(path, root, sizeof(root));
    if (size == 1 && root[0] == '/' && ca_procfs_same_namespace(target->pid, "mnt"))
        return target->exe_hint ? NULL : &ca_error_nomem;
    target->root = ca_strings_intern(&target->strings, path, strlen(path));
    return target->exe_hint && target->root ? NULL : &ca_error_nomem;
}

static void set_times(struct ca_target *target)
{
    struct timespec wall;
    target->now_ns = ca_monotonic_ns();
    if (!clock_gettime(CLOCK_REALTIME, &wall))
        target->wall_ns = wall.tv_sec * 1000000000 + wall.tv_nsec;
}

static struct ca_error *open_memory(struct ca_target *target, struct live *live)
{
    char path[64];
    uint8_t byte;
    snprintf(path, sizeof(path), "/proc/%d/mem", live->tid);
    if (live->memory >= 0)
        close(live->memory);
    live->memory = open(path, O_RDONLY | O_CLOEXEC);
    struct ca_error *error = ca_procfs_mappings(target, live->tid);
    bool denied = error ? error->code == CA_ERROR_PERMISSION : !target->mappings.len;
    if (denied) {
        ca_error_destroy(error);
        error = ca_trace_denied(target->pid, live->tid);
    }
    if (error)
        return error;
    target->load = load;
    target->load_pieces = load_pieces;
    target->mappings_whole = true;
    target->auxv.len = 0;
    for (size_t i = 0; i < target->mappings.len; i++)
        if (load(target, target->mappings.data[i].start, &byte, 1))
            return ca_procfs_auxv(target, live->tid);
    return ca_trace_denied(target->pid, live->tid);
}

static void forget_threads(struct ca_target *target, struct live *live)
{
    target->threads.len = 0;
    for (size_t i = 0; i < live->vectors.len; i++)
        free(live->vectors.data[i]);
    live->vectors.len = 0;
}

struct mappings {
    CA_VEC(struct ca_mapping) list;
};

/* Whether files are mapped otherwise than before. The heap may have grown: that is no matter. */
static bool files_moved(const struct ca_target *target, const struct mappings *before)
{
    size_t i = 0, j = 0;
    for (;; i++, j++) {
        while (i < target->mappings.len && !target->mappings.data[i].path)
            i++;
        while (j < before->list.len && !before->list.data[j].path)
            j++;
        if (i == target->mappings.len || j == before->list.len)
            return i != target->mappings.len || j != before->list.len;
        const struct ca_mapping *now = &target->mappings.data[i], *then = &before->list.data[j];
        if (now->start != then->start || now->end != then->end ||
            now->file_offset != then->file_offset || strcmp(now->path, then->path))
            return true;
    }
}

static struct ca_error *take_stopped(struct ca_target *target, struct live *live,
                                     const struct threads *known)
{
    set_times(target);
    live->tid = live->trace.list.data[0].tid;
    ca_procfs_name(live->tid, target->program);
    target->mappings.len = 0;
    struct ca_error *error = open_memory(target, live);
    if (!error)
        error = add_stopped(target, live, known);
    if (!error && target->threads.len)
        qsort(target->threads.data, target->threads.len, sizeof(*target->threads.data), by_tid);
    return error ? error : set_paths(target, live->tid);
}

static struct ca_error *freeze(struct ca_target *target, struct ca_gaps *gaps, bool *moved)
{
    struct live *live = target->self;
    struct threads known = {0};
    struct mappings before = {0};
    memcpy(&known.list, &target->threads, sizeof(known.list));
    memset(&target->threads, 0, sizeof(target->threads));
    forget_threads(target, live);
    memcpy(&before.list, &target->mappings, sizeof(before.list));
    memset(&target->mappings, 0, sizeof(target->mappings));
    struct ca_error *error = ca_trace_stop(&live->trace, target->pid, gaps);
    target->release = release;
    if (!error)
        error = take_stopped(target, live, &known);
    if (!error) {
        *moved = files_moved(target, &before);
        error = ca_windows_refresh(target);
    }
    target->missed = 0;
    ca_vec_deinit(&known.list);
    ca_vec_deinit(&before.list);
    return error;
}

static struct ca_error *fill(struct ca_target *target, struct live *live, int64_t pid, bool stop,
                             struct ca_gaps *gaps)
{
    static const struct threads none;
    struct ca_error *error = check_pid(&pid, &live->tid);
    if (error)
        return error;
    target->pid = pid;
    target->arch = NATIVE_ARCH;
    target->stopped_ns = 0;
    target->uptime_ns = ca_procfs_uptime(pid);
    if (stop) {
        error = ca_trace_stop(&live->trace, pid, gaps);
        return error ? error : take_stopped(target, live, &none);
    }
    set_times(target);
    ca_procfs_name(live->tid, target->program);
    error = open_memory(target, live);
    if (!error)
        error = add_running(target, gaps);
    if (!error && target->threads.len)
        qsort(target->threads.data, target->threads.len, sizeof(*target->threads.data), by_tid);
    return error ? error : set_paths(target, live->tid);
}

struct ca_error *ca_target_attach(int64_t pid, bool stop, struct ca_gaps *gaps,
                                  struct ca_target **ret)
{
    struct ca_target *target = ca_target_create(CA_TARGET_LIVE);
    struct live *live = calloc(1, sizeof(*live));
    if (!target || !live) {
        free(live);
        ca_target_destroy(target);
        return &ca_error_nomem;
    }
    live->memory = -1;
    target->self = live;
    target->freeze = freeze;
    target->release = release;
    target->destroy = destroy;
    struct ca_error *error = fill(target, live, pid, stop, gaps);
    if (error) {
        ca_target_destroy(target);
        return error;
    }
    *ret = target;
    return NULL;
}
