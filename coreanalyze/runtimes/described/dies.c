#include "runtimes/described/dies.h"
#include "symbols/die.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>

/* Classes of names in the index. A definition of a struct and a typedef may share a name. */
enum { NAME_TYPE = 1, NAME_ALIAS, NAME_VARIABLE, NAME_ENUMERATOR, NAME_GONE, NAME_TEMPLATE };

enum { SCOPE_DEPTH = 24, NAME_SIZE = 512 };

static uint64_t key_of(int class, const char *name, size_t size)
{
    return ca_hash_u64(ca_hash_bytes(name, size) + (uint64_t) class);
}

struct scope {
    struct ca_types *types;
    struct ca_module *module;
    bool cplusplus;
    char name[NAME_SIZE];
};

static void add(struct scope *scope, int class, const char *name, size_t size, Dwarf_Die *die)
{
    struct ca_types *types = scope->types;
    bool fresh;
    uint64_t *slot = ca_map_put(&types->index, key_of(class, name, size), &fresh);
    if (!slot)
        types->nomem = true;
    else if (!*slot && ca_vec_push(&types->entries, (struct ca_types_entry){*die, scope->module}))
        *slot = types->entries.len;
}

/* Under its name, and as an instance of its template: "a::b<int>" also as "a::b". */
static void add_type(struct scope *scope, size_t prefix, const char *name, size_t size,
                     Dwarf_Die *die)
{
    const char *angle = size && name[size - 1] == '>' ? memchr(name, '<', size) : NULL;
    add(scope, NAME_TYPE, scope->name, prefix + size, die);
    if (angle)
        add(scope, NAME_TEMPLATE, scope->name, prefix + (size_t)(angle - name), die);
}

static void add_enumerators(struct scope *scope, size_t prefix, Dwarf_Die *die)
{
    Dwarf_Die child;
    if (dwarf_child(die, &child) != 0)
        return;
    do {
        const char *name = dwarf_diename(&child);
        size_t size = name ? strlen(name) : 0;
        if (!size || prefix + size >= NAME_SIZE)
            continue;
        memcpy(scope->name + prefix, name, size);
        add(scope, NAME_ENUMERATOR, scope->name, prefix + size, &child);
    } while (ca_die_next(&child));
}

static void add_variable(struct scope *scope, const char *name, size_t size, Dwarf_Die *die,
                         bool member)
{
    Dwarf_Attribute attr;
    Dwarf_Die declared;
    struct ca_types *types = scope->types;
    if (!dwarf_attr(die, DW_AT_location, &attr)) {
        /* A static member's declaration: its definition, elsewhere, names this DIE. */
        if (member || ca_die_flag(die, DW_AT_declaration)) {
            uint64_t *slot = ca_map_put(&types->declared, (uintptr_t)die->addr, NULL);
            if (slot && !*slot)
                *slot = (uintptr_t)ca_arena_text(types->arena, name, size);
        } else {
            add(scope, NAME_GONE, name, size, die);
        }
        return;
    }
    if (dwarf_attr(die, DW_AT_specification, &attr) && dwarf_formref_die(&attr, &declared)) {
        const uint64_t *slot = ca_map_get(&types->declared, (uintptr_t)declared.addr);
        const char *full = slot ? (const char *)(uintptr_t)*slot : NULL;
        if (full)
            add(scope, NAME_VARIABLE, full, strlen(full), die);
        return;
    }
    add(scope, NAME_VARIABLE, name, size, die);
}

static void index_children(struct scope *scope, size_t prefix, unsigned depth, Dwarf_Die *parent);

static void index_die(struct scope *scope, size_t prefix, unsigned depth, Dwarf_Die *die,
                      bool in_struct)
{
    int tag = dwarf_tag(die);
    const char *name = tag == DW_TAG_subprogram ? NULL : dwarf_diename(die);
    size_t size = name ? strlen(name) : 0;
    if (prefix + size + 2 >= NAME_SIZE)
        return;
    memcpy(scope->name + prefix, name ? name : "", size);
    size_t end = prefix + size;
    switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        if (name && tag != DW_TAG_namespace && !ca_die_flag(die, DW_AT_declaration))
            add_type(scope, prefix, name, size, die);
        if (depth < SCOPE_DEPTH && (scope->cplusplus || tag == DW_TAG_namespace)) {
            if (name) {
                memcpy(scope->name + end, "::", 2);
                end += 2;
            }
            index_children(scope, end, depth + 1, die);
        }
        break;
    case DW_TAG_enumeration_type:
        if (name && !ca_die_flag(die, DW_AT_declaration))
            add(scope, NAME_TYPE, scope->name, end, die);
        add_enumerators(scope, prefix, die);
        break;
    case DW_TAG_typedef:
    case DW_TAG_base_type:
        if (name)
            add(scope, NAME_ALIAS, scope->name, end, die);
        break;
    case DW_TAG_member:
        if (name && ca_die_flag(die, DW_AT_external))
            add_variable(scope, scope->name, end, die, true);
        break;
    case DW_TAG_variable: {
        Dwarf_Attribute attr;
        if (name || dwarf_attr(die, DW_AT_specification, &attr))
            add_variable(scope, scope->name, end, die, in_struct);
        break;
    }
    }
}

static void index_children(struct scope *scope, size_t prefix, unsigned depth, Dwarf_Die *parent)
{
    Dwarf_Die child;
    bool in_struct = depth && dwarf_tag(parent) != DW_TAG_namespace;
    if (dwarf_child(parent, &child) != 0)
        return;
    do
        index_die(scope, prefix, depth, &child, in_struct);
    while (!scope->types->nomem && ca_die_next(&child));
}

static void index_module(struct ca_types *types, struct ca_module *module)
{
    Dwarf *dwarf = ca_module_dwarf(types->modules, module);
    if (!dwarf)
        return;
    types->any_dwarf = true;
    struct scope scope = {.types = types, .module = module};
    Dwarf_CU *unit = NULL;
    Dwarf_Die top;
    while (dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &top, NULL) == 0) {
        int language = dwarf_srclang(&top);
        scope.cplusplus = language != DW_LANG_C && language != DW_LANG_C89 &&
                          language != DW_LANG_C99 && language != DW_LANG_C11;
        index_children(&scope, 0, 0, &top);
    }
}

/* The C library and the loader hold no runtime of anybody's, and where their debug information is
 * installed, looking through it takes longer than all the rest. */
static bool is_system(struct ca_module *module)
{
    static const char *const marks[] = {"__libc_start_main", "_rtld_global"};
    uint64_t address;
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (!module->main && ca_module_symbol(module, marks[i], &address, NULL))
            return true;
    return false;
}

/* Indexes one more module: the runtime's own first, then the executable, then the others. */
static bool index_more(struct ca_types *types)
{
    struct ca_modules *modules = types->modules;
    struct ca_module *main = ca_modules_main(modules);
    size_t i = types->indexed++;
    if (i == 0) {
        if (types->module)
            index_module(types, types->module);
    } else if (i == 1) {
        if (main && main != types->module)
            index_module(types, main);
    } else if (i - 2 < modules->list.len) {
        struct ca_module *module = &modules->list.data[i - 2];
        if (module != main && module != types->module && !module->vdso && !is_system(module))
            index_module(types, module);
    } else {
        types->indexed--;
        return false;
    }
    return !types->nomem;
}

static const struct ca_types_entry *find(struct ca_types *types, int class, const char *name)
{
    const uint64_t *slot = ca_map_get(&types->index, key_of(class, name, strlen(name)));
    return slot && *slot ? &types->entries.data[*slot - 1] : NULL;
}

static const struct ca_types_entry *find_either(struct ca_types *types, int class, int other,
                                                const char *name)
{
    for (;;) {
        const struct ca_types_entry *entry = find(types, class, name);
        if (!entry && other)
            entry = find(types, other, name);
        if (entry || !index_more(types))
            return entry;
    }
}

bool ca_dies_type(struct ca_types *types, const char *name, Dwarf_Die *ret)
{
    const struct ca_types_entry *entry = find_either(types, NAME_TYPE, NAME_ALIAS, name);
    if (!entry)
        entry = find(types, NAME_TEMPLATE, name);
    if (entry)
        *ret = entry->die;
    return entry != NULL;
}

bool ca_dies_enumerator(struct ca_types *types, const char *name, uint64_t *ret)
{
    const struct ca_types_entry *entry = find_either(types, NAME_ENUMERATOR, 0, name);
    Dwarf_Attribute attr;
    Dwarf_Sword number;
    Dwarf_Die die;
    if (!entry)
        return false;
    die = entry->die;
    if (!dwarf_attr(&die, DW_AT_const_value, &attr) || dwarf_formsdata(&attr, &number) != 0)
        return false;
    *ret = (uint64_t)number;
    return true;
}

bool ca_dies_gone(struct ca_types *types, const char *name)
{
    return find(types, NAME_GONE, name) != NULL;
}

/* gcc for arm64 describes thread-locals without their place (there is no relocation for it): the
 * symbol tells it. */
static bool find_placeless(struct ca_types *types, const char *name, struct ca_types_entry *ret,
                           uint64_t *offset)
{
    const struct ca_types_entry *entry = find(types, NAME_GONE, name);
    const char *last = strrchr(name, ':');
    if (!entry || !ca_module_tls_symbol(entry->module, last ? last + 1 : name, offset))
        return false;
    *ret = *entry;
    return true;
}

/* Variables inside of functions are not in the index until one is asked for. */
static bool find_static(struct ca_types *types, const char *name, const struct ca_types_entry **ret)
{
    struct scope scope = {.types = types};
    Dwarf_Die die;
    if (!strstr(name, "::") || !ca_dies_function_static(types, name, &die, &scope.module))
        return false;
    add(&scope, NAME_VARIABLE, name, strlen(name), &die);
    return (*ret = find(types, NAME_VARIABLE, name)) != NULL;
}

bool ca_dies_variable(struct ca_types *types, const char *name, struct ca_types_entry *ret,
                      uint64_t *address, bool *thread_local_)
{
    const struct ca_types_entry *entry = find_either(types, NAME_VARIABLE, 0, name);
    if (!entry && find_placeless(types, name, ret, address))
        return *thread_local_ = true;
    if (!entry && !find_static(types, name, &entry))
        return false;
    *ret = *entry;
    Dwarf_Attribute attr;
    Dwarf_Op *ops;
    size_t count;
    if (!dwarf_attr(&ret->die, DW_AT_location, &attr) ||
        dwarf_getlocation(&attr, &ops, &count) != 0)
        return false;
    if (count == 1 && ops[0].atom == DW_OP_addr) {
        *address = ops[0].number + ret->module->bias;
        *thread_local_ = false;
        return true;
    }
    if (count == 1 && (ops[0].atom == DW_OP_addrx || ops[0].atom == DW_OP_GNU_addr_index)) {
        Dwarf_Attribute indirect;
        Dwarf_Addr value;
        if (dwarf_getlocation_attr(&attr, &ops[0], &indirect) != 0 ||
            dwarf_formaddr(&indirect, &value) != 0)
            return false;
        *address = value + ret->module->bias;
        *thread_local_ = false;
        return true;
    }
    if (count == 2 &&
        (ops[1].atom == DW_OP_GNU_push_tls_address || ops[1].atom == DW_OP_form_tls_address) &&
        (ops[0].atom == DW_OP_const8u || ops[0].atom == DW_OP_const4u ||
         ops[0].atom == DW_OP_addr)) {
        *address = ops[0].number;
        *thread_local_ = true;
        return true;
    }
    return false;
}
