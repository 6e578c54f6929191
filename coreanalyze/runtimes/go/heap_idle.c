/* Spans that hold nothing. The collector stops the program when it finds a pointer into one
 * (runtime/mbitmap.go findObject, badPointer): here it means that the heap is damaged, a span that
 * is in use taken for an idle one, say. So they are regions without any object in use.
 */
#include "runtimes/go/heap.h"

enum {
    PAGE = 8192,
    PAGES_PER_ARENA = 8192,
    PAGES_MAX = 1 << 26, /* of all of them: 512 GB */
};

struct arena {
    uint64_t number, spans; /* where its table of spans is; 0: nowhere */
};

/* The span that the page belonged to last; 0: none. runtime/mheap.go spanOf. last: the arena that
 * was asked for before. */
static uint64_t span_of(struct ca_go_heap *heap, uint64_t address, struct arena *last)
{
    uint64_t offset = address - heap->arena_base, number = offset >> CA_GO_ARENA_SHIFT, span;
    if (number != last->number) {
        uint64_t record = ca_go_heap_arena_record(heap, number);
        uint64_t at = (uint64_t)heap->go->layout.at[GO_HEAPARENA_SPANS];
        *last = (struct arena){number, record ? record + at : 0};
    }
    return last->spans &&
                   ca_target_read_u64(heap->target,
                                      last->spans + offset / PAGE % PAGES_PER_ARENA * 8, &span)
               ? span
               : 0;
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
    struct arena last = {.number = UINT64_MAX};
    uint64_t from = start;
    if (start == 0 || start % PAGE || start >= UINT64_C(1) << 56 ||
        pages > PAGES_MAX - heap->idle_pages)
        return true;
    heap->idle_pages += pages;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = start + i * PAGE;
        if (span_of(heap, page, &last) == record)
            continue;
        if (!add(heap, from, page))
            return false;
        from = page + PAGE;
    }
    return add(heap, from, start + pages * PAGE);
}
