/* What may have been meant, when a name of a description is not there: for messages only. */
#ifndef CA_DESCRIBED_SUGGEST_H
#define CA_DESCRIBED_SUGGEST_H

#include "runtimes/described/types.h"

/* "; did you mean NAME?", or "" (in the arena, or a literal). A type's name, or a variable's. */
const char *ca_suggest_type(struct ca_types *types, const char *name);
const char *ca_suggest_variable(struct ca_types *types, const char *name);
/* A member of what is at hand, named without its dot; NULL: it is none. */
const char *ca_suggest_dot(struct ca_types *types, const struct ca_ctype *here, const char *name);
/* "; the enum has A, B, C", or "". */
const char *ca_suggest_enumerators(struct ca_types *types, const struct ca_ctype *type);
/* "; it has A, B, C", or "". */
const char *ca_suggest_members(struct ca_types *types, const struct ca_ctype *type);

#endif
