/* Where the pointers of an object are. One call gives many words. */
#include "runtimes/go/heap.h"

#include <string.h>

enum { ARENA_SHIFT = 26, ARENA_WORDS = 1 << 23 };

struct out {
    uint64_t *values;
    uint32_t *offsets;
    size_t len, cap;
};

static inline uint64_t word_at(const uint8_t *bytes, uint64_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, 8);
    return value;
}

static inline void put(struct out *out, uint64_t offset, uint64_t value)
{
    if (value == 0)
        return;
    out->values[out->len] = value;
    if (out->offsets)
        out->offsets[out->len] = (uint32_t)(offset / 8);
    out->len++;
}

const struct ca_go_arena *ca_go_heap_arena(struct ca_go_heap *heap, uint64_t address)
{
    const uint64_t *index =
        ca_map_get(&heap->arena_index, (address - heap->arena_base) >> ARENA_SHIFT);
    return index && *index ? &heap->arenas.data[*index - 1] : NULL;
}

/* The pointers among the 64 words whose first is at offset; bits tells which. */
static inline void put_bits(struct out *out, const uint8_t *object, uint64_t offset, uint64_t bits)
{
    while (bits) {
        unsigned i = (unsigned)__builtin_ctzll(bits);
        bits &= bits - 1;
        put(out, offset + i * 8, word_at(object, offset + i * 8));
    }
}

/* count (at most 64) bits of a bitmap from bit number first on. */
static inline uint64_t take_bits(const uint8_t *bitmap, uint64_t first, unsigned count)
{
    uint64_t word = 0;
    unsigned shift = first % 8, bytes = (shift + count + 7) / 8;
    memcpy(&word, bitmap + first / 8, bytes < 8 ? bytes : 8);
    word >>= shift;
    if (bytes > 8)
        word |= (uint64_t)bitmap[first / 8 + 8] << (64 - shift);
    return count == 64 ? word : word & (((uint64_t)1 << count) - 1);
}

/* Objects up to 512 bytes: at most 64 words, so one call does it. */
static void scan_span(struct out *out, const struct ca_region *region, uint32_t slot,
                      uint64_t *from)
{
    put_bits(out, region->bytes + slot * region->size, 0, ca_region_pointers(region, slot));
    *from = UINT64_MAX;
}

/* A type's pointers, repeated to the object's end; skip: of the header. */
static void scan_type(struct out *out, const struct ca_go_type *type, const uint8_t *object,
                      uint64_t size, uint64_t skip, uint64_t *from)
{
    if (type->count == 0 || type->size == 0) {
        *from = UINT64_MAX;
        return;
    }
    uint64_t at = *from > skip ? *from - skip : 0;
    uint64_t tile = at / type->size, within = at % type->size / 8;
    uint32_t low = 0, high = type->count;
    while (low < high) { /* the first pointer at or behind within */
        uint32_t middle = low + (high - low) / 2;
        if (type->words[middle] < within)
            low = middle + 1;
        else
            high = middle;
    }
    for (;; tile++, low = 0) {
        uint64_t base = skip + tile * type->size;
        if (base >= size)
            break;
        for (uint32_t i = low; i < type->count; i++) {
            uint64_t offset = base + (uint64_t)type->words[i] * 8;
            if (offset + 8 > size)
                break;
            if (out->len == out->cap) {
                *from = offset;
                return;
            }
            put(out, offset, word_at(object, offset));
        }
    }
    *from = UINT64_MAX;
}

static void scan_all(struct out *out, const uint8_t *object, uint64_t size, uint64_t *from)
{
    for (uint64_t offset = *from; offset + 8 <= size; offset += 8) {
        if (out->len == out->cap) {
            *from = offset;
            return;
        }
        put(out, offset, word_at(object, offset));
    }
    *from = UINT64_MAX;
}

/* 1.20, 1.21: bit per word; a bit per 64 of these says that the object has no more behind them. */
static void scan_arena(struct ca_go_heap *heap, struct out *out, const struct ca_region *region,
                       uint32_t slot, uint64_t *from)
{
    uint64_t start = region->start + slot * region->size;
    const uint8_t *object = region->bytes + slot * region->size;
    uint64_t offset = *from;
    while (offset < region->size) {
        if (out->cap - out->len < 64) {
            *from = offset;
            return;
        }
        const struct ca_go_arena *arena = ca_go_heap_arena(heap, start + offset);
        if (!arena || !arena->bitmap) {
            ca_go_heap_break(heap, "heap bitmap", start + offset, "it is not there");
            break;
        }
        uint64_t word = (start + offset - heap->arena_base) / 8 % ARENA_WORDS;
        uint64_t left = (region->size - offset) / 8, here = 64 - word % 64;
        unsigned count = (unsigned)(left < here ? left : here);
        put_bits(out, object, offset, take_bits(arena->bitmap, word, count));
        if (arena->nomore && (arena->nomore[word / 64 / 8] >> (word / 64 % 8) & 1))
            break;
        offset += count * 8;
    }
    *from = UINT64_MAX;
}

/* 1.19: a byte for four words, low half pointers, high half "there are more". */
static void scan_bytes(struct ca_go_heap *heap, struct out *out, const struct ca_region *region,
                       uint32_t slot, uint64_t *from)
{
    uint64_t start = region->start + slot * region->size;
    const uint8_t *object = region->bytes + slot * region->size;
    const struct ca_go_arena *arena = NULL;
    for (uint64_t offset = *from; offset + 8 <= region->size; offset += 8) {
        if (out->len == out->cap) {
            *from = offset;
            return;
        }
        uint64_t word = (start + offset - heap->arena_base) / 8 % ARENA_WORDS;
        if (!arena || word == 0)
            arena = ca_go_heap_arena(heap, start + offset);
        if (!arena || !arena->bitmap) {
            ca_go_heap_break(heap, "heap bitmap", start + offset, "it is not there");
            break;
        }
        uint8_t bits = arena->bitmap[word / 4] >> (word % 4);
        if (!(bits & 0x10))
            break;
        if (bits & 1)
            put(out, offset, word_at(object, offset));
    }
    *from = UINT64_MAX;
}

/* An object whose type cannot be read: nothing is left out. */
static void scan_typed(struct ca_go_heap *heap, struct out *out, uint32_t index,
                       const uint8_t *object, uint64_t size, uint64_t skip, uint64_t *from,
                       bool *exact)
{
    const struct ca_go_type *type = index ? &heap->types.data[index - 1] : NULL;
    if (!type || type->broken) {
        *exact = false;
        if (type && !heap->heap.doubting) /* else its header may not be written yet */
            ca_go_heap_break(heap, "type", type->address, "its pointer mask cannot be read");
        scan_all(out, object, size, from);
        return;
    }
    scan_type(out, type, object, size, skip, from);
}

size_t ca_go_heap_scan(struct ca_heap *base, const struct ca_region *region, uint32_t slot,
                       uint64_t *from, uint64_t *values, uint32_t *offsets, size_t cap, bool *exact)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    struct out out = {.values = values, .offsets = offsets, .cap = cap};
    const uint8_t *object = region->bytes + (uint64_t)slot * region->size;
    switch (region->bytes ? region->kind : CA_GO_FORMAT_NONE) {
    case CA_GO_FORMAT_SPAN:
        scan_span(&out, region, slot, from);
        break;
    case CA_GO_FORMAT_HEADER: {
        uint64_t type = word_at(object, 0);
        if (type == 0)
            *from = UINT64_MAX; /* not published yet: no pointers */
        else
            scan_typed(heap, &out, ca_go_heap_type(heap, type), object, region->size, 8, from,
                       exact);
        break;
    }
    case CA_GO_FORMAT_LARGE:
        scan_typed(heap, &out, (uint32_t)region->detail, object, region->size, 0, from, exact);
        break;
    case CA_GO_FORMAT_ARENA:
        scan_arena(heap, &out, region, slot, from);
        break;
    case CA_GO_FORMAT_BYTES:
        scan_bytes(heap, &out, region, slot, from);
        break;
    case CA_GO_FORMAT_ALL:
        *exact = false;
        scan_all(&out, object, region->size, from);
        break;
    default:
        *from = UINT64_MAX;
    }
    return out.len;
}
