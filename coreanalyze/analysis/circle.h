/* The circle of a deadlock: who waits for what, who holds it, what that one waits for. */
#ifndef CA_ANALYSIS_CIRCLE_H
#define CA_ANALYSIS_CIRCLE_H

#include "analysis/groups.h"

enum { CA_CIRCLE_EVIDENCE = 32 };

/* Who holds what a task waits for; CA_NONE: nobody known, or task is CA_NONE. */
uint32_t ca_circle_owner(const struct ca_tasks *tasks, uint32_t task);
/* Whether the owners, followed from one to the next, lead into a circle. */
bool ca_circle_ahead(const struct ca_tasks *tasks, uint32_t task);

/* The circle as evidence, from a task that is leaked by a deadlock. Texts are interned in the
 * tasks' strings. Returns how many, 0 without memory. */
size_t ca_circle_evidence(struct ca_tasks *tasks, uint32_t task,
                          struct ca_evidence ret[CA_CIRCLE_EVIDENCE]);

#endif
