/* What the mistake was: from the shape of what a group waits for, of its stacks and of the place
 * where it was made, never from names. And the evidence of a group, in words.
 */
#ifndef CA_ANALYSIS_PATTERN_H
#define CA_ANALYSIS_PATTERN_H

#include "analysis/proof.h"

/* Fills pattern, confidence and advice (literals; NULL: none fits). */
void ca_pattern_find(struct ca_group *group, const struct ca_tasks *tasks,
                     const struct ca_groups *groups, struct ca_prover *prover);

/* Adds the group's evidence. shared: bytes that come back only with other groups. false: no
 * memory. */
bool ca_pattern_evidence(struct ca_groups *groups, size_t group, struct ca_tasks *tasks,
                         int64_t shared);

#endif
