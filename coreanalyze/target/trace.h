/* Stopping a process by ptrace: every thread seized and interrupted, registers read, let go.
 *
 * PTRACE_O_EXITKILL is never set: when this process dies, the kernel lets the target run on.
 */
#ifndef CA_TARGET_TRACE_H
#define CA_TARGET_TRACE_H

#include <sys/types.h>

#include "target/target.h"

struct ca_traced {
    pid_t tid;
    bool stopped;
    int signal; /* that was being delivered: handed on when it is let go */
};

struct ca_trace {
    CA_VEC(struct ca_traced) list;
    int64_t first_ns; /* CLOCK_MONOTONIC when the first thread stopped */
};

/* Stops every thread of the process. On failure none stays stopped. */
struct ca_error *ca_trace_stop(struct ca_trace *trace, int64_t pid, struct ca_gaps *gaps);

/* Lets all threads go on as they were: one that was stopped by a signal stays stopped. */
void ca_trace_release(struct ca_trace *trace);

/* The registers of a stopped thread. vector: malloced, or NULL; the caller frees it. */
void ca_trace_regs(const struct ca_traced *traced, struct ca_thread *thread, uint8_t **vector);

void ca_trace_deinit(struct ca_trace *trace);

/* Why the kernel does not let us at this process, and what to do about it. CA_ERROR_NOT_FOUND: the
 * thread has ended. */
struct ca_error *ca_trace_denied(int64_t pid, int64_t tid);

/* CA_ERROR_BUSY when somebody else traces any of its threads. */
struct ca_error *ca_trace_busy(int64_t pid);

/* CA_ERROR_NOT_FOUND when the process has ended. */
struct ca_error *ca_trace_gone(int64_t pid);

int64_t ca_monotonic_ns(void);

#endif
