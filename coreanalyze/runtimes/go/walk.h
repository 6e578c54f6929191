/* A walk along a stack of Go code, by the program's own tables. Between the two files that do it:
 * stack.c      the walk itself
 * running.c    where it begins for a goroutine that runs
 */
#ifndef CA_RUNTIMES_GO_WALK_H
#define CA_RUNTIMES_GO_WALK_H

#include "runtimes/go/go.h"

/* Where a walk stands. */
struct ca_go_walk {
    struct ca_go *go;
    struct ca_go_frames *frames;
    uint64_t pc, sp, lr;
    bool lr_known; /* arm64: lr still holds the return address of the innermost frame */
    bool lr_used;  /* a return address that was not read from the stack */
    bool top;      /* the outermost function was reached */
    bool exact;
    uint64_t user_sp, user_pc, user_lr; /* of the goroutine, for the hop off the system stack */
    bool can_hop;                       /* it is not on the goroutine's stack yet */
    bool leaving; /* a signal handler: runtime.sigtramp, the top for Go, has a caller for us */
    uint64_t low, high; /* the stack that sp is on; 0, 0: not bounded */
    const char *why;
};

/* One step to the caller; false when the walk is over. */
bool ca_go_walk_step(struct ca_go_walk *walk, bool innermost);

/* All of them, into walk->frames. */
void ca_go_walk_run(struct ca_go_walk *walk);

/* Empties the frames. */
void ca_go_frames_clear(struct ca_go_frames *frames);

/* running.c: the stack of a goroutine that runs on a thread. */
void ca_go_walk_running(struct ca_go_walk *walk, const struct ca_go_g *g);

/* running.c: is this the code that a signal handler returns to? */
bool ca_go_is_sigreturn(struct ca_go *go, uint64_t pc);

/* stack.c: from a thread's registers. */
void ca_go_walk_from_regs(struct ca_go_walk *walk, const struct ca_regs *regs);

/* stack.c: from where the scheduler left it. */
void ca_go_walk_from_sched(struct ca_go_walk *walk, const struct ca_go_g *g);

#endif
