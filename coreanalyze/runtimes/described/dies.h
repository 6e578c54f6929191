/* Finding DIEs by qualified name: one pass over the top levels of a module's DWARF, then hash
 * lookups. Used by types.c only.
 */
#ifndef CA_DESCRIBED_DIES_H
#define CA_DESCRIBED_DIES_H

#include "runtimes/described/types.h"
#include "symbols/die.h"

bool ca_dies_type(struct ca_types *types, const char *name, Dwarf_Die *ret);
bool ca_dies_enumerator(struct ca_types *types, const char *name, uint64_t *ret);
/* address: in the target, or the offset in thread-local storage. */
bool ca_dies_variable(struct ca_types *types, const char *name, struct ca_types_entry *ret,
                      uint64_t *address, bool *thread_local_);
/* A variable of that name is described, but without a place. */
bool ca_dies_gone(struct ca_types *types, const char *name);
/* statics.c: the static variable of a function, "f::name"; found once, then in the index. */
bool ca_dies_function_static(struct ca_types *types, const char *name, Dwarf_Die *ret,
                             struct ca_module **module);

#endif
