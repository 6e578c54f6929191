/* The runtime's own descriptors of types. internal/abi/type.go, map_noswiss.go, map_swiss.go,
 * map.go (1.19 to 1.27): the compiler lays these out, not the runtime. */
#include "runtimes/go/views.h"

#include <string.h>

enum {
    BYTES = 48, /* of abi.Type */
    STR = 40,   /* Str NameOff, behind GCData */
    ELEM = 48,  /* of Array, Chan, Pointer, Slice */
    MAP_KEY = 48,
    MAP_ELEM = 56,
    MAP_GROUP = 64, /* Bucket, Group */
    STRUCT_FIELDS = 56,
    FIELD_BYTES = 24,
    FIELDS_MAX = 4096,
    FLAG_STAR = 2,    /* TFlagExtraStar: the text has a * too many */
    FLAG_DIRECT = 32, /* TFlagDirectIface since 1.26; in Kind_ before */
    KIND_DIRECT = 32,
    KIND_MASK = 31,
    TEXT_MAX = 512,
};

static bool fields_known(const struct ca_go *go)
{
    for (int field = GO_TYPE_SIZE; field <= GO_TYPE_GCDATA; field++)
        if (go->layout.at[field] < 0 || go->layout.at[field] > BYTES - 8)
            return false;
    return true;
}

/* Where the descriptors of the module are that this one lies in; 0: in none. */
static uint64_t types_around(struct ca_go *go, uint64_t address)
{
    for (size_t i = 0; i < go->tables.modules.len; i++) {
        uint64_t types;
        if (ca_go_read_u64(go, go->tables.modules.data[i].address, GO_MD_TYPES, &types) && types &&
            address >= types && address - types < (UINT64_C(1) << 31))
            return types;
    }
    return 0;
}

bool ca_go_descriptor(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_type *ret)
{
    const struct ca_go *go = heap->go;
    uint8_t bytes[BYTES];
    *ret = (struct ca_go_view_type){0};
    if (!address || address % 8 || !fields_known(go) ||
        !ca_target_read(heap->target, address, bytes, sizeof(bytes)))
        return false;
    uint64_t size = ca_go_u64(go, bytes, GO_TYPE_SIZE);
    unsigned kind = bytes[go->layout.at[GO_TYPE_KIND]] & KIND_MASK;
    if (kind < CA_GO_KIND_BOOL || kind > CA_GO_KIND_UNSAFE_POINTER ||
        ca_go_u64(go, bytes, GO_TYPE_PTRBYTES) > size)
        return false;
    ret->kind = (enum ca_go_kind)kind;
    ret->descriptor = address;
    return true;
}

/* A name: a flag byte, a length in base 128, the bytes. */
static bool read_name(struct ca_go_heap *heap, uint64_t at, char *text, size_t room, size_t *size)
{
    uint8_t head[3];
    if (!ca_target_read(heap->target, at, head, 3))
        return false;
    size_t skip = 2;
    *size = head[1] & 0x7f;
    if (head[1] & 0x80) {
        *size |= (size_t)(head[2] & 0x7f) << 7;
        skip = 3;
    }
    if (*size == 0 || *size >= room || !ca_target_read(heap->target, at + skip, text, *size))
        return false;
    text[*size] = 0;
    return true;
}

const char *ca_go_descriptor_name(struct ca_go_heap *heap, struct ca_strings *strings,
                                  uint64_t address)
{
    struct ca_go *go = heap->go;
    int32_t offset;
    uint8_t tflag;
    char text[TEXT_MAX];
    size_t size;
    uint64_t types = types_around(go, address);
    if (!types || !fields_known(go) || !ca_target_read(heap->target, address + STR, &offset, 4) ||
        offset < 0 ||
        !ca_target_read(heap->target, address + (uint64_t)go->layout.at[GO_TYPE_TFLAG], &tflag,
                        1) ||
        !read_name(heap, types + (uint32_t)offset, text, sizeof(text), &size))
        return NULL;
    bool star = (tflag & FLAG_STAR) && text[0] == '*';
    return ca_strings_intern(strings, text + star, size - star);
}

uint64_t ca_go_descriptor_size(struct ca_go_heap *heap, uint64_t address)
{
    uint64_t size;
    return ca_go_read_u64(heap->go, address, GO_TYPE_SIZE, &size) ? size : 0;
}

static bool behind(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_type *ret)
{
    uint64_t other;
    *ret = (struct ca_go_view_type){0};
    return ca_target_read_u64(heap->target, address, &other) && ca_go_descriptor(heap, other, ret);
}

bool ca_go_descriptor_elem(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                           struct ca_go_view_type *ret)
{
    switch (type->kind) {
    case CA_GO_KIND_ARRAY:
    case CA_GO_KIND_CHAN:
    case CA_GO_KIND_POINTER:
    case CA_GO_KIND_SLICE:
        return behind(heap, type->descriptor + ELEM, ret);
    case CA_GO_KIND_MAP:
        return behind(heap, type->descriptor + MAP_ELEM, ret);
    default:
        return false;
    }
}

bool ca_go_descriptor_key(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                          struct ca_go_view_type *ret)
{
    return type->kind == CA_GO_KIND_MAP && behind(heap, type->descriptor + MAP_KEY, ret);
}

bool ca_go_descriptor_groups(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                             struct ca_go_view_type *ret)
{
    return type->kind == CA_GO_KIND_MAP && behind(heap, type->descriptor + MAP_GROUP, ret) &&
           ret->kind == CA_GO_KIND_STRUCT;
}

static bool read_field(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_field *ret)
{
    uint64_t field[3];
    if (!ca_target_read(heap->target, address, field, 24) ||
        !ca_go_descriptor(heap, field[1], &ret->type))
        return false;
    ret->offset = field[2];
    return true;
}

bool ca_go_descriptor_first(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                            struct ca_go_view_field *ret)
{
    uint64_t fields[2];
    return type->kind == CA_GO_KIND_STRUCT &&
           ca_target_read(heap->target, type->descriptor + STRUCT_FIELDS, fields, 16) &&
           fields[1] > 0 && read_field(heap, fields[0], ret);
}

bool ca_go_descriptor_field(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                            uint64_t offset, struct ca_go_view_field *ret)
{
    uint64_t fields[2], name;
    size_t size;
    if (type->kind != CA_GO_KIND_STRUCT ||
        !ca_target_read(heap->target, type->descriptor + STRUCT_FIELDS, fields, 16) ||
        fields[1] > FIELDS_MAX)
        return false;
    for (uint64_t i = 0; i < fields[1]; i++) {
        uint64_t at = fields[0] + i * FIELD_BYTES;
        if (!read_field(heap, at, ret))
            return false;
        if (offset < ret->offset ||
            offset - ret->offset >= ca_go_descriptor_size(heap, ret->type.descriptor))
            continue;
        return ca_target_read_u64(heap->target, at, &name) &&
               read_name(heap, name, ret->name, sizeof(ret->name), &size);
    }
    return false;
}

bool ca_go_descriptor_direct(struct ca_go_heap *heap, uint64_t address)
{
    const int32_t *at = heap->go->layout.at;
    uint8_t tflag, kind;
    return fields_known(heap->go) &&
           ca_target_read(heap->target, address + (uint64_t)at[GO_TYPE_TFLAG], &tflag, 1) &&
           ca_target_read(heap->target, address + (uint64_t)at[GO_TYPE_KIND], &kind, 1) &&
           ((kind & KIND_DIRECT) || (tflag & FLAG_DIRECT));
}
