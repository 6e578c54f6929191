/* What the mistake was: from the shape of what a group waits for, of its stacks and of the place
 * where it was made, never from names.
 */
#ifndef CA_ANALYSIS_PATTERN_H
#define CA_ANALYSIS_PATTERN_H

#include "analysis/proof.h"

/* Fills pattern, confidence and advice (literals; NULL: none fits). */
void ca_pattern_find(struct ca_group *group, const struct ca_tasks *tasks,
                     const struct ca_groups *groups, struct ca_prover *prover);

#endif
