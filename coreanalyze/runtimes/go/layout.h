/* Where the Go runtime of this target keeps its fields: offsets in bytes, CA_LAYOUT_ABSENT for an
 * optional one that this version does not have. See layout.def for the fields.
 */
#ifndef CA_RUNTIMES_GO_LAYOUT_H
#define CA_RUNTIMES_GO_LAYOUT_H

#include "symbols/layout.h"

enum ca_go_field {
#define GO_FIELD(name, type, path, optional) GO_##name,
#include "runtimes/go/layout.def"
#undef GO_FIELD
    GO_FIELD_COUNT
};

struct ca_go_layout {
    int32_t at[GO_FIELD_COUNT];
    const char *source; /* dwarf, built-in, debug-binary */
};

/* The one place where the choice between DWARF and a built-in row is made: the DWARF of the module,
 * else that of --debug-binary, else the row for version ("go1.22.5") and architecture. Errors:
 * CA_ERROR_UNSUPPORTED naming the version when none of them knows it. */
struct ca_error *ca_go_layout_choose(struct ca_modules *modules, struct ca_module *module,
                                     const char *version, enum ca_arch arch,
                                     struct ca_go_layout *ret);

/* Only from DWARF. */
struct ca_error *ca_go_layout_from_dwarf(Dwarf *dwarf, struct ca_go_layout *ret);

#endif
