#include "target/trace.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "target/notes.h"
#include "target/procfs.h"

enum {
    EVENT_STOP = 128,                 /* PTRACE_EVENT_STOP, which glibc's header may lack */
    PATIENCE_NS = 1000 * 1000 * 1000, /* for a thread that does not stop */
};

int64_t ca_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Seizes one thread; gone ones are passed over. */
static struct ca_error *seize(struct ca_trace *trace, int64_t pid, pid_t tid)
{
    if (!ca_vec_reserve(&trace->list, 1))
        return &ca_error_nomem;
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
        bool gone = errno == ESRCH || ca_procfs_ended(tid);
        struct ca_error *error = gone ? NULL : ca_trace_denied(pid, tid);
        if (!error || error->code != CA_ERROR_NOT_FOUND)
            return error;
        ca_error_destroy(error);
        return NULL;
    }
    trace->list.data[trace->list.len++] = (struct ca_traced){.tid = tid};
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    return NULL;
}

/* Waits until the thread stands still. False: it has ended. */
static bool wait_for(struct ca_traced *traced, int64_t deadline)
{
    struct timespec pause = {0, 20000};
    for (;;) {
        int status;
        pid_t got = waitpid(traced->tid, &status, __WALL | WNOHANG);
        if (got < 0 && errno != EINTR)
            return false;
        if (got == traced->tid) {
            if (!WIFSTOPPED(status))
                return false;
            traced->stopped = true;
            /* A signal on its way: it must not get lost. A group stop or our own is no signal. */
            traced->signal = status >> 16 ? 0 : WSTOPSIG(status);
            return true;
        }
        if (ca_monotonic_ns() > deadline)
            return true;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 1000000)
            pause.tv_nsec *= 2;
    }
}

static void drop(struct ca_trace *trace, size_t i)
{
    trace->list.data[i] = trace->list.data[--trace->list.len];
}

/* Waits for the threads from `first` on. */
static void settle(struct ca_trace *trace, size_t first, struct ca_gaps *gaps)
{
    int64_t deadline = ca_monotonic_ns() + PATIENCE_NS;
    for (size_t i = first; i < trace->list.len;) {
        struct ca_traced *traced = &trace->list.data[i];
        if (!wait_for(traced, deadline)) {
            drop(trace, i);
            continue;
        }
        if (!traced->stopped)
            ca_gaps_add(gaps, "a thread", 0,
                        "thread %d does not stop (it waits in the kernel): its registers are not "
                        "known",
                        traced->tid);
        i++;
    }
}

/* One pass over the threads that there are now. *more: there were new ones. */
static struct ca_error *pass(struct ca_trace *trace, struct ca_map *known, int64_t pid,
                             struct ca_gaps *gaps, bool *more)
{
    struct ca_tids tids = {0};
    struct ca_error *error = NULL;
    size_t first = trace->list.len;
    *more = false;
    if (ca_procfs_tids(pid, &tids))
        for (size_t i = 0; !error && i < tids.list.len; i++) {
            pid_t tid = tids.list.data[i];
            if (ca_map_get(known, (uint64_t)tid))
                continue;
            *more = true;
            if (!ca_map_put(known, (uint64_t)tid, NULL))
                error = &ca_error_nomem;
            else
                error = seize(trace, pid, tid);
        }
    ca_vec_deinit(&tids.list);
    settle(trace, first, gaps);
    return error;
}

struct ca_error *ca_trace_stop(struct ca_trace *trace, int64_t pid, struct ca_gaps *gaps)
{
    struct ca_map known = {0};
    struct ca_error *error = NULL;
    bool more = true;
    trace->first_ns = ca_monotonic_ns();
    /* Threads that run can make new ones until the last of them stands still. */
    while (more && !error)
        error = pass(trace, &known, pid, gaps, &more);
    ca_map_deinit(&known);
    if (!error && !trace->list.len)
        error = ca_error_create(CA_ERROR_NOT_FOUND, "process %" PRId64 " has ended", pid);
    if (error)
        ca_trace_release(trace);
    return error;
}

void ca_trace_release(struct ca_trace *trace)
{
    int64_t deadline = ca_monotonic_ns() + PATIENCE_NS / 10;
    for (size_t i = 0; i < trace->list.len; i++) {
        struct ca_traced *traced = &trace->list.data[i];
        /* Only a thread that stands still can be let go; the kernel sees to it when we end. */
        if (!traced->stopped && !wait_for(traced, deadline))
            continue;
        if (traced->stopped)
            ptrace(PTRACE_DETACH, traced->tid, NULL, (void *)(intptr_t)traced->signal);
    }
    trace->list.len = 0;
}

void ca_trace_deinit(struct ca_trace *trace)
{
    ca_vec_deinit(&trace->list);
}

static size_t get_regset(pid_t tid, uintptr_t type, void *buffer, size_t size)
{
    struct iovec io = {buffer, size};
    return ptrace(PTRACE_GETREGSET, tid, (void *)type, &io) ? 0 : io.iov_len;
}

void ca_trace_regs(const struct ca_traced *traced, struct ca_thread *thread, uint8_t **vector)
{
    uint8_t buffer[16384];
    *vector = NULL;
    if (!traced->stopped)
        return;
    size_t size = get_regset(traced->tid, NT_PRSTATUS, buffer, sizeof(buffer));
#if defined(__x86_64__)
    ca_regs_from_kernel(CA_ARCH_AMD64, buffer, size, &thread->regs, &thread->tls);
    size = get_regset(traced->tid, NT_X86_XSTATE, buffer, sizeof(buffer));
#elif defined(__aarch64__)
    ca_regs_from_kernel(CA_ARCH_ARM64, buffer, size, &thread->regs, &thread->tls);
    get_regset(traced->tid, NT_ARM_TLS, &thread->tls, sizeof(thread->tls));
    size = get_regset(traced->tid, NT_PRFPREG, buffer, sizeof(buffer));
#else
    size = 0;
#endif
    if (!size || !(*vector = malloc(size)))
        return;
    memcpy(*vector, buffer, size);
    thread->vector = *vector;
    thread->vector_size = size;
}
