#include "unwind/lines.h"
#include "symbols/die.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>

#include "unwind/demangle.h"

enum { INLINE_DEPTH = 32, NAME_SIZE = 512 };

void ca_lines_init(struct ca_lines *lines, struct ca_modules *modules)
{
    memset(lines, 0, sizeof(*lines));
    lines->modules = modules;
}

void ca_lines_deinit(struct ca_lines *lines)
{
    ca_map_deinit(&lines->known);
    ca_vec_deinit(&lines->list);
}

/* To the DIE that stands where the thing was declared: in its namespace or class. */
static Dwarf_Die origin_of(Dwarf_Die *die)
{
    Dwarf_Die at = *die;
    for (int i = 0; i < 8; i++) {
        Dwarf_Attribute attr;
        Dwarf_Die next;
        if (!dwarf_attr(&at, DW_AT_abstract_origin, &attr) &&
            !dwarf_attr(&at, DW_AT_specification, &attr))
            break;
        if (!dwarf_formref_die(&attr, &next))
            break;
        at = next;
    }
    return at;
}

bool ca_lines_qualified(Dwarf_Die *die, char *text, size_t size)
{
    Dwarf_Die origin = origin_of(die), *scopes = NULL;
    int count = dwarf_getscopes_die(&origin, &scopes);
    size_t len = 0;
    bool ok = count > 0;
    for (int i = count - 1; ok && i >= 0; i--) {
        int tag = dwarf_tag(&scopes[i]);
        const char *name = dwarf_diename(&scopes[i]);
        bool scope = tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
                     tag == DW_TAG_class_type || tag == DW_TAG_union_type;
        if (i && (!scope || !name))
            continue;
        int n = name ? snprintf(text + len, size - len, "%s%s", len ? "::" : "", name) : 0;
        ok = n > 0 && (size_t)n < size - len;
        len += ok ? (size_t)n : 0;
    }
    free(scopes);
    return ok;
}

static const char *name_of(struct ca_strings *strings, Dwarf_Die *die)
{
    char text[NAME_SIZE];
    const char *name = dwarf_diename(die);
    if (ca_lines_qualified(die, text, sizeof(text)))
        name = text;
    return name ? ca_strings_intern(strings, name, strlen(name)) : NULL;
}

/* The chain of functions around an address, outermost first, by descending from the unit. */
static unsigned descend(Dwarf_Die *parent, uint64_t address, unsigned depth, Dwarf_Die *chain,
                        unsigned count)
{
    Dwarf_Die child;
    if (depth > 64 || count == INLINE_DEPTH || dwarf_child(parent, &child) != 0)
        return count;
    do {
        switch (dwarf_tag(&child)) {
        case DW_TAG_namespace:
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
            if (!count) {
                unsigned found = descend(&child, address, depth + 1, chain, count);
                if (found)
                    return found;
            }
            break;
        case DW_TAG_subprogram:
        case DW_TAG_inlined_subroutine:
            if (dwarf_haspc(&child, address) == 1) {
                chain[count] = child;
                return descend(&child, address, depth + 1, chain, count + 1);
            }
            break;
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
            if (dwarf_haspc(&child, address) == 1)
                return descend(&child, address, depth + 1, chain, count);
            break;
        }
    } while (ca_die_next(&child));
    return count;
}

static void call_site(struct ca_strings *strings, Dwarf_Die *unit, Dwarf_Die *inlined,
                      struct ca_line *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word file, line;
    Dwarf_Files *files;
    size_t count;
    if (dwarf_attr(inlined, DW_AT_call_line, &attr) && dwarf_formudata(&attr, &line) == 0)
        ret->line = line > UINT32_MAX ? 0 : (uint32_t)line;
    if (dwarf_attr(inlined, DW_AT_call_file, &attr) && dwarf_formudata(&attr, &file) == 0 &&
        dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count) {
        const char *name = dwarf_filesrc(files, file, NULL, NULL);
        if (name)
            ret->file = ca_strings_intern(strings, name, strlen(name));
    }
}

static bool by_dwarf(struct ca_lines *lines, struct ca_strings *strings, Dwfl_Module *dwfl,
                     uint64_t pc)
{
    Dwarf_Addr bias;
    Dwarf_Die chain[INLINE_DEPTH], *unit = dwfl_module_addrdie(dwfl, pc, &bias);
    if (!unit)
        return false;
    unsigned count = descend(unit, pc - bias, 0, chain, 0);
    if (!count)
        return false;
    struct ca_line place = {0};
    Dwfl_Line *row = dwfl_module_getsrc(dwfl, pc);
    int line = 0;
    const char *file = row ? dwfl_lineinfo(row, NULL, &line, NULL, NULL, NULL) : NULL;
    if (file)
        place.file = ca_strings_intern(strings, file, strlen(file));
    place.line = line > 0 ? (uint32_t)line : 0;
    for (unsigned i = count; i-- > 0;) {
        place.function = name_of(strings, &chain[i]);
        place.inlined = i > 0;
        if (!ca_vec_push(&lines->list, place))
            return false;
        if (i > 0)
            call_site(strings, unit, &chain[i], &place);
    }
    return true;
}

/* The nearest symbol says nothing of a stripped function behind it: only one that holds pc counts.
 */
static const char *by_symbol(struct ca_strings *strings, Dwfl_Module *dwfl, uint64_t pc)
{
    GElf_Off offset;
    GElf_Sym symbol;
    const char *name = dwfl_module_addrinfo(dwfl, pc, &offset, &symbol, NULL, NULL, NULL);
    if (!name || !*name || (symbol.st_size ? offset >= symbol.st_size : offset >= 256))
        return NULL;
    char text[NAME_SIZE];
    if (ca_demangle(name, text, sizeof(text)))
        name = text;
    return ca_strings_intern(strings, name, strlen(name));
}

static bool add(struct ca_lines *lines, struct ca_strings *strings, uint64_t pc)
{
    struct ca_module *module = ca_modules_at(lines->modules, pc);
    Dwfl_Module *dwfl = module ? ca_module_debug(lines->modules, module) : NULL;
    size_t before = lines->list.len;
    if (dwfl && by_dwarf(lines, strings, dwfl, pc))
        return true;
    lines->list.len = before;
    struct ca_line line = {.function = dwfl ? by_symbol(strings, dwfl, pc) : NULL};
    if (module && module->name && *module->name)
        line.file = ca_strings_intern(strings, module->name, strlen(module->name));
    return ca_vec_push(&lines->list, line);
}

size_t ca_lines_at(struct ca_lines *lines, struct ca_strings *strings, uint64_t pc,
                   const struct ca_line **ret)
{
    bool fresh;
    uint64_t *slot = ca_map_put(&lines->known, pc, &fresh);
    if (!slot)
        return 0;
    if (fresh) {
        size_t first = lines->list.len;
        if (!add(lines, strings, pc))
            return 0;
        *slot = (lines->list.len - first) << 32 | (first + 1);
    }
    if (!*slot)
        return 0;
    *ret = lines->list.data + (*slot & UINT32_MAX) - 1;
    return *slot >> 32;
}
