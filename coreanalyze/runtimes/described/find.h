/* Finding descriptions (files, shipped ones, the program's own) and what they match. */
#ifndef CA_DESCRIBED_FIND_H
#define CA_DESCRIBED_FIND_H

#include "runtimes/described/described.h"

/* All described runtimes of a target, as a list. Error: a --runtime-file that cannot be read or is
 * wrong; a runtime that is there, but that its description does not fit. */
struct ca_error *ca_described_find(const struct ca_context *context, struct ca_runtime **ret);

/* One description text on one target. *ret NULL: it does not match. module: the one that carries
 * the text, NULL: none. Even when the description does not fit, *ret holds why, with error set. */
struct ca_error *ca_described_open(const struct ca_context *context, const char *origin,
                                   const char *text, size_t size, struct ca_module *module,
                                   struct ca_described **ret);

/* A description's text from a regular file; freed by the caller. */
struct ca_error *ca_described_read_file(const char *path, char **ret, size_t *size);

void ca_described_destroy(struct ca_runtime *runtime);
void ca_described_forget_rings(struct ca_description *description);

#endif
