/* Spans that hold nothing. The collector stops the program when it finds a pointer into one
 * (runtime/mbitmap.go findObject, badPointer): here it means that the heap is damaged, a span that
 * is in use taken for an idle one, say. So they are regions without any object in use.
 */
#include "runtimes/go/heap.h"

enum {
    PAGE = 8192,
    PAGES_PER_ARENA = 8192,
    ARENAS_MAX = 1 << 22,
    PAGES_MAX = 1 << 26, /* of all of them: 512 GB */
};

/* The span that the page belonged to last; 0: none. runtime/mheap.go spanOf */
static uint64_t span_of(struct ca_go_heap *heap, uint64_t address)
{
    const int32_t *at = heap->go->layout.at;
    uint64_t offset = address - heap->arena_base, number = offset >> 26, table, arena, span;
    if (number >= ARENAS_MAX ||
        !ca_go_read_u64(heap->go, heap->go->globals.mheap, GO_MHEAP_ARENAS, &table) ||
        !ca_target_read_u64(heap->target, table + number * 8, &arena) || arena == 0 ||
        !ca_target_read_u64(
            heap->target,
            arena + (uint64_t)at[GO_HEAPARENA_SPANS] + offset / PAGE % PAGES_PER_ARENA * 8, &span))
        return 0;
    return span;
}

static bool add(struct ca_go_heap *heap, uint64_t start, uint64_t end)
{
    struct ca_region region = {.start = start,
                               .size = end - start,
                               .count = 1,
                               .no_scan = true,
                               .kind = CA_GO_FORMAT_IDLE};
    return start == end || ca_vec_push(&heap->heap.regions, region);
}

bool ca_go_heap_idle(struct ca_go_heap *heap, uint64_t record, uint64_t start, uint64_t pages)
{
    uint64_t from = start;
    if (start == 0 || start % PAGE || start >= UINT64_C(1) << 56 ||
        pages > PAGES_MAX - heap->idle_pages)
        return true;
    heap->idle_pages += pages;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = start + i * PAGE;
        if (span_of(heap, page) == record)
            continue;
        if (!add(heap, from, page))
            return false;
        from = page + PAGE;
    }
    return add(heap, from, start + pages * PAGE);
}
