/* Stacks as tables: equal stacks (same pcs, same distances of the stack pointers) are one entry.
 *
 * A leaking program has a hundred thousand tasks and a dozen different stacks: interning them keeps
 * memory small and makes naming and grouping work per stack, not per task.
 */
#ifndef CA_UNWIND_STACKS_H
#define CA_UNWIND_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

struct ca_raw_frame {
    uint64_t pc;
    uint64_t sp;
    /* pc is where it stopped (innermost, or interrupted by a signal), not a return address: names
     * and lines are looked up at pc, else at pc - 1. */
    bool exact;
};

enum {
    CA_STACK_WHOLE = 0,
    CA_STACK_CUT = 1, /* the walk ended early: the reason is a note or gap of the task */
};

struct ca_stack {
    size_t first; /* in frames */
    uint32_t count;
    uint32_t
        missing; /* CA_STACK_WHOLE, CA_STACK_CUT, or the frame before which some are left out */
};

struct ca_stacks {
    CA_VEC(struct ca_raw_frame) frames; /* sp relative to that of the stack's first frame */
    CA_VEC(struct ca_stack) list;
    uint32_t *slots;
    size_t slot_count;
};

#define CA_STACK_NONE UINT32_MAX

void ca_stacks_deinit(struct ca_stacks *stacks);

/* The index of the stack made of these frames (sp absolute); CA_STACK_NONE: no memory, or count is
 * 0. */
uint32_t ca_stacks_intern(struct ca_stacks *stacks, const struct ca_raw_frame *frames,
                          uint32_t count, uint32_t missing);

#endif
