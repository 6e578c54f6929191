/* Types and globals from a layout of the description itself, for programs without DWARF:
 *
 *   layouts:
 *     - arch: amd64
 *       soname: libpth.so.20
 *       types:
 *         pth_st: {size: 0x230, q_next: pth_st* @0, name: "char[40] @0x18"}
 *         task: {id: "u32 @8 bits 0..19"}    # a bit field
 *       enums:
 *         pth_state: [SCHEDULER, NEW, READY] # from 0, 4 bytes
 *         other: {size: 1, FREE: 0, BUSY: 4}
 *       globals:
 *         __pth_NQ: pth_pqueue_st            # a symbol
 *         _st_this_vp: _st_vp @0x5060        # an offset in the module
 *         active: context* @thread+0x18      # an offset in its thread-local storage
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtimes/described/types.h"

enum { LAYOUT_TYPES = 256 };

struct spec {
    char type[256]; /* with stars */
    uint64_t count; /* 0: no array */
    bool placed, thread_local;
    uint64_t offset;
    uint8_t shift, width; /* of a bit field; width 0: none */
};

static const char *skip(const char *at)
{
    while (*at == ' ')
        at++;
    return at;
}

static bool number(const char **at, uint64_t *ret)
{
    if (!isdigit((unsigned char)**at))
        return false;
    char *end;
    *ret = strtoull(*at, &end, **at == '0' && ((*at)[1] | 32) == 'x' ? 16 : 10);
    *at = end;
    return true;
}

/* FIRST..LAST */
static bool parse_bits(const char *at, struct spec *ret)
{
    uint64_t first, last;
    if (!number(&at, &first) || strncmp(at, "..", 2) != 0)
        return false;
    at += 2;
    if (!number(&at, &last) || *skip(at) || last < first || last > 63)
        return false;
    ret->shift = (uint8_t)first;
    ret->width = (uint8_t)(last - first + 1);
    return true;
}

/* TYPE [ "[" N "]" ] [ "@" [ "thread+" ] N [ "bits" N ".." N ] ] */
static bool parse_spec(const char *text, struct spec *ret)
{
    memset(ret, 0, sizeof(*ret));
    const char *at = skip(text);
    size_t len = strcspn(at, "[@");
    while (len && at[len - 1] == ' ')
        len--;
    if (!len || len >= sizeof(ret->type))
        return false;
    size_t out = 0;
    for (size_t i = 0; i < len; i++)
        if (at[i] != ' ')
            ret->type[out++] = at[i];
    at = skip(at + len);
    if (*at == '[') {
        at = skip(at + 1);
        if (!number(&at, &ret->count) || !ret->count || ret->count > UINT32_MAX || *at++ != ']')
            return false;
        at = skip(at);
    }
    if (*at == '@') {
        at = skip(at + 1);
        if (strncmp(at, "thread+", 7) == 0) {
            ret->thread_local = true;
            at += 7;
        }
        if (!number(&at, &ret->offset))
            return false;
        ret->placed = true;
        at = skip(at);
    }
    if (ret->placed && strncmp(at, "bits ", 5) == 0)
        return parse_bits(skip(at + 5), ret);
    return !*at;
}

static const struct ca_ctype *spec_type(struct ca_types *types, const struct spec *spec)
{
    const struct ca_ctype *type = ca_types_find(types, spec->type);
    if (!type || !spec->count)
        return type;
    struct ca_ctype *array = ca_arena_alloc(types->arena, sizeof(*array));
    if (!array)
        return NULL;
    array->kind = CA_CTYPE_ARRAY;
    array->name = "";
    array->count = spec->count;
    array->target = type;
    if (__builtin_mul_overflow(type->size, spec->count, &array->size))
        return NULL;
    return array;
}

/* A member's type may be the struct itself (a pointer to it), so the struct is known before. */
static void add_members(struct ca_types *types, struct ca_ctype *type, const struct ca_node *map)
{
    for (const struct ca_node *node = map->child; node; node = node->next) {
        struct spec spec;
        const char *at = node->text;
        if (node->kind != CA_NODE_SCALAR)
            continue;
        if (strcmp(node->key, "size") == 0 && number(&at, &type->size) && !*at)
            continue;
        struct ca_cmember *member = ca_arena_alloc(types->arena, sizeof(*member));
        if (!member || !parse_spec(node->text, &spec) || !spec.placed || spec.thread_local)
            continue;
        member->name = node->key;
        member->offset = spec.offset;
        member->type = spec_type(types, &spec);
        member->shift = spec.shift;
        member->width = spec.width;
        if (!member->type || spec.shift + spec.width > member->type->size * 8)
            continue;
        member->next = type->members;
        type->members = member;
        uint64_t end;
        if (!__builtin_add_overflow(spec.offset, member->type->size, &end) && end > type->size)
            type->size = end;
    }
}

const struct ca_ctype *ca_layout_find(struct ca_types *types, const char *name)
{
    uint64_t hash = ca_hash_bytes(name, strlen(name));
    const uint64_t *known = ca_map_get(&types->named, hash);
    if (known)
        return (const struct ca_ctype *)(uintptr_t)*known;
    const struct ca_node *maps = ca_node_get(types->layout, "types");
    const struct ca_node *enums = ca_node_get(types->layout, "enums");
    const struct ca_node *map = maps ? ca_node_get(maps, name) : NULL;
    const struct ca_node *list = !map && enums ? ca_node_get(enums, name) : NULL;
    struct ca_ctype *type = map || list ? ca_arena_alloc(types->arena, sizeof(*type)) : NULL;
    uint64_t *slot = type ? ca_map_put(&types->named, hash, NULL) : NULL;
    if (!slot)
        return NULL;
    *slot = (uintptr_t)type;
    type->name = name = map ? map->key : list->key;
    if (list) {
        const struct ca_node *size = list->kind == CA_NODE_MAP ? ca_node_get(list, "size") : NULL;
        type->kind = CA_CTYPE_ENUM;
        type->size = size ? strtoull(size->text, NULL, 0) : 4;
        type->is_signed = true;
        type->enumerators = list;
    } else {
        type->kind = CA_CTYPE_STRUCT;
        add_members(types, type, map);
    }
    return type;
}

bool ca_layout_global(struct ca_types *types, const char *name, struct ca_cglobal *ret)
{
    const struct ca_node *globals = ca_node_get(types->layout, "globals");
    const struct ca_node *node = globals ? ca_node_get(globals, name) : NULL;
    struct spec spec;
    if (!node || node->kind != CA_NODE_SCALAR || !parse_spec(node->text, &spec) || !types->module)
        return false;
    ret->type = spec_type(types, &spec);
    ret->module = types->module;
    ret->thread_local = spec.thread_local;
    ret->address = spec.thread_local ? spec.offset : spec.offset + types->module->bias;
    return ret->type && (spec.placed || ca_module_symbol(types->module, name, &ret->address, NULL));
}

static struct ca_error *check_specs(struct ca_types *types, const struct ca_node *map, bool members)
{
    for (const struct ca_node *node = map->child; node; node = node->next) {
        struct spec spec;
        const char *at = node->text;
        uint64_t size;
        if (node->kind != CA_NODE_SCALAR || !node->key)
            return ca_error_create(CA_ERROR_FORMAT, "line %u: \"TYPE @OFFSET\" was expected",
                                   node->line);
        if (members && strcmp(node->key, "size") == 0 && number(&at, &size) && !*at)
            continue;
        if (!parse_spec(node->text, &spec) || (members && (!spec.placed || spec.thread_local)))
            return ca_error_create(CA_ERROR_FORMAT, "line %u: %s: \"TYPE @OFFSET\" was expected",
                                   node->line, node->key);
        if (!spec_type(types, &spec))
            return ca_error_create(CA_ERROR_FORMAT, "line %u: %s: there is no type \"%s\"",
                                   node->line, node->key, spec.type);
    }
    return NULL;
}

/* A list of names, or a map of names and numbers. */
static struct ca_error *check_enum(const struct ca_node *list)
{
    if (list->kind == CA_NODE_SCALAR)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: a list of names was expected",
                               list->line);
    for (const struct ca_node *node = list->child; node; node = node->next) {
        char *end = NULL;
        bool map = list->kind == CA_NODE_MAP;
        bool is_size = map && strcmp(node->key, "size") == 0;
        uint64_t value = 0;
        if (node->kind == CA_NODE_SCALAR && map)
            value = strtoull(node->text, &end, 0);
        if (node->kind != CA_NODE_SCALAR || (map && (end == node->text || *end)) ||
            (is_size && value != 1 && value != 2 && value != 4 && value != 8))
            return ca_error_create(CA_ERROR_FORMAT, "line %u: a name and its number were expected",
                                   node->line);
    }
    return NULL;
}

struct ca_error *ca_layout_check(struct ca_types *types)
{
    const struct ca_node *maps = ca_node_get(types->layout, "types");
    const struct ca_node *globals = ca_node_get(types->layout, "globals");
    const struct ca_node *enums = ca_node_get(types->layout, "enums");
    const struct ca_node *all[] = {maps, globals, enums};
    for (size_t i = 0; i < 3; i++)
        if (all[i] && all[i]->kind != CA_NODE_MAP)
            return ca_error_create(CA_ERROR_FORMAT, "line %u: a map was expected", all[i]->line);
    /* Types may name each other: their number bounds how deep that can go. */
    unsigned count = 0;
    for (const struct ca_node *node = maps ? maps->child : NULL; node; node = node->next)
        if (++count > LAYOUT_TYPES)
            return ca_error_create(CA_ERROR_FORMAT, "line %u: more than %d types", node->line,
                                   LAYOUT_TYPES);
    for (const struct ca_node *node = enums ? enums->child : NULL; node; node = node->next) {
        struct ca_error *error = check_enum(node);
        if (error)
            return error;
    }
    for (const struct ca_node *node = maps ? maps->child : NULL; node; node = node->next) {
        if (node->kind != CA_NODE_MAP)
            return ca_error_create(CA_ERROR_FORMAT, "line %u: a map of members was expected",
                                   node->line);
        struct ca_error *error = check_specs(types, node, true);
        if (error)
            return error;
    }
    return globals ? check_specs(types, globals, false) : NULL;
}
