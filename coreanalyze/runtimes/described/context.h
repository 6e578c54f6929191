/* The saved context of a parked task: from the description's form to registers. */
#ifndef CA_DESCRIBED_CONTEXT_H
#define CA_DESCRIBED_CONTEXT_H

#include "runtimes/described/description.h"

/* false with *why (a literal) when it cannot be read. */
bool ca_context_registers(const struct ca_context_form *form, const struct ca_scope *scope,
                          struct ca_regs *ret, const char **why);

/* Binds the form's paths. NULL, or the expression that does not bind. */
struct ca_expr *ca_context_bind(struct ca_context_form *form, struct ca_binder *binder);

#endif
