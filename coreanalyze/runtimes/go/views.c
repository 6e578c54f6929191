/* Which value a word of a thing belongs to, and what it points at. */
#include "runtimes/go/views.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 32, KEY_MAX = 60, TABLES_MAX = 1 << 24 };

/* ---- types, whoever knows them ------------------------------------------------------------- */

static uint64_t size_of(struct ca_go_heap *heap, const struct ca_go_view_type *type)
{
    if (type->descriptor)
        return ca_go_descriptor_size(heap, type->descriptor);
    return type->has_die ? ca_go_debug_size(type) : 0;
}

static bool elem_of(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                    struct ca_go_view_type *ret)
{
    *ret = (struct ca_go_view_type){0};
    /* The debug information knows the names of variables' types better, when it is there. */
    if (type->descriptor)
        return ca_go_descriptor_elem(heap, type, ret);
    return type->has_die && ca_go_debug_elem(heap, type, ret);
}

static bool field_at(struct ca_go_heap *heap, const struct ca_go_view_type *type, uint64_t offset,
                     struct ca_go_view_field *ret)
{
    if (type->descriptor)
        return ca_go_descriptor_field(heap, type, offset, ret);
    return type->has_die && ca_go_debug_field(heap, type, offset, ret);
}

const char *ca_go_view_name(struct ca_go_heap *heap, struct ca_strings *strings,
                            const struct ca_go_view_type *type)
{
    const char *name = NULL;
    if (type->kind == CA_GO_KIND_UNKNOWN)
        return NULL;
    if (type->descriptor)
        name = ca_go_descriptor_name(heap, strings, type->descriptor);
    if (!name && type->has_die) {
        Dwarf_Die die = type->die;
        const char *text = dwarf_diename(&die);
        name = text ? ca_strings_intern(strings, text, strnlen(text, 256)) : NULL;
    }
    return name;
}

/* ---- a value ------------------------------------------------------------------------------- */

/* Down to the part that begins nearest before the word. */
struct part {
    struct ca_go_view_type type;
    uint64_t address;   /* where it begins */
    struct ca_buf path; /* ".mu.waiters[2]" */
};

/* One level down; false: it has no parts, or they are not known. */
static bool descend(struct ca_go_heap *heap, struct part *part, uint64_t address)
{
    struct ca_go_view_field field;
    struct ca_go_view_type elem;
    uint64_t offset = address - part->address;
    if (part->type.kind == CA_GO_KIND_STRUCT) {
        if (!field_at(heap, &part->type, offset, &field))
            return false;
        ca_buf_printf(&part->path, ".%s", field.name);
        part->address += field.offset;
        part->type = field.type;
        return true;
    }
    if (part->type.kind != CA_GO_KIND_ARRAY || !elem_of(heap, &part->type, &elem))
        return false;
    uint64_t size = size_of(heap, &elem);
    if (size == 0)
        return false;
    ca_buf_printf(&part->path, "[%" PRIu64 "]", offset / size);
    part->address += offset / size * size;
    part->type = elem;
    return true;
}

/* The element of a row that the word is in. */
static bool pick(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                 struct part *ret)
{
    uint64_t size = size_of(heap, &view->type);
    *ret = (struct part){.type = view->type, .address = view->address};
    if (address < view->address || size == 0)
        return false;
    uint64_t offset = address - view->address;
    if (offset < size && view->shape == CA_GO_SHAPE_VALUE)
        return true;
    if (view->shape == CA_GO_SHAPE_VALUE)
        return false;
    ca_buf_printf(&ret->path, "[%" PRIu64 "]", offset / size);
    ret->address += offset / size * size;
    return true;
}

/* ".a.b[2]" as "field a.b[2]", "[3].c" as "element 3, field c". */
static void say_path(const struct ca_buf *path, struct ca_buf *ret)
{
    const char *at = path->data;
    ret->failed |= path->failed;
    if (!at || !*at)
        return;
    if (*at == '[') {
        const char *close = strchr(at, ']');
        ca_buf_puts(ret, ret->len ? ", element " : "element ");
        ca_buf_add(ret, at + 1, (size_t)(close - at) - 1);
        at = close + 1;
    }
    if (*at == '.') {
        ca_buf_puts(ret, ret->len ? ", field " : "field ");
        at++;
    }
    ca_buf_puts(ret, at);
}

static enum ca_go_shape shape_of(enum ca_go_kind kind)
{
    switch (kind) {
    case CA_GO_KIND_POINTER:
        return CA_GO_SHAPE_VALUE;
    case CA_GO_KIND_SLICE:
        return CA_GO_SHAPE_VALUES;
    case CA_GO_KIND_MAP:
        return CA_GO_SHAPE_MAP;
    case CA_GO_KIND_CHAN:
        return CA_GO_SHAPE_CHANNEL;
    case CA_GO_KIND_FUNC:
        return CA_GO_SHAPE_CLOSURE;
    default:
        return CA_GO_SHAPE_NONE;
    }
}

/* The dynamic type of an interface: its first word is the type, or a table that names it behind
 * one word (internal/abi/iface.go). */
static bool dynamic_type(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_type *ret)
{
    uint64_t first, type;
    struct ca_go_view_type inter;
    if (!ca_target_read_u64(heap->target, address, &first) || !first)
        return false;
    /* A table begins with the interface's own type: what that is tells the two apart. */
    if (ca_target_read_u64(heap->target, first, &type) && ca_go_descriptor(heap, type, &inter) &&
        inter.kind == CA_GO_KIND_INTERFACE && ca_target_read_u64(heap->target, first + 8, &type) &&
        ca_go_descriptor(heap, type, ret))
        return true;
    return ca_go_descriptor(heap, first, ret);
}

/* The word of a value that has no parts. */
static bool point(struct ca_go_heap *heap, struct part *part, uint64_t address,
                  struct ca_go_view_word *ret)
{
    uint64_t value;
    struct ca_go_view_type dynamic;
    ret->type = part->type;
    if (!ca_target_read_u64(heap->target, address, &value))
        return false;
    ret->leads = (struct ca_go_view){.address = value};
    if (part->type.kind == CA_GO_KIND_INTERFACE) {
        if (address != part->address + 8 || !dynamic_type(heap, part->address, &dynamic))
            return true;
        ret->type = dynamic;
        if (!ca_go_descriptor_direct(heap, dynamic.descriptor)) {
            ret->leads.shape = CA_GO_SHAPE_VALUE;
            ret->leads.type = dynamic;
            return true;
        }
        part->type = dynamic;
        part->address = address;
        for (int i = 0; i < DEPTH_MAX && descend(heap, part, address); i++)
            ;
        return part->type.kind == CA_GO_KIND_INTERFACE || point(heap, part, address, ret);
    }
    if (address != part->address)
        return true;
    ret->leads.shape = shape_of(part->type.kind);
    ret->leads.type = part->type;
    if ((ret->leads.shape == CA_GO_SHAPE_VALUE || ret->leads.shape == CA_GO_SHAPE_VALUES) &&
        !elem_of(heap, &part->type, &ret->leads.type))
        ret->leads.shape = CA_GO_SHAPE_NONE;
    return true;
}

/* sync/atomic.Pointer[T] keeps an unsafe.Pointer, and has a field _ [0]*T that says of what. */
static void type_atomic(struct ca_go_heap *heap, const struct ca_go_view_type *around,
                        struct ca_go_view_word *ret)
{
    struct ca_go_view_field first;
    struct ca_go_view_type pointer, elem;
    if (ret->type.kind != CA_GO_KIND_UNSAFE_POINTER || !around->descriptor ||
        !ca_go_descriptor_first(heap, around, &first) || first.type.kind != CA_GO_KIND_ARRAY ||
        size_of(heap, &first.type) != 0 || !elem_of(heap, &first.type, &pointer) ||
        pointer.kind != CA_GO_KIND_POINTER || !elem_of(heap, &pointer, &elem))
        return;
    ret->type = pointer;
    ret->leads.shape = CA_GO_SHAPE_VALUE;
    ret->leads.type = elem;
}

static bool word_of_part(struct ca_go_heap *heap, struct part *part, uint64_t address,
                         struct ca_go_view_word *ret)
{
    for (int i = 0; i < DEPTH_MAX; i++) {
        struct ca_go_view_type around = part->type;
        if (descend(heap, part, address)) {
            if (part->type.kind == CA_GO_KIND_UNSAFE_POINTER && point(heap, part, address, ret)) {
                type_atomic(heap, &around, ret);
                say_path(&part->path, &ret->name);
                return true;
            }
            continue;
        }
        bool known = point(heap, part, address, ret);
        say_path(&part->path, &ret->name);
        return known;
    }
    return false;
}

/* ---- maps ---------------------------------------------------------------------------------- */

bool ca_go_view_number(struct ca_target *target, enum ca_go_kind kind, uint64_t size,
                       uint64_t address, char ret[CA_GO_NUMBER_TEXT])
{
    uint64_t value = 0;
    if (kind < CA_GO_KIND_INT || kind > CA_GO_KIND_UINTPTR || size < 1 || size > 8 ||
        !ca_target_read(target, address, &value, size))
        return false;
    unsigned shift = 64 - 8 * (unsigned)size;
    if (kind <= CA_GO_KIND_INT64)
        snprintf(ret, CA_GO_NUMBER_TEXT, "%" PRId64, (int64_t)(value << shift) >> shift);
    else
        snprintf(ret, CA_GO_NUMBER_TEXT, "%" PRIu64, value);
    return true;
}

static void say_key(struct ca_go_heap *heap, const struct ca_go_view_type *type, uint64_t address,
                    struct ca_buf *ret)
{
    uint64_t words[2];
    char text[KEY_MAX], number[CA_GO_NUMBER_TEXT];
    if (type->kind == CA_GO_KIND_STRING && ca_target_read(heap->target, address, words, 16)) {
        size_t shown = words[1] < sizeof(text) ? (size_t)words[1] : sizeof(text);
        if (!ca_target_read(heap->target, words[0], text, shown))
            return;
        ca_buf_puts(ret, " of key \"");
        ca_buf_add(ret, text, shown);
        ca_buf_puts(ret, shown < words[1] ? "...\"" : "\"");
    } else if (ca_go_view_number(heap->target, type->kind, size_of(heap, type), address, number)) {
        ca_buf_printf(ret, " of key %s", number);
    }
}

/* The group's arrays: {topbits, keys, elems, overflow} until 1.23, {ctrl, slots [8]{key, elem}}
 * since 1.24, or {ctrl, keys, elems} (reflectdata/map_noswiss.go, map_swiss.go, map.go). */
static bool field_named(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                        const char *name, struct ca_go_view_field *ret)
{
    uint64_t size = size_of(heap, type);
    for (uint64_t at = 0; at < size && field_at(heap, type, at, ret);) {
        uint64_t end = ret->offset + size_of(heap, &ret->type);
        if (!strcmp(ret->name, name))
            return true;
        at = end > at ? (end + 7) & ~UINT64_C(7) : size;
    }
    return false;
}

/* Where the key is that belongs to a slot. */
static bool key_place(struct ca_go_heap *heap, const struct ca_go_view_type *group, uint64_t index,
                      struct ca_go_view_type *type, uint64_t *offset)
{
    struct ca_go_view_field keys, key;
    struct ca_go_view_type elem;
    if (field_named(heap, group, "keys", &keys)) {
        if (!elem_of(heap, &keys.type, type))
            return false;
        *offset = keys.offset + index * size_of(heap, type);
        return true;
    }
    if (!field_named(heap, group, "slots", &keys) || !elem_of(heap, &keys.type, &elem) ||
        !field_at(heap, &elem, 0, &key) || strcmp(key.name, "key") != 0)
        return false;
    *type = key.type;
    *offset = keys.offset + index * size_of(heap, &elem);
    return true;
}

/* From a slot of a group: a key or a value. part stands at the array of them. */
static bool slot_word(struct ca_go_heap *heap, const struct ca_go_view_type *group, uint64_t start,
                      struct part *part, uint64_t address, const char *array,
                      struct ca_go_view_word *ret)
{
    struct ca_go_view_type elem, key;
    struct ca_go_view_field field;
    uint64_t key_at;
    if (!elem_of(heap, &part->type, &elem))
        return false;
    uint64_t size = size_of(heap, &elem), index = size ? (address - part->address) / size : 0;
    bool is_key = !strcmp(array, "keys");
    part->address += index * size;
    part->type = elem;
    if (!strcmp(array, "slots")) {
        if (!field_at(heap, &elem, address - part->address, &field))
            return false;
        is_key = !strcmp(field.name, "key");
        part->address += field.offset;
        part->type = field.type;
    }
    ca_buf_puts(&ret->name, is_key ? "key" : "value");
    if (!is_key && key_place(heap, group, index, &key, &key_at))
        say_key(heap, &key, start + key_at, &ret->name);
    return word_of_part(heap, part, address, ret);
}

static bool group_word(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                       struct ca_go_view_word *ret)
{
    struct ca_go_view_type group;
    struct ca_go_view_field field;
    if (!ca_go_descriptor_groups(heap, &view->type, &group))
        return false;
    uint64_t size = size_of(heap, &group);
    if (size == 0 || address < view->address)
        return false;
    uint64_t start = view->address + (address - view->address) / size * size;
    if (!field_at(heap, &group, address - start, &field))
        return false;
    struct part part = {.type = field.type, .address = start + field.offset};
    if (!strcmp(field.name, "overflow")) {
        uint64_t value = 0;
        ret->inner = ca_target_read_u64(heap->target, address, &value);
        ret->leads = (struct ca_go_view){CA_GO_SHAPE_GROUPS, view->type, value};
        return ret->inner;
    }
    bool known = slot_word(heap, &group, start, &part, address, field.name, ret);
    ca_buf_deinit(&part.path);
    return known;
}

static bool is_at(const struct ca_go_heap *heap, uint64_t offset, int field)
{
    int32_t at = heap->go->layout.at[field];
    return at != CA_LAYOUT_ABSENT && offset == (uint64_t)at;
}

static bool map_word(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                     struct ca_go_view_word *ret)
{
    uint64_t offset = address - view->address, value, tables = 0;
    ret->inner = true;
    if (!ca_target_read_u64(heap->target, address, &value))
        return false;
    ret->leads = (struct ca_go_view){CA_GO_SHAPE_GROUPS, view->type, value};
    switch (view->shape) {
    case CA_GO_SHAPE_MAP:
        if (is_at(heap, offset, GO_HMAP_BUCKETS) || is_at(heap, offset, GO_HMAP_OLDBUCKETS))
            return true;
        /* A small map has one group and no tables. */
        if (!is_at(heap, offset, GO_MAP_DIRPTR) ||
            !ca_go_read_u64(heap->go, view->address, GO_MAP_DIRLEN, &tables) || tables > TABLES_MAX)
            return false;
        if (tables > 0)
            ret->leads.shape = CA_GO_SHAPE_TABLES;
        return true;
    case CA_GO_SHAPE_TABLES:
        ret->leads.shape = CA_GO_SHAPE_TABLE;
        return true;
    default:
        return is_at(heap, offset, GO_TABLE_GROUPS);
    }
}

/* ---- all shapes ---------------------------------------------------------------------------- */

static bool channel_word(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                         struct ca_go_view_word *ret)
{
    uint64_t elem, value;
    if (!is_at(heap, address - view->address, GO_HCHAN_BUF) ||
        !ca_go_read_u64(heap->go, view->address, GO_HCHAN_ELEMTYPE, &elem) ||
        !ca_target_read_u64(heap->target, address, &value))
        return false;
    ret->inner = true;
    ret->leads = (struct ca_go_view){.shape = CA_GO_SHAPE_BUFFER, .address = value};
    return ca_go_descriptor(heap, elem, &ret->leads.type);
}

static bool value_word(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                       struct ca_go_view_word *ret)
{
    struct part part;
    bool known = pick(heap, view, address, &part) && word_of_part(heap, &part, address, ret);
    ca_buf_deinit(&part.path);
    return known;
}

bool ca_go_view_word(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                     struct ca_go_view_word *ret)
{
    *ret = (struct ca_go_view_word){0};
    switch (address < view->address ? CA_GO_SHAPE_NONE : view->shape) {
    case CA_GO_SHAPE_BUFFER:
        ca_buf_puts(&ret->name, "in its buffer");
        return value_word(heap, view, address, ret);
    case CA_GO_SHAPE_VALUE:
    case CA_GO_SHAPE_VALUES:
        return value_word(heap, view, address, ret);
    case CA_GO_SHAPE_MAP:
    case CA_GO_SHAPE_TABLES:
    case CA_GO_SHAPE_TABLE:
        return map_word(heap, view, address, ret);
    case CA_GO_SHAPE_GROUPS:
        return group_word(heap, view, address, ret);
    case CA_GO_SHAPE_CHANNEL:
        return channel_word(heap, view, address, ret);
    default:
        return false;
    }
}

bool ca_go_view_dynamic(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_word *ret)
{
    struct part part = {.type = {.kind = CA_GO_KIND_INTERFACE}, .address = address};
    *ret = (struct ca_go_view_word){0};
    bool known = point(heap, &part, address + 8, ret) && ret->type.kind != CA_GO_KIND_INTERFACE;
    ca_buf_deinit(&part.path);
    return known;
}

/* Does a lock, wait group or condition begin here? */
static bool is_sync(struct ca_go_heap *heap, const struct part *part, uint64_t address)
{
    struct ca_strings strings = {0};
    const char *name = ca_go_view_name(heap, &strings, &part->type);
    bool is = part->address == address && name && !strncmp(name, "sync.", 5);
    ca_strings_deinit(&strings);
    return is;
}

bool ca_go_view_lock(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                     struct ca_go_view_word *ret)
{
    struct part part;
    *ret = (struct ca_go_view_word){0};
    if (view->shape != CA_GO_SHAPE_VALUE && view->shape != CA_GO_SHAPE_VALUES)
        return false;
    bool known = pick(heap, view, address, &part);
    for (int i = 0; known && i < DEPTH_MAX && !is_sync(heap, &part, address); i++)
        known = descend(heap, &part, address);
    if (known) {
        ret->type = part.type;
        say_path(&part.path, &ret->name);
    }
    ca_buf_deinit(&part.path);
    return known;
}
