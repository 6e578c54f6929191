#include "symbols/layout.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"
#include "symbols/die.h"

/* Typedefs of typedefs, and structs without a name in structs: deeper than any real one. */
enum { DEPTH_MAX = 32 };

/* A name out of a list separated by '|'. */
struct word {
    const char *text;
    size_t size;
};

/* A wanted type's name, and the DIE that was found for it. */
struct type {
    struct word name;
    bool found;
    Dwarf_Die die;
};

struct types {
    CA_VEC(struct type) list;
    struct ca_map index; /* hash of a name -> its index in list, plus 1 */
    size_t missing;
};

/* Takes the next word off a list; false at its end. */
static bool next_word(const char **list, struct word *word)
{
    if (!*list)
        return false;
    const char *end = strchr(*list, '|');
    word->text = *list;
    word->size = end ? (size_t)(end - *list) : strlen(*list);
    *list = end ? end + 1 : NULL;
    return true;
}

static struct type *find_type(const struct types *types, const char *name, size_t size)
{
    const uint64_t *at = ca_map_get(&types->index, ca_hash_bytes(name, size));
    if (!at)
        return NULL;
    struct type *type = &types->list.data[*at - 1];
    return type->name.size == size && !memcmp(type->name.text, name, size) ? type : NULL;
}

static bool want_type(struct types *types, struct word name)
{
    uint64_t *at = ca_map_put(&types->index, ca_hash_bytes(name.text, name.size), NULL);
    if (!at)
        return false;
    if (*at)
        return true;
    if (!ca_vec_push(&types->list, (struct type){.name = name}))
        return false;
    *at = types->list.len;
    types->missing++;
    return true;
}

static bool is_type(int tag)
{
    switch (tag) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_typedef:
    case DW_TAG_base_type:
    case DW_TAG_array_type:
    case DW_TAG_pointer_type:
        return true;
    default:
        return false;
    }
}

static void offer_die(struct types *types, Dwarf_Die *die)
{
    if (!is_type(dwarf_tag(die)))
        return;
    const char *name = dwarf_diename(die);
    struct type *type = name ? find_type(types, name, strlen(name)) : NULL;
    if (!type || dwarf_hasattr(die, DW_AT_declaration))
        return;
    /* "struct task" and "typedef struct task *task" may share a name: the struct is meant. */
    bool alias = dwarf_tag(die) == DW_TAG_typedef;
    if (type->found && (alias || dwarf_tag(&type->die) != DW_TAG_typedef))
        return;
    if (!type->found)
        types->missing--;
    type->found = true;
    type->die = *die;
}

/* Offers the children of a unit until all is found. Offsets must grow: broken DWARF may go round.
 */
static void walk_children(struct types *types, Dwarf_Die *parent)
{
    Dwarf_Die die;
    if (dwarf_child(parent, &die))
        return;
    for (;;) {
        offer_die(types, &die);
        if (!types->missing || !ca_die_next(&die))
            return;
    }
}

static void walk_units(struct types *types, Dwarf *dwarf, const char *unit)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die die;
    while (types->missing && !dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &die, NULL)) {
        int tag = dwarf_tag(&die);
        if (tag != DW_TAG_compile_unit && tag != DW_TAG_partial_unit && tag != DW_TAG_type_unit)
            continue;
        if (unit) {
            const char *name = dwarf_diename(&die);
            if (!name || strcmp(name, unit))
                continue;
        }
        walk_children(types, &die);
    }
}

static bool member_offset(Dwarf_Die *member, uint64_t *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word value;
    *ret = 0;
    if (dwarf_attr(member, DW_AT_data_member_location, &attr)) {
        if (!dwarf_formudata(&attr, &value)) {
            *ret = value;
            return true;
        }
        Dwarf_Op *expr;
        size_t count;
        if (dwarf_getlocation(&attr, &expr, &count) || count != 1 ||
            expr->atom != DW_OP_plus_uconst)
            return false;
        *ret = expr->number;
        return true;
    }
    if (dwarf_attr(member, DW_AT_data_bit_offset, &attr)) {
        if (dwarf_formudata(&attr, &value))
            return false;
        *ret = value / 8;
    }
    return true; /* none: a member of a union */
}

/* Finds a member by name, in structs and unions without a name too; adds its place to *offset and
 * makes *type its type. type and member must be different. */
static bool find_member(Dwarf_Die *type, struct word name, int depth, uint64_t *offset,
                        Dwarf_Die *member_type)
{
    Dwarf_Die inner = *type, member;
    if (depth >= DEPTH_MAX || !ca_die_peel(&inner, &inner) || dwarf_child(&inner, &member))
        return false;
    for (;;) {
        if (dwarf_tag(&member) == DW_TAG_member) {
            const char *is = dwarf_diename(&member);
            uint64_t at;
            bool match = is && strlen(is) == name.size && !memcmp(is, name.text, name.size);
            if ((match || !is || !*is) && member_offset(&member, &at) &&
                ca_die_type(&member, member_type)) {
                Dwarf_Die within = *member_type;
                if (match) {
                    *offset += at;
                    return true;
                }
                uint64_t sum = *offset + at;
                if (find_member(&within, name, depth + 1, &sum, member_type)) {
                    *offset = sum;
                    return true;
                }
            }
        }
        if (!ca_die_next(&member))
            return false;
    }
}

static bool size_of(Dwarf_Die *type, uint64_t *ret)
{
    Dwarf_Word size;
    if (dwarf_aggregate_size(type, &size))
        return false;
    *ret = size;
    return true;
}

/* The number of elements of an array's first dimension. */
static bool array_count(Dwarf_Die *array, uint64_t *ret)
{
    Dwarf_Die range;
    Dwarf_Attribute attr;
    Dwarf_Word value;
    if (dwarf_tag(array) != DW_TAG_array_type || dwarf_child(array, &range))
        return false;
    for (;;) {
        if (dwarf_tag(&range) == DW_TAG_subrange_type) {
            if (dwarf_attr(&range, DW_AT_count, &attr) && !dwarf_formudata(&attr, &value))
                *ret = value;
            else if (dwarf_attr(&range, DW_AT_upper_bound, &attr) &&
                     !dwarf_formudata(&attr, &value))
                *ret = value + 1;
            else
                return false;
            return true;
        }
        if (!ca_die_next(&range))
            return false;
    }
}

/* What a path asks for at its end. */
enum asked {
    ASKED_OFFSET,
    ASKED_SIZE,
    ASKED_ELEMENT,
    ASKED_COUNT,
};

static enum asked take_suffix(struct word *path)
{
    static const struct {
        const char *text;
        enum asked asked;
    } suffixes[] = {{":size", ASKED_SIZE}, {"[]", ASKED_ELEMENT}, {"[n]", ASKED_COUNT}};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        size_t size = strlen(suffixes[i].text);
        if (path->size >= size && !memcmp(path->text + path->size - size, suffixes[i].text, size)) {
            path->size -= size;
            return suffixes[i].asked;
        }
    }
    return path->size ? ASKED_OFFSET : ASKED_SIZE;
}

static bool answer(enum asked asked, Dwarf_Die *type, uint64_t offset, uint64_t *ret)
{
    Dwarf_Die inner;
    switch (asked) {
    case ASKED_OFFSET:
        *ret = offset;
        return true;
    case ASKED_SIZE:
        return size_of(type, ret);
    case ASKED_ELEMENT:
        return ca_die_peel(type, type) &&
               (dwarf_tag(type) == DW_TAG_array_type || dwarf_tag(type) == DW_TAG_pointer_type) &&
               ca_die_type(type, &inner) && size_of(&inner, ret);
    case ASKED_COUNT:
        return ca_die_peel(type, type) && array_count(type, ret);
    }
    return false;
}

static bool resolve(Dwarf_Die die, struct word path, int32_t *ret)
{
    enum asked asked = take_suffix(&path);
    uint64_t offset = 0, value;
    while (path.size) {
        const char *dot = memchr(path.text, '.', path.size);
        struct word name = {path.text, dot ? (size_t)(dot - path.text) : path.size};
        Dwarf_Die member;
        if (!find_member(&die, name, 0, &offset, &member))
            return false;
        die = member;
        size_t taken = name.size + (dot ? 1 : 0);
        path.text += taken;
        path.size -= taken;
    }
    if (!answer(asked, &die, offset, &value) || value > INT32_MAX)
        return false;
    *ret = (int32_t)value;
    return true;
}

/* Candidates of the type first, of the path second. */
static bool bind_one(const struct types *types, const struct ca_layout_want *want, bool *type_found,
                     int32_t *ret)
{
    const char *names = want->type;
    struct word name;
    *type_found = false;
    while (next_word(&names, &name)) {
        struct type *type = find_type(types, name.text, name.size);
        if (!type || !type->found)
            continue;
        *type_found = true;
        const char *paths = want->path;
        struct word path;
        while (next_word(&paths, &path))
            if (resolve(type->die, path, ret))
                return true;
    }
    return false;
}

static struct ca_error *bind(const struct types *types, const struct ca_layout_want *wants,
                             size_t count, int32_t *offsets)
{
    for (size_t i = 0; i < count; i++) {
        bool type_found;
        offsets[i] = CA_LAYOUT_ABSENT;
        if (bind_one(types, &wants[i], &type_found, &offsets[i]) || wants[i].optional)
            continue;
        if (!type_found)
            return ca_error_create(CA_ERROR_NOT_FOUND, "the debug information has no type %s",
                                   wants[i].type);
        return ca_error_create(CA_ERROR_NOT_FOUND, "the debug information has no %s in type %s",
                               *wants[i].path ? wants[i].path : "size", wants[i].type);
    }
    return NULL;
}

struct ca_error *ca_layout_bind(Dwarf *dwarf, const char *unit, const struct ca_layout_want *wants,
                                size_t count, int32_t *offsets)
{
    struct types types = {0};
    struct ca_error *error = NULL;
    for (size_t i = 0; i < count && !error; i++) {
        const char *names = wants[i].type;
        struct word name;
        while (!error && next_word(&names, &name))
            if (!want_type(&types, name))
                error = &ca_error_nomem;
    }
    if (!error) {
        walk_units(&types, dwarf, unit);
        error = bind(&types, wants, count, offsets);
    }
    ca_vec_deinit(&types.list);
    ca_map_deinit(&types.index);
    return error;
}
