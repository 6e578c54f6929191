/* Fitting a description to a target: which variant, which layout, and what of it does not bind. */
#ifndef CA_DESCRIBED_FIT_H
#define CA_DESCRIBED_FIT_H

#include "runtimes/described/walk.h"

/* A line of the description that does not bind. Required ones refuse the variant; the others are
 * left out. */
struct ca_misfit {
    unsigned line;
    const char *key, *why;
    bool required;
};

struct ca_fit {
    CA_VEC(struct ca_misfit) misfits;
    size_t required; /* how many of them are */
    bool nomem;
};

void ca_fit_deinit(struct ca_fit *fit);

/* Binds everything in the description to the types. */
void ca_fit_bind(struct ca_fit *fit, struct ca_description *description, struct ca_types *types);

/* The object that a type describes, or NULL. */
const struct ca_object *ca_fit_object(const struct ca_description *description,
                                      const struct ca_ctype *type);

#endif
