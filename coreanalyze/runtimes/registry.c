/* The runtimes that this build knows: one line each. */
#include "runtimes/runtime.h"

extern const struct ca_runtime_ops ca_go_ops;
extern const struct ca_runtime_ops ca_described_ops;

const struct ca_runtime_ops *const ca_runtimes[] = {
    &ca_go_ops,
    &ca_described_ops,
    NULL,
};
