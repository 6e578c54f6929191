/* Static variables inside of functions: where a singleton lives, for example. They are looked for
 * only when a name with "::" is nothing else.
 */
#include <dwarf.h>
#include <string.h>

#include "runtimes/described/dies.h"
#include "symbols/die.h"
#include "unwind/lines.h"

enum { BLOCK_DEPTH = 8, NAME = 512 };

struct hunt {
    char function[NAME]; /* qualified */
    const char *last;    /* its last part */
    const char *variable;
    Dwarf_Die found;
    bool done;
};

static bool in_block(const struct hunt *hunt, Dwarf_Die *block, unsigned depth, Dwarf_Die *ret)
{
    Dwarf_Die child;
    if (depth > BLOCK_DEPTH || dwarf_child(block, &child) != 0)
        return false;
    do {
        Dwarf_Attribute attr;
        int tag = dwarf_tag(&child);
        const char *name = tag == DW_TAG_variable ? dwarf_diename(&child) : NULL;
        if (name && strcmp(name, hunt->variable) == 0 &&
            dwarf_attr_integrate(&child, DW_AT_location, &attr)) {
            Dwarf_Op *ops;
            size_t count;
            /* Those on the stack have a place too, but none that stays. */
            if (dwarf_getlocation(&attr, &ops, &count) == 0 && count &&
                ops[0].atom != DW_OP_fbreg && ops[0].atom != DW_OP_call_frame_cfa) {
                *ret = child;
                return true;
            }
        }
        if (tag == DW_TAG_lexical_block && in_block(hunt, &child, depth + 1, ret))
            return true;
    } while (ca_die_next(&child));
    return false;
}

static int on_function(Dwarf_Die *die, void *arg)
{
    struct hunt *hunt = arg;
    const char *name = dwarf_diename(die);
    char full[NAME];
    if (!name || strcmp(name, hunt->last) != 0 || !ca_lines_qualified(die, full, sizeof(full)) ||
        strcmp(full, hunt->function) != 0 || !in_block(hunt, die, 0, &hunt->found))
        return DWARF_CB_OK;
    hunt->done = true;
    return DWARF_CB_ABORT;
}

static bool in_module(struct ca_types *types, struct ca_module *module, struct hunt *hunt)
{
    Dwarf *dwarf = module->vdso ? NULL : ca_module_dwarf(types->modules, module);
    Dwarf_CU *unit = NULL;
    Dwarf_Die top;
    while (dwarf && !hunt->done && dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &top, NULL) == 0)
        dwarf_getfuncs(&top, on_function, hunt, 0);
    return hunt->done;
}

bool ca_dies_function_static(struct ca_types *types, const char *name, Dwarf_Die *ret,
                             struct ca_module **module)
{
    struct hunt hunt = {.done = false};
    size_t size = strlen(name);
    if (size >= sizeof(hunt.function))
        return false;
    memcpy(hunt.function, name, size + 1);
    char *split = NULL;
    for (char *at = hunt.function; (at = strstr(at, "::")); at += 2)
        split = at;
    if (!split || split == hunt.function)
        return false;
    *split = 0;
    hunt.variable = name + (split - hunt.function) + 2;
    hunt.last = hunt.function;
    for (const char *at = hunt.function; (at = strstr(at, "::")); at += 2)
        hunt.last = at + 2;
    struct ca_modules *modules = types->modules;
    for (size_t i = 0; i < modules->list.len; i++) {
        *module = &modules->list.data[i];
        if (in_module(types, *module, &hunt)) {
            *ret = hunt.found;
            return true;
        }
    }
    return false;
}
