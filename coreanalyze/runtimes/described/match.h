/* Which module of a target a description, or one of its layouts, is for. */
#ifndef CA_DESCRIBED_MATCH_H
#define CA_DESCRIBED_MATCH_H

#include "runtimes/described/described.h"

/* own: the module that carries the text, or NULL. NULL: it does not match. */
struct ca_module *ca_match_module(const struct ca_context *context,
                                  const struct ca_description *description, struct ca_arena *arena,
                                  struct ca_module *own);

/* Why a description matches no module, for a person; NULL: not known. In the arena. */
const char *ca_match_why(const struct ca_context *context, const struct ca_description *description,
                         struct ca_arena *arena);

bool ca_match_layout(const struct ca_node *layout, struct ca_module *module, enum ca_arch arch);

#endif
