/* From saved registers to frames, by call frame information (.eh_frame, .debug_frame), with frame
 * pointers where that ends. What the CFI says of one pc is worked out once and kept: ten thousand
 * tasks parked at one place cost ten thousand times a few additions.
 */
#ifndef CA_UNWIND_CFI_H
#define CA_UNWIND_CFI_H

#include "base/map.h"
#include "symbols/modules.h"
#include "unwind/stacks.h"

struct ca_cfi_row;

enum { CA_CFI_PLACES = 512 };

/* What was worked out of a pc. */
struct ca_cfi_place {
    uint64_t pc;
    bool seen, exact, code;
    const struct ca_cfi_row *row; /* NULL: no CFI */
};

struct ca_cfi {
    struct ca_modules *modules;
    struct ca_target *target;
    struct ca_map rows; /* pc -> row + 1 */
    CA_VEC(struct ca_cfi_row *) list;
    struct ca_cfi_place places[CA_CFI_PLACES]; /* those seen last, by their hash */
};

/* A part of the stack whose bytes are kept elsewhere (runtimes that copy stacks out): [low, high)
 * is at copy. All 0: none. */
struct ca_stack_copy {
    uint64_t low, high, copy;
};

void ca_cfi_init(struct ca_cfi *cfi, struct ca_modules *modules);
void ca_cfi_deinit(struct ca_cfi *cfi);

/* Frames of a stack, innermost first; returns how many (at most max). exact: the innermost pc is
 * where it stopped, not a return address. Without a stack pointer the pc is the only frame.
 * *why: NULL when the stack ended as stacks do, else why the walk ended early (a literal). */
uint32_t ca_cfi_unwind(struct ca_cfi *cfi, const struct ca_regs *regs, bool exact,
                       const struct ca_stack_copy *copy, struct ca_raw_frame *frames, uint32_t max,
                       const char **why);

/* The same, with the registers of frame `index` (0: those given) in *ret; false: not that deep. */
bool ca_cfi_registers(struct ca_cfi *cfi, const struct ca_regs *regs, bool exact,
                      const struct ca_stack_copy *copy, uint32_t index, struct ca_regs *ret);

#endif
