#include "runtimes/described/types.h"

#include <dwarf.h>
#include <string.h>

#include "runtimes/described/dies.h"
#include "symbols/die.h"
#include "unwind/lines.h"

void ca_types_init(struct ca_types *types, struct ca_arena *arena, struct ca_modules *modules,
                   struct ca_module *module, const struct ca_node *layout)
{
    memset(types, 0, sizeof(*types));
    types->arena = arena;
    types->modules = modules;
    types->module = module;
    types->arch = modules->target->arch;
    types->layout = layout;
}

void ca_types_deinit(struct ca_types *types)
{
    ca_map_deinit(&types->index);
    ca_vec_deinit(&types->entries);
    ca_map_deinit(&types->declared);
    ca_map_deinit(&types->by_die);
    ca_map_deinit(&types->named);
}

bool ca_types_scalar(const struct ca_ctype *type)
{
    return type && (type->kind == CA_CTYPE_INT || type->kind == CA_CTYPE_ENUM ||
                    type->kind == CA_CTYPE_POINTER);
}

static struct ca_ctype *make(struct ca_types *types, enum ca_ctype_kind kind, const char *name,
                             uint64_t size)
{
    struct ca_ctype *type = ca_arena_alloc(types->arena, sizeof(*type));
    if (!type) {
        types->nomem = true;
        return NULL;
    }
    type->kind = kind;
    type->name = name ? name : "";
    type->size = size;
    return type;
}

const struct ca_ctype *ca_types_pointer(struct ca_types *types, const struct ca_ctype *target)
{
    struct ca_ctype *type = make(types, CA_CTYPE_POINTER, "", 8);
    if (type)
        type->target = target;
    return type;
}

const struct ca_ctype *ca_types_int(struct ca_types *types, uint64_t size, bool is_signed)
{
    struct ca_ctype *type = make(types, CA_CTYPE_INT, "", size);
    if (type)
        type->is_signed = is_signed;
    return type;
}

static uint64_t array_count(Dwarf_Die *die)
{
    Dwarf_Die child;
    uint64_t count = 1;
    bool known = false;
    if (dwarf_child(die, &child) != 0)
        return 0;
    do {
        Dwarf_Attribute attr;
        Dwarf_Word number;
        if (dwarf_tag(&child) != DW_TAG_subrange_type)
            continue;
        if (dwarf_attr(&child, DW_AT_count, &attr) && dwarf_formudata(&attr, &number) == 0)
            ;
        else if (dwarf_attr(&child, DW_AT_upper_bound, &attr) &&
                 dwarf_formudata(&attr, &number) == 0)
            number++;
        else
            return 0;
        if (number > UINT32_MAX || __builtin_mul_overflow(count, number, &count))
            return 0;
        known = true;
    } while (ca_die_next(&child));
    return known ? count : 0;
}

static void fill_scalar(struct ca_ctype *type, Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    Dwarf_Word encoding = 0;
    if (dwarf_attr(die, DW_AT_encoding, &attr))
        dwarf_formudata(&attr, &encoding);
    type->is_signed = encoding == DW_ATE_signed || encoding == DW_ATE_signed_char;
    type->is_char = encoding == DW_ATE_signed_char || encoding == DW_ATE_unsigned_char ||
                    encoding == DW_ATE_UTF;
    if (type->size > 8)
        type->kind = CA_CTYPE_STRUCT;
}

static struct ca_ctype *build(struct ca_types *types, Dwarf_Die *die)
{
    const char *name = dwarf_diename(die);
    int size = dwarf_bytesize(die);
    struct ca_ctype *type =
        make(types, CA_CTYPE_VOID, name ? name : "", size < 0 ? 0 : (uint64_t)size);
    if (!type)
        return NULL;
    type->die = *die;
    type->has_die = true;
    switch (dwarf_tag(die)) {
    case DW_TAG_base_type:
        type->kind = CA_CTYPE_INT;
        fill_scalar(type, die);
        break;
    case DW_TAG_enumeration_type:
        type->kind = size > 8 || size <= 0 ? CA_CTYPE_VOID : CA_CTYPE_ENUM;
        break;
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
        type->kind = CA_CTYPE_POINTER;
        type->size = 8;
        type->has_target_die = ca_die_type(die, &type->target_die);
        break;
    case DW_TAG_array_type:
        type->kind = CA_CTYPE_ARRAY;
        type->count = array_count(die);
        type->has_target_die = ca_die_type(die, &type->target_die);
        break;
    case DW_TAG_subroutine_type:
        type->kind = CA_CTYPE_CODE;
        break;
    default:
        type->kind = CA_CTYPE_STRUCT;
        break;
    }
    return type;
}

/* A declared struct stands for the definition of the same name, wherever that is. */
static const struct ca_ctype *from_die(struct ca_types *types, Dwarf_Die *die)
{
    Dwarf_Die real;
    if (!ca_die_peel(die, &real))
        return NULL;
    uint64_t *slot = ca_map_put(&types->by_die, (uintptr_t)real.addr, NULL);
    if (!slot) {
        types->nomem = true;
        return NULL;
    }
    if (*slot)
        return (const struct ca_ctype *)(uintptr_t)*slot;
    const struct ca_ctype *type = NULL;
    if (ca_die_flag(&real, DW_AT_declaration)) {
        char name[512];
        Dwarf_Die full;
        if (ca_lines_qualified(&real, name, sizeof(name)) && ca_dies_type(types, name, &full) &&
            !ca_die_flag(&full, DW_AT_declaration))
            type = from_die(types, &full);
    }
    if (!type)
        type = build(types, &real);
    /* `typedef struct {...} name;` is another struct in each unit: only its name joins them. */
    if (type && !*type->name && type->kind == CA_CTYPE_STRUCT && dwarf_tag(die) == DW_TAG_typedef &&
        dwarf_diename(die))
        ((struct ca_ctype *)type)->name = dwarf_diename(die);
    slot = ca_map_get(&types->by_die, (uintptr_t)real.addr);
    if (slot)
        *slot = (uintptr_t)type;
    return type;
}

const struct ca_ctype *ca_types_target(struct ca_types *types, const struct ca_ctype *type)
{
    if (type->target || !type->has_target_die)
        return type->target;
    Dwarf_Die die = type->target_die;
    const struct ca_ctype *target = from_die(types, &die);
    ((struct ca_ctype *)type)->target = target;
    if (type->kind == CA_CTYPE_ARRAY && target && !type->size &&
        __builtin_mul_overflow(type->count, target->size, &((struct ca_ctype *)type)->size))
        ((struct ca_ctype *)type)->size = 0;
    return target;
}

static const struct ca_ctype *find_base(struct ca_types *types, const char *name)
{
    static const struct {
        const char *name;
        uint8_t size, is_signed, is_char;
    } bases[] = {{"u8", 1, 0, 0},       {"u16", 2, 0, 0},   {"u32", 4, 0, 0},   {"u64", 8, 0, 0},
                 {"i8", 1, 1, 0},       {"i16", 2, 1, 0},   {"i32", 4, 1, 0},   {"i64", 8, 1, 0},
                 {"char", 1, 1, 1},     {"bool", 1, 0, 0},  {"int", 4, 1, 0},   {"long", 8, 1, 0},
                 {"unsigned", 4, 0, 0}, {"short", 2, 1, 0}, {"size_t", 8, 0, 0}};
    for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++) {
        if (strcmp(name, bases[i].name) != 0)
            continue;
        struct ca_ctype *type = make(types, CA_CTYPE_INT, bases[i].name, bases[i].size);
        if (type) {
            type->is_signed = bases[i].is_signed;
            type->is_char = bases[i].is_char;
        }
        return type;
    }
    if (strcmp(name, "void") == 0)
        return make(types, CA_CTYPE_VOID, "void", 0);
    if (strcmp(name, "code") == 0)
        return make(types, CA_CTYPE_CODE, "code", 0);
    return NULL;
}

const struct ca_ctype *ca_types_find(struct ca_types *types, const char *name)
{
    size_t size = strlen(name), stars = 0;
    while (size && name[size - 1] == '*') {
        size--;
        stars++;
    }
    char bare[512];
    if (!size || size >= sizeof(bare))
        return NULL;
    memcpy(bare, name, size);
    bare[size] = 0;
    const struct ca_ctype *type = find_base(types, bare);
    if (!type && types->layout)
        type = ca_layout_find(types, bare);
    Dwarf_Die die;
    if (!type && !types->layout && ca_dies_type(types, bare, &die))
        type = from_die(types, &die);
    for (; type && stars; stars--)
        type = ca_types_pointer(types, type);
    return type;
}

static bool bit_field(Dwarf_Die *die, uint64_t size, struct ca_cmember *ret)
{
    Dwarf_Word width, bit;
    if (!ca_die_number(die, DW_AT_bit_size, &width))
        return true;
    if (!width || width > 64 || !size || size > 8)
        return false;
    if (ca_die_number(die, DW_AT_data_bit_offset, &bit)) {
        ret->offset = bit / (size * 8) * size;
        bit %= size * 8;
    } else if (ca_die_number(die, DW_AT_bit_offset, &bit) && bit + width <= size * 8) {
        bit = size * 8 - bit - width;
    } else {
        return false;
    }
    if (bit + width > size * 8)
        return false;
    ret->shift = (uint8_t)bit;
    ret->width = (uint8_t)width;
    return true;
}

static bool die_member(struct ca_types *types, Dwarf_Die *parent, const char *name, unsigned depth,
                       struct ca_cmember *ret)
{
    Dwarf_Die child;
    if (depth > 8 || dwarf_child(parent, &child) != 0)
        return false;
    do {
        int tag = dwarf_tag(&child);
        if (tag != DW_TAG_member && tag != DW_TAG_inheritance)
            continue;
        const char *child_name = tag == DW_TAG_member ? dwarf_diename(&child) : NULL;
        if (child_name && strcmp(child_name, name) != 0)
            continue;
        Dwarf_Die type_die, real;
        Dwarf_Word offset = 0;
        if (ca_die_flag(&child, DW_AT_external) || !ca_die_type(&child, &type_die))
            continue;
        ca_die_number(&child, DW_AT_data_member_location, &offset);
        if (child_name) {
            *ret = (struct ca_cmember){.name = name, .offset = offset};
            ret->type = from_die(types, &type_die);
            if (ret->type && ret->type->kind == CA_CTYPE_ARRAY)
                ca_types_target(types, ret->type);
            return ret->type && bit_field(&child, ret->type->size, ret);
        }
        const struct ca_ctype *inner = from_die(types, &type_die);
        if (!inner || !inner->has_die || inner->kind != CA_CTYPE_STRUCT)
            continue;
        real = inner->die;
        if (die_member(types, &real, name, depth + 1, ret)) {
            ret->offset += offset;
            return true;
        }
    } while (ca_die_next(&child));
    return false;
}

bool ca_types_member(struct ca_types *types, const struct ca_ctype *type, const char *name,
                     struct ca_cmember *ret)
{
    for (const struct ca_cmember *m = type->members; m; m = m->next) {
        if (strcmp(m->name, name) == 0) {
            *ret = *m;
            return true;
        }
    }
    if (!type->has_die)
        return false;
    Dwarf_Die die = type->die;
    return die_member(types, &die, name, 0, ret);
}

static bool die_enumerator(Dwarf_Die *die, const char *name, uint64_t *value, const char **found)
{
    Dwarf_Die child;
    if (dwarf_child(die, &child) != 0)
        return false;
    do {
        Dwarf_Attribute attr;
        Dwarf_Sword number;
        const char *child_name = dwarf_diename(&child);
        if (dwarf_tag(&child) != DW_TAG_enumerator || !child_name ||
            !dwarf_attr(&child, DW_AT_const_value, &attr) || dwarf_formsdata(&attr, &number) != 0)
            continue;
        if (name ? strcmp(name, child_name) == 0 : (uint64_t)number == *value) {
            *value = (uint64_t)number;
            *found = child_name;
            return true;
        }
    } while (ca_die_next(&child));
    return false;
}

/* A list of names from 0, or a map of names to numbers; ca_layout_check has seen it. */
static const char *layout_enumerator(const struct ca_node *list, const char *name, uint64_t *value)
{
    uint64_t number = 0;
    bool map = list && list->kind == CA_NODE_MAP;
    for (const struct ca_node *node = list ? list->child : NULL; node; node = node->next) {
        const char *word = map ? node->key : node->text;
        if (node->kind != CA_NODE_SCALAR || (map && strcmp(word, "size") == 0))
            continue;
        if (map)
            number = strtoull(node->text, NULL, 0);
        if (name ? strcmp(word, name) == 0 : number == *value) {
            *value = number;
            return word;
        }
        number++;
    }
    return NULL;
}

bool ca_types_enumerator(struct ca_types *types, const struct ca_ctype *type, const char *name,
                         uint64_t *ret)
{
    const char *last = strrchr(name, ':');
    last = last ? last + 1 : name;
    const char *found;
    if (type && type->enumerators)
        return layout_enumerator(type->enumerators, last, ret) != NULL;
    if (type && type->has_die) {
        Dwarf_Die die = type->die;
        return die_enumerator(&die, last, ret, &found);
    }
    if (type)
        return false;
    if (!types->layout)
        return ca_dies_enumerator(types, name, ret);
    const struct ca_node *enums = ca_node_get(types->layout, "enums");
    for (const struct ca_node *node = enums ? enums->child : NULL; node; node = node->next)
        if (layout_enumerator(node, last, ret))
            return true;
    return false;
}

const char *ca_types_enum_name(struct ca_types *types, const struct ca_ctype *type, uint64_t value)
{
    (void)types;
    const char *found = NULL;
    if (type->enumerators) {
        return layout_enumerator(type->enumerators, NULL, &value);
    }
    Dwarf_Die die = type->die;
    return type->has_die && die_enumerator(&die, NULL, &value, &found) ? found : NULL;
}

bool ca_types_global(struct ca_types *types, const char *name, struct ca_cglobal *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (types->layout)
        return ca_layout_global(types, name, ret);
    struct ca_types_entry entry;
    Dwarf_Die type_die;
    if (ca_dies_variable(types, name, &entry, &ret->address, &ret->thread_local)) {
        ret->module = entry.module;
        if (ca_die_type(&entry.die, &type_die))
            ret->type = from_die(types, &type_die);
        if (ret->type && ret->type->kind == CA_CTYPE_ARRAY)
            ca_types_target(types, ret->type);
        return true;
    }
    return false;
}
