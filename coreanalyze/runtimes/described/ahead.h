/* The second thread (base/ahead.h) over the tasks that were found: their stacks, and what they wait
 * for, are looked at before the first thread comes there.
 */
#ifndef CA_DESCRIBED_AHEAD_H
#define CA_DESCRIBED_AHEAD_H

#include "runtimes/described/described.h"

struct ca_described_ahead;

/* Over self->found, which nobody may change until it is stopped. NULL: there is none (a target that
 * is no core, too few tasks); the other calls take it. */
struct ca_described_ahead *ca_described_ahead_start(const struct ca_described *self);
void ca_described_ahead_tell(const struct ca_described_ahead *ahead, uint64_t i);
void ca_described_ahead_stop(struct ca_described_ahead *ahead);

#endif
