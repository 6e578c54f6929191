#include "runtimes/described/suggest.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>

#include "base/distance.h"
#include "runtimes/described/dies.h"
#include "symbols/die.h"
#include "unwind/lines.h"

enum { LIST = 240, FAR = CA_DISTANCE_FAR };

static const char *last_of(const char *name)
{
    const char *last = name;
    for (; *name && *name != '<'; name++)
        if (name[0] == ':' && name[1] == ':')
            last = name + 2;
    return last;
}

static bool is_of(int tag, bool type)
{
    if (!type)
        return tag == DW_TAG_variable || tag == DW_TAG_member;
    return tag == DW_TAG_structure_type || tag == DW_TAG_class_type || tag == DW_TAG_union_type ||
           tag == DW_TAG_enumeration_type || tag == DW_TAG_typedef;
}

static const char *nearest(struct ca_types *types, const char *name, bool type)
{
    const char *word = last_of(name);
    unsigned best = FAR;
    Dwarf_Die found;
    for (size_t i = 0; i < types->entries.len && best; i++) {
        Dwarf_Die die = types->entries.data[i].die;
        const struct ca_module *module = types->entries.data[i].module;
        if (module != types->module && !module->main)
            continue;
        const char *other = is_of(dwarf_tag(&die), type) ? dwarf_diename(&die) : NULL;
        unsigned far = other ? ca_distance(word, other) : FAR;
        if (far < best) {
            best = far;
            found = die;
        }
    }
    char full[512];
    if (best == FAR || !ca_lines_qualified(&found, full, sizeof(full)) || !strcmp(full, name))
        return "";
    const char *text = ca_arena_printf(types->arena, "; did you mean \"%s\"?", full);
    return text ? text : "";
}

const char *ca_suggest_type(struct ca_types *types, const char *name)
{
    return types->layout ? "" : nearest(types, name, true);
}

const char *ca_suggest_variable(struct ca_types *types, const char *name)
{
    if (types->layout)
        return " (with a layout, only what its \"globals\" say)";
    if (ca_dies_gone(types, name))
        return ": it is in the source, but the compiler left it no place in memory";
    return nearest(types, name, false);
}

const char *ca_suggest_dot(struct ca_types *types, const struct ca_ctype *here, const char *name)
{
    struct ca_cmember member;
    if (!here || here->kind != CA_CTYPE_STRUCT || !ca_types_member(types, here, name, &member))
        return NULL;
    return ca_arena_printf(types->arena, "; did you mean \".%s\", the member of %s?", name,
                           *here->name ? here->name : "the struct");
}

struct listing {
    char text[LIST + 32];
    size_t len;
};

static void list_name(struct listing *list, const char *name)
{
    size_t size = strlen(name);
    if (list->len + size + 2 > LIST) {
        if (list->len <= LIST && list->len) {
            strcpy(list->text + list->len, ", ...");
            list->len = LIST + 1;
        }
        return;
    }
    list->len += (size_t)sprintf(list->text + list->len, "%s%s", list->len ? ", " : "", name);
}

static void list_members(struct ca_types *types, Dwarf_Die *parent, unsigned depth,
                         struct listing *list)
{
    Dwarf_Die child, type, real;
    if (depth > 4 || dwarf_child(parent, &child) != 0)
        return;
    do {
        int tag = dwarf_tag(&child);
        const char *name = tag == DW_TAG_member ? dwarf_diename(&child) : NULL;
        if ((tag != DW_TAG_member && tag != DW_TAG_inheritance) ||
            ca_die_flag(&child, DW_AT_external))
            continue;
        if (name)
            list_name(list, name);
        else if (ca_die_type(&child, &type) && ca_die_peel(&type, &real))
            list_members(types, &real, depth + 1, list);
    } while (ca_die_next(&child));
}

const char *ca_suggest_enumerators(struct ca_types *types, const struct ca_ctype *type)
{
    struct listing list = {.len = 0};
    const struct ca_node *node = type->enumerators ? type->enumerators->child : NULL;
    for (; node; node = node->next)
        list_name(&list, node->key ? node->key : node->text);
    Dwarf_Die die = type->die, child;
    if (type->has_die && dwarf_child(&die, &child) == 0)
        do
            if (dwarf_tag(&child) == DW_TAG_enumerator && dwarf_diename(&child))
                list_name(&list, dwarf_diename(&child));
        while (ca_die_next(&child));
    const char *text =
        list.len ? ca_arena_printf(types->arena, "; the enum has %s", list.text) : "";
    return text ? text : "";
}

const char *ca_suggest_members(struct ca_types *types, const struct ca_ctype *type)
{
    struct listing list = {.len = 0};
    for (const struct ca_cmember *m = type->members; m; m = m->next)
        list_name(&list, m->name);
    Dwarf_Die die = type->die;
    if (type->has_die)
        list_members(types, &die, 0, &list);
    const char *text =
        list.len ? ca_arena_printf(types->arena, "; it has %s", list.text)
                 : "; it has no members (only declared here, or without debug information)";
    return text ? text : "";
}
