/* The proof that tasks can never run again: nothing that can still act reaches what they wait for.
 *
 * Everything that can act (tasks that are not candidates, threads, globals, timers, foreign memory)
 * is a root. A candidate is a parked task whose waker must hold what it waits for. Marking from the
 * roots wakes candidates whose object is reached; their stacks are roots then; and so on. Who is
 * still asleep at the end can be woken by nobody.
 *
 * Taken for granted: no pointers hidden in integers, files or other processes; nobody writes the
 * target's memory from outside. Given up: when anything that could hold a pointer is not there.
 */
#ifndef CA_ANALYSIS_PROOF_H
#define CA_ANALYSIS_PROOF_H

#include "analysis/groups.h"
#include "analysis/mark.h"

/* The proof for one runtime. */
struct ca_prover {
    struct ca_heap *heap;
    struct ca_tasks *tasks;
    struct ca_gaps *gaps;
    struct ca_mark mark;
    bool ready;      /* mark is made */
    bool proved;     /* the verdicts stand */
    uint8_t *status; /* by task: enum ca_prover_status */
    uint64_t *all;   /* what leaked tasks reach beside; NULL until asked for */
    size_t leaked;
    unsigned gathered; /* groups whose holders were looked for: each look goes over all tasks */
};

enum ca_prover_status {
    CA_PROVER_ROOT,      /* not of this runtime, or can act */
    CA_PROVER_CANDIDATE, /* waits, nothing has reached it */
    CA_PROVER_WOKEN,     /* waits, but its object is reached */
};

struct ca_provers {
    CA_VEC(struct ca_prover) list;
};

/* Reads memory and marks, while the target stands still. Runtimes without doors are passed over.
 * options->no_proof: does nothing. */
struct ca_error *ca_proof_prepare(struct ca_provers *provers, struct ca_runtime *const *runtimes,
                                  size_t count, struct ca_tasks *tasks,
                                  const struct ca_options *options, struct ca_gaps *gaps);

/* Sets verdict and proof of the tasks that are leaked (after ca_verdict_judge; one that a rule had
 * made suspect keeps no rule). Then deadlocks by owners, for runtimes that record
 * them. */
struct ca_error *ca_proof_run(struct ca_provers *provers, struct ca_runtime *const *runtimes,
                              size_t count, struct ca_tasks *tasks,
                              const struct ca_options *options);

/* Fills heap_bytes, evidence, pattern and advice of the groups (task.group is set). */
struct ca_error *ca_proof_groups(struct ca_provers *provers, struct ca_tasks *tasks,
                                 struct ca_groups *groups);

void ca_proof_deinit(struct ca_provers *provers);

/* The prover of a task's runtime when its verdicts stand; NULL: none. */
struct ca_prover *ca_proof_of(struct ca_provers *provers, const struct ca_task *task);

/* Makes prover->all: what an ordinary collection keeps alive beside. */
struct ca_error *ca_prover_rest(struct ca_prover *prover);

/* analysis/timed.c: sets timed[i] for the tasks i that a pending timer will release: it closes or
 * sends on what they receive from, or cancels the context that does. *any: there are some. Only
 * where the heap could be read. */
struct ca_error *ca_proof_timed(const struct ca_provers *provers, uint8_t *timed, bool *any);

/* analysis/deadlock.c: tasks that wait for each other in a circle, and those that wait for them.
 * runtimes is by task.runtime. false: no memory. */
bool ca_deadlock_run(struct ca_runtime *const *runtimes, size_t count, struct ca_tasks *tasks);

/* analysis/retained.c: bytes[g] is what comes back when group g is gone; shared[g] what comes back
 * only when others are gone too. Groups are task.group. */
struct ca_error *ca_retained_run(struct ca_prover *prover, size_t groups, int64_t *bytes,
                                 int64_t *shared);

#endif
