/* Which variable a place belongs to. */
#include <dwarf.h>
#include <string.h>

#include "symbols/die.h"
#include "unwind/locals.h"

enum {
    DEPTH = 64,
    UNITS_MAX = 1 << 20,
    DIES_MAX = 1 << 20, /* of all scopes: children may be shared */
};

static bool is_variable(Dwarf_Die *die)
{
    return dwarf_tag(die) == DW_TAG_variable || dwarf_tag(die) == DW_TAG_formal_parameter;
}

static bool find_in_unit(Dwarf_Die *unit, const char *name, struct ca_variable *ret)
{
    Dwarf_Die child;
    if (dwarf_child(unit, &child))
        return false;
    do {
        const char *own = dwarf_tag(&child) == DW_TAG_variable ? dwarf_diename(&child) : NULL;
        if (own && !strcmp(own, name) && ca_die_type(&child, &ret->type)) {
            ret->name = own;
            return true;
        }
    } while (ca_die_next(&child));
    return false;
}

/* A unit of Go is a package, and begins the names of its variables. */
static bool is_package_of(Dwarf_Die *unit, const char *name)
{
    const char *package = dwarf_diename(unit);
    size_t size = package ? strlen(package) : 0;
    return size && !strncmp(package, name, size) && name[size] == '.';
}

bool ca_variable_global(struct ca_modules *modules, struct ca_module *module, const char *name,
                        struct ca_variable *ret)
{
    Dwarf *dwarf = ca_module_types(modules, module);
    Dwarf_Off at = 0, next;
    size_t header;
    for (size_t i = 0; dwarf && i < UNITS_MAX; i++) {
        Dwarf_Die unit;
        if (dwarf_nextcu(dwarf, at, &next, &header, NULL, NULL, NULL) != 0 || next <= at)
            break;
        if (dwarf_offdie(dwarf, at + header, &unit) && is_package_of(&unit, name) &&
            find_in_unit(&unit, name, ret))
            return true;
        at = next;
    }
    return false;
}

static bool covers(const struct ca_local_frame *frame, Dwarf_Die *variable, uint64_t address,
                   struct ca_variable *ret)
{
    struct ca_whereabouts place;
    Dwarf_Word size;
    if (!ca_die_type(variable, &ret->type) || ca_whereabouts_find(frame, variable, &place) ||
        !place.memory || dwarf_aggregate_size(&ret->type, &size) || address < place.address ||
        address - place.address >= size)
        return false;
    ret->name = dwarf_diename(variable);
    ret->address = place.address;
    return ret->name && *ret->name;
}

/* In a scope, the blocks in it that are being run, and what is inlined there. */
static bool find_in_scope(const struct ca_local_frame *frame, Dwarf_Die *scope, uint64_t address,
                          unsigned depth, size_t *seen, struct ca_variable *ret)
{
    Dwarf_Die child;
    if (depth > DEPTH || dwarf_child(scope, &child))
        return false;
    do {
        int tag = dwarf_tag(&child);
        if (is_variable(&child)
                ? covers(frame, &child, address, ret)
                : (tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
                      dwarf_haspc(&child, frame->pc - frame->bias) == 1 &&
                      find_in_scope(frame, &child, address, depth + 1, seen, ret))
            return true;
    } while (++*seen < DIES_MAX && ca_die_next(&child));
    return false;
}

/* The function around an address, inlined ones apart. false: no debug information there. */
static bool function_at(struct ca_modules *modules, uint64_t pc, Dwarf_Die *ret, Dwarf_Addr *bias)
{
    struct ca_module *module = ca_modules_at(modules, pc);
    Dwfl_Module *dwfl = module ? ca_module_debug(modules, module) : NULL;
    Dwarf_Die chain[CA_FUNCTIONS_MAX];
    if (!dwfl || !ca_functions_at(dwfl, pc, chain, bias))
        return false;
    *ret = chain[0];
    return true;
}

static bool first_child(struct ca_modules *modules, uint64_t entry, Dwarf_Die *ret)
{
    Dwarf_Die function;
    Dwarf_Addr bias;
    return function_at(modules, entry, &function, &bias) && dwarf_child(&function, ret) == 0;
}

bool ca_variable_local(struct ca_modules *modules, struct ca_local_frame *frame, uint64_t address,
                       struct ca_variable *ret)
{
    Dwarf_Die function;
    Dwarf_Attribute base;
    size_t seen = 0;
    if (!function_at(modules, frame->pc, &function, &frame->bias))
        return false;
    frame->frame_base = dwarf_attr_integrate(&function, DW_AT_frame_base, &base);
    bool found = find_in_scope(frame, &function, address, 0, &seen, ret);
    frame->frame_base = NULL;
    return found;
}

bool ca_variable_captured(struct ca_modules *modules, uint64_t entry, uint64_t offset,
                          struct ca_variable *ret)
{
    Dwarf_Die child;
    if (!first_child(modules, entry, &child))
        return false;
    do {
        Dwarf_Attribute attr;
        Dwarf_Word place;
        if (!is_variable(&child) ||
            !dwarf_attr_integrate(&child, CA_DW_AT_GO_CLOSURE_OFFSET, &attr) ||
            dwarf_formudata(&attr, &place) || place != offset || !ca_die_type(&child, &ret->type))
            continue;
        ret->name = dwarf_diename(&child);
        return ret->name && *ret->name;
    } while (ca_die_next(&child));
    return false;
}

bool ca_variable_receiver(struct ca_modules *modules, uint64_t entry, struct ca_variable *ret)
{
    Dwarf_Die child;
    if (!first_child(modules, entry, &child))
        return false;
    do {
        if (dwarf_tag(&child) != DW_TAG_formal_parameter)
            continue;
        ret->name = dwarf_diename(&child);
        return ret->name && ca_die_type(&child, &ret->type);
    } while (ca_die_next(&child));
    return false;
}
