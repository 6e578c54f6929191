/* Pointer masks of types. internal/abi/type.go: the compiler lays these out, not the runtime. */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    FLAG_MASK_ON_DEMAND = 1 << 4, /* 1.24 and later; in 1.22 and 1.23 a mask already unrolled */
    KIND_MASK = (1 << 5) - 1,
    KIND_GCPROG = 1 << 6, /* until 1.23 */
    KIND_ARRAY = 17,
    KIND_STRUCT = 25,
    TYPE_BYTES = 48,
    ARRAY_ELEM = 48,
    ARRAY_LEN = 64,
    STRUCT_FIELDS = 56,
    FIELD_BYTES = 24,
    FIELD_TYPE = 8,
    FIELD_OFFSET = 16,
    DEPTH_MAX = 64,
    FIELDS_MAX = 1 << 16,
};
#define WORDS_MAX (UINT64_C(1) << 27) /* a mask of 1 GB of pointers */

struct build {
    struct ca_go_heap *heap;
    CA_VEC(uint32_t) words;
    bool broken;
    uint64_t steps;
};

struct head {
    uint64_t size, ptrbytes, gcdata;
    uint8_t tflag, kind;
};

static bool read_head(struct ca_go_heap *heap, uint64_t address, struct head *ret)
{
    uint8_t bytes[TYPE_BYTES];
    const struct ca_go *go = heap->go;
    for (int field = GO_TYPE_SIZE; field <= GO_TYPE_GCDATA; field++)
        if (go->layout.at[field] < 0 || go->layout.at[field] > TYPE_BYTES - 8)
            return false;
    if (!ca_target_read(heap->target, address, bytes, sizeof(bytes)))
        return false;
    ret->size = ca_go_u64(go, bytes, GO_TYPE_SIZE);
    ret->ptrbytes = ca_go_u64(go, bytes, GO_TYPE_PTRBYTES);
    ret->gcdata = ca_go_u64(go, bytes, GO_TYPE_GCDATA);
    ret->tflag = bytes[go->layout.at[GO_TYPE_TFLAG]];
    ret->kind = bytes[go->layout.at[GO_TYPE_KIND]];
    return ret->ptrbytes <= ret->size && ret->ptrbytes / 8 <= WORDS_MAX;
}

static bool add_mask(struct build *build, const struct head *head, uint64_t base)
{
    uint64_t words = head->ptrbytes / 8;
    const uint8_t *mask = ca_go_heap_bytes(build->heap, head->gcdata, (words + 7) / 8);
    if (words == 0 || !mask ||
        !(mask[(words - 1) / 8] >> ((words - 1) % 8) & 1)) /* the last one is a pointer */
        return false;
    for (uint64_t i = 0; i < words; i++)
        if (mask[i / 8] >> (i % 8) & 1)
            if (!ca_vec_push(&build->words, (uint32_t)(base + i)))
                return false;
    return true;
}

static bool add_type(struct build *build, uint64_t address, uint64_t base, int depth);

static bool add_array(struct build *build, uint64_t address, uint64_t base, int depth)
{
    uint64_t elem, count;
    struct head head;
    if (!ca_target_read_u64(build->heap->target, address + ARRAY_ELEM, &elem) ||
        !ca_target_read_u64(build->heap->target, address + ARRAY_LEN, &count) ||
        !read_head(build->heap, elem, &head))
        return false;
    if (head.ptrbytes == 0)
        return true;
    if (head.size == 0 || head.size % 8 || count > WORDS_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++)
        if (!add_type(build, elem, base + i * (head.size / 8), depth + 1))
            return false;
    return true;
}

static bool add_struct(struct build *build, uint64_t address, uint64_t base, int depth)
{
    uint64_t fields[2];
    if (!ca_target_read(build->heap->target, address + STRUCT_FIELDS, fields, 16) ||
        fields[1] > FIELDS_MAX)
        return false;
    for (uint64_t i = 0; i < fields[1]; i++) {
        uint64_t field[3];
        struct head head;
        if (!ca_target_read(build->heap->target, fields[0] + i * FIELD_BYTES, field, 24) ||
            !read_head(build->heap, field[FIELD_TYPE / 8], &head))
            return false;
        uint64_t offset = field[FIELD_OFFSET / 8];
        if (head.ptrbytes == 0)
            continue;
        if (offset % 8 || offset / 8 > WORDS_MAX ||
            !add_type(build, field[FIELD_TYPE / 8], base + offset / 8, depth + 1))
            return false;
    }
    return true;
}

static bool add_type(struct build *build, uint64_t address, uint64_t base, int depth)
{
    struct head head;
    if (depth > DEPTH_MAX || ++build->steps > WORDS_MAX || base > WORDS_MAX ||
        !read_head(build->heap, address, &head))
        return false;
    if (head.ptrbytes == 0)
        return true;
    bool headers_from_types = build->heap->go->layout.at[GO_MSPAN_LARGETYPE] != CA_LAYOUT_ABSENT;
    if (head.kind & KIND_GCPROG)
        return false;
    if (!(head.tflag & FLAG_MASK_ON_DEMAND) || !headers_from_types)
        return add_mask(build, &head, base);
    switch (head.kind & KIND_MASK) {
    case KIND_ARRAY:
        return add_array(build, address, base, depth);
    case KIND_STRUCT:
        return add_struct(build, address, base, depth);
    default:
        return add_mask(build, &head, base); /* 1.22, 1.23: a dummy type with a plain mask */
    }
}

uint32_t ca_go_heap_type(struct ca_go_heap *heap, uint64_t address)
{
    bool fresh;
    uint64_t *slot = ca_map_put(&heap->type_index, address, &fresh);
    if (!slot)
        goto nomem;
    if (!fresh && *slot)
        return (uint32_t)*slot;
    struct build build = {.heap = heap};
    struct head head = {0};
    struct ca_go_type type = {.address = address};
    type.broken = !read_head(heap, address, &head) ||
                  (head.ptrbytes > 0 && (head.size == 0 || head.size % 8)) ||
                  !add_type(&build, address, 0, 0);
    type.size = head.size;
    for (size_t i = 0; i < build.words.len && !type.broken; i++)
        type.broken = build.words.data[i] >= head.size / 8;
    type.words = build.words.data;
    type.count = type.broken ? 0 : (uint32_t)build.words.len;
    if (!ca_vec_push(&heap->types, type)) {
        free(build.words.data);
        goto nomem;
    }
    *ca_map_get(&heap->type_index, address) = heap->types.len;
    return (uint32_t)heap->types.len;
nomem:
    heap->failed = true;
    return 0;
}
