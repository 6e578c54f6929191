/* What the user does not want to hear of: a rules file, and --own.
 *
 * A line of a rules file is empty, a comment (#), or
 *   ignore top FUNCTION      the blocking site is in FUNCTION
 *   ignore any FUNCTION      FUNCTION is anywhere on the stack
 *   ignore creator FUNCTION  FUNCTION made the task
 *   ignore reason TEXT       the runtime's words for the wait
 *   ignore label KEY=VALUE
 *   ignore id NUMBER
 *   use goleak               what go.uber.org/goleak leaves out of test binaries
 * FUNCTION, TEXT and VALUE may hold * for anything.
 */
#ifndef CA_ANALYSIS_RULES_H
#define CA_ANALYSIS_RULES_H

#include "analysis/sites.h"

struct ca_ignore {
    int kind;
    char *text;
    unsigned line;
};

struct ca_rules {
    CA_VEC(struct ca_ignore) list;
};

/* Reads a file. Errors: it cannot be read, or a line is not understood (its number is named). */
struct ca_error *ca_rules_load(const char *path, struct ca_rules *ret);
void ca_rules_deinit(struct ca_rules *rules);

/* Leaked and suspect tasks that a rule names, or whose site is not in the user's own code (own:
 * NULL-ended prefixes of functions or files, or NULL), become what they would be without any
 * finding; a note says why. false: no memory. */
bool ca_rules_apply(const struct ca_rules *rules, const char *const *own, struct ca_tasks *tasks,
                    const struct ca_sites *sites);

#endif
