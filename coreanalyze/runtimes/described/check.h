/* How a description fits, line by line: for `describe --check`. */
#ifndef CA_DESCRIBED_CHECK_H
#define CA_DESCRIBED_CHECK_H

#include "runtimes/runtime.h"

struct ca_check {
    unsigned line;
    const char *key;
    bool ok;
    const char *found, *why; /* NULL: nothing to say */
};

extern const struct ca_runtime_ops ca_described_ops;

struct ca_checks {
    CA_VEC(struct ca_check) list;
};

/* After collect. Text lives as long as the runtime. NULL runtime, or not a described one: none. */
struct ca_error *ca_checks_make(struct ca_runtime *runtime, struct ca_checks *ret);

#endif
