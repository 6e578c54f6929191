#include "runtimes/heap.h"

/* Slots are counted in 40 bits: 16 TB of the smallest ones. */
#define SLOTS_MAX (UINT64_C(1) << 40)

bool ca_heap_number(struct ca_heap *heap)
{
    uint64_t end = 0;
    heap->slots = 0;
    for (size_t i = 0; i < heap->regions.len; i++) {
        struct ca_region *region = &heap->regions.data[i];
        uint64_t bytes;
        if (region->size == 0 || region->start < end ||
            __builtin_mul_overflow(region->size, (uint64_t)region->count, &bytes) ||
            __builtin_add_overflow(region->start, bytes, &end))
            return false;
        region->first = heap->slots;
        heap->slots += region->count;
        if (heap->slots > SLOTS_MAX)
            return false;
    }
    return true;
}
