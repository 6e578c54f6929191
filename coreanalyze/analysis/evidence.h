/* Why a verdict is what it is, in words. Texts are interned in the tasks' strings. */
#ifndef CA_ANALYSIS_EVIDENCE_H
#define CA_ANALYSIS_EVIDENCE_H

#include "analysis/proof.h"

/* Fills the evidence of a group: of its first member, and of the rule that fired. shared: bytes
 * that come back only with other groups. false: no memory. */
bool ca_evidence_of_group(struct ca_groups *groups, size_t index, struct ca_tasks *tasks,
                          int64_t shared);

/* The same of one leaked task, and who else has what it waits for. prover NULL: without that.
 * Errors: no memory. */
struct ca_error *ca_evidence_of_task(struct ca_prover *prover, struct ca_tasks *tasks,
                                     const struct ca_sites *sites, uint32_t task,
                                     ca_evidence_list *ret);

#endif
