/* The circle of a deadlock, as evidence: who waits for what, who holds it, what that one waits for.
 */
#ifndef CA_ANALYSIS_CIRCLE_H
#define CA_ANALYSIS_CIRCLE_H

#include "analysis/groups.h"

enum { CA_CIRCLE_EVIDENCE = 32 };

/* From a task that is leaked by a deadlock. Texts are interned in the tasks' strings. Returns how
 * many, 0 without memory. */
size_t ca_circle_evidence(struct ca_tasks *tasks, uint32_t task,
                          struct ca_evidence ret[CA_CIRCLE_EVIDENCE]);

#endif
