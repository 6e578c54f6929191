/* Gaps: what could not be read, and why. Collected during a run, shown at its end.
 *
 * Gaps of one kind are bounded, so that a broken target cannot fill the memory of this process:
 * after CA_GAPS_PER_KIND with the same format, only their number is kept ("1204 more: ...").
 */
#ifndef CA_BASE_GAPS_H
#define CA_BASE_GAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"

enum { CA_GAPS_PER_KIND = 20 };

struct ca_gap {
    char *what;
    char *why;
    bool has_address;
    uint64_t address;
};

struct ca_gap_kind {
    const char *why_format; /* a literal: gaps of the same literal are of one kind */
    char *first;            /* why, of the first one; of "%s" each text is a kind of its own */
    uint64_t count;
};

struct ca_gaps {
    CA_VEC(struct ca_gap) list;
    CA_VEC(struct ca_gap_kind) kinds;
    bool lost; /* out of memory while adding */
};

void ca_gaps_deinit(struct ca_gaps *gaps);

/* Adds a gap about `what` (copied); address 0 means none. why_format must be a literal. */
void ca_gaps_add(struct ca_gaps *gaps, const char *what, uint64_t address, const char *why_format,
                 ...) __attribute__((format(printf, 4, 5)));

/* Adds the error as a gap, and destroys it. NULL error does nothing. */
void ca_gaps_add_error(struct ca_gaps *gaps, const char *what, struct ca_error *error);

/* Adds the closing lines ("and N more") for kinds that were cut; call once, at the end. */
void ca_gaps_close(struct ca_gaps *gaps);

#endif
