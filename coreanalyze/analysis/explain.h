/* Why a task is not leaked: the shortest way from a root to what it waits for. */
#ifndef CA_ANALYSIS_EXPLAIN_H
#define CA_ANALYSIS_EXPLAIN_H

#include "analysis/proof.h"

/* One step. Text is interned in the tasks' strings, or NULL. */
struct ca_step {
    bool root;
    uint64_t address; /* root: where the pointer is; edge: of the object */
    const char *name, *type, *function;
    int64_t offset; /* edge: of the pointer in the object before; CA_UNKNOWN */
    uint32_t line;
    uint32_t task; /* whose stack it is, or who waits there; CA_NONE */
};

struct ca_steps {
    CA_VEC(struct ca_step) list; /* from the root on; empty: nothing reaches it */
};

/* Tasks that wait may be on the way: what they wait for is reached, so they can run on and hold
 * what their stacks hold. Breadth first over the heap: 16 bytes for each object that is nearer. */
struct ca_error *ca_explain_path(struct ca_prover *prover, uint32_t task, struct ca_steps *ret);

/* A task that will never run again, and holds what another waits for. */
struct ca_holder {
    uint32_t task;
    uint32_t distance; /* objects between; 0: it holds it itself */
    bool fellow;       /* it waits for the same */
};
struct ca_holders {
    CA_VEC(struct ca_holder) list;
};

/* Who else holds what a leaked task waits for: all that hold it themselves; where none but fellows
 * do, one that reaches it. Errors: no memory. */
struct ca_error *ca_explain_holders(struct ca_prover *prover, uint32_t task,
                                    struct ca_holders *ret);

/* How many tasks that will never run again hold themselves what a leaked task waits for, and do not
 * wait for it. Errors: no memory. */
struct ca_error *ca_explain_stuck(struct ca_prover *prover, uint32_t task, size_t *ret);

#endif
