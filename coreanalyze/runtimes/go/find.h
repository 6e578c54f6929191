/* Finding the Go runtime in a program that carries no symbols.
 *
 * find.c        the ELF module: its pclntab, its version, its moduledata
 * references.c  the addresses that a function's code refers to, and the functions that it calls
 * search.c      the runtime's variables, by who refers to them and by what they must look like
 */
#ifndef CA_RUNTIMES_GO_FIND_H
#define CA_RUNTIMES_GO_FIND_H

#include "runtimes/go/go.h"

/* Does this file carry Go? The address of its pclntab in the target; 0: no. */
uint64_t ca_go_find_pclntab(struct ca_target *target, struct ca_module *module);

/* The version out of the build info that the linker leaves ("go1.22.5"); false: not there. */
bool ca_go_find_version(struct ca_target *target, struct ca_module *module, char *ret, size_t room);

/* The version out of the runtime's own variable: a string in the data segment that looks like one.
 */
bool ca_go_search_version(struct ca_target *target, struct ca_module *module, char *ret,
                          size_t room);

/* The first moduledata, needing the layout; 0: not found. */
uint64_t ca_go_find_moduledata(struct ca_target *target, struct ca_module *module,
                               const struct ca_go_layout *layout, uint64_t pclntab);

struct ca_go_references {
    CA_VEC(uint64_t) list; /* addresses in the module's data, in the order of the code */
};

/* Adds what the code of a function refers to inside [low, high). false: no memory. */
bool ca_go_references_add(struct ca_go *go, const struct ca_go_func *func, uint64_t low,
                          uint64_t high, struct ca_go_references *ret);

/* The target of the direct call that the code at pc, room bytes of it, begins with; 0: none. */
uint64_t ca_go_call_target(const struct ca_go *go, const uint8_t *code, uint64_t room, uint64_t pc);

/* Fills what is still 0 in go->globals, needing tables. Errors: the list of goroutines, without
 * which nothing works, is not to be found. */
struct ca_error *ca_go_search_globals(struct ca_go *go);

#endif
