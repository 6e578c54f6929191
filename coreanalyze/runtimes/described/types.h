/* The types and globals that a description's paths are bound to: wholly from DWARF, or wholly from
 * one layout that the description brings along for programs without it.
 */
#ifndef CA_DESCRIBED_TYPES_H
#define CA_DESCRIBED_TYPES_H

#include "base/map.h"
#include "runtimes/described/arena.h"
#include "runtimes/described/node.h"
#include "symbols/modules.h"

enum ca_ctype_kind {
    CA_CTYPE_VOID,
    CA_CTYPE_INT, /* also bool, char */
    CA_CTYPE_ENUM,
    CA_CTYPE_POINTER,
    CA_CTYPE_ARRAY,
    CA_CTYPE_STRUCT,
    CA_CTYPE_CODE,
};

struct ca_cmember {
    const char *name;
    const struct ca_ctype *type;
    uint64_t offset;
    uint8_t shift, width; /* of a bit field, width 0: none */
    const struct ca_cmember *next;
};

struct ca_ctype {
    enum ca_ctype_kind kind;
    const char *name; /* "" for none */
    uint64_t size;
    bool is_signed, is_char;
    uint64_t count;                    /* of an array */
    const struct ca_ctype *target;     /* of an array or pointer; see ca_types_target */
    struct ca_cmember *members;        /* layout: of a struct */
    const struct ca_node *enumerators; /* layout: of an enum */
    Dwarf_Die die;
    bool has_die, has_target_die;
    Dwarf_Die target_die;
};

struct ca_cglobal {
    const struct ca_ctype *type;
    uint64_t address; /* or the offset in the thread-local storage of module */
    bool thread_local;
    struct ca_module *module;
};

struct ca_types_entry {
    Dwarf_Die die;
    struct ca_module *module;
};

struct ca_types {
    struct ca_arena *arena;
    struct ca_modules *modules;
    struct ca_module *module; /* in which the runtime was found: asked first */
    enum ca_arch arch;
    const struct ca_node *layout; /* NULL: DWARF */
    struct ca_map index;          /* hash of class and qualified name -> entries + 1 */
    CA_VEC(struct ca_types_entry) entries;
    struct ca_map declared; /* offset of a declared static member -> its name in the arena */
    struct ca_map by_die;   /* DIE -> struct ca_ctype * */
    struct ca_map named;    /* layout: hash of name -> struct ca_ctype * */
    size_t indexed;         /* modules whose DWARF is in the index */
    bool nomem, any_dwarf;
};

/* layout: a node of `layouts`, or NULL for DWARF. The arena must outlive the types. */
void ca_types_init(struct ca_types *types, struct ca_arena *arena, struct ca_modules *modules,
                   struct ca_module *module, const struct ca_node *layout);
void ca_types_deinit(struct ca_types *types);

/* "T", "T**"; NULL: not there. */
const struct ca_ctype *ca_types_find(struct ca_types *types, const char *name);
/* What a pointer points to, or an array's element; NULL: void or not known. */
const struct ca_ctype *ca_types_target(struct ca_types *types, const struct ca_ctype *type);
const struct ca_ctype *ca_types_pointer(struct ca_types *types, const struct ca_ctype *target);
const struct ca_ctype *ca_types_int(struct ca_types *types, uint64_t size, bool is_signed);
bool ca_types_member(struct ca_types *types, const struct ca_ctype *type, const char *name,
                     struct ca_cmember *ret);
/* type NULL: any enumerator of that name. */
bool ca_types_enumerator(struct ca_types *types, const struct ca_ctype *type, const char *name,
                         uint64_t *ret);
/* The name of a value of an enum, or NULL. */
const char *ca_types_enum_name(struct ca_types *types, const struct ca_ctype *type, uint64_t value);
bool ca_types_global(struct ca_types *types, const char *name, struct ca_cglobal *ret);
bool ca_types_scalar(const struct ca_ctype *type);

/* The other half, for layouts: layout.c. Errors: a line of the layout that is not understood. */
const struct ca_ctype *ca_layout_find(struct ca_types *types, const char *name);
bool ca_layout_global(struct ca_types *types, const char *name, struct ca_cglobal *ret);
struct ca_error *ca_layout_check(struct ca_types *types);

#endif
