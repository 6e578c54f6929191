/* Spans to regions. */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    PAGE = 8192,
    USER_ARENA_CHUNK = 8 << 20, /* runtime/arena.go: its end is kept for the arena's own use */
    SMALL_MAX =
        512, /* larger objects carry their type; runtime/mbitmap.go minSizeForMallocHeader */
    ARENA_BYTES = 1 << CA_GO_ARENA_SHIFT,
    BITMAP_LOOKED_AT = 32 << 10, /* bytes of a span: one object at least, but for large ones */
    INLINE_MARKS = 128,          /* of a Green Tea page: internal/runtime/gc, spanInlineMarkBits */
};
/* runtime/mheap.go mSpanDead... */
enum { STATE_DEAD, STATE_IN_USE, STATE_MANUAL };
#define SPANS_MAX (UINT64_C(1) << 28)
#define BLANK_MAX (UINT64_C(1) << 30)

/* ---- arenas -------------------------------------------------------------------------------- */

/* What lies beside the arenas: bitmaps until 1.21, which pages have inline mark bits since 1.25. */
static bool add_arena(struct ca_go_heap *heap, uint64_t number, uint64_t record)
{
    const int32_t *at = heap->go->layout.at;
    struct ca_go_arena arena = {0};
    uint64_t *slot = ca_map_put(&heap->arena_index, number, NULL);
    if (!slot)
        return false;
    if (*slot)
        return true;
    if (at[GO_HEAPARENA_BITMAP] != CA_LAYOUT_ABSENT) {
        arena.bitmap_size = (uint64_t)at[GO_HEAPARENA_BITMAP_SIZE];
        arena.bitmap =
            ca_go_heap_bytes(heap, record + (uint64_t)at[GO_HEAPARENA_BITMAP], arena.bitmap_size);
    }
    if (at[GO_HEAPARENA_NOMORE] != CA_LAYOUT_ABSENT)
        arena.nomore =
            ca_go_heap_bytes(heap, record + (uint64_t)at[GO_HEAPARENA_NOMORE], (1 << 17) / 8);
    if (at[GO_HEAPARENA_INLINE] != CA_LAYOUT_ABSENT)
        arena.inline_pages =
            ca_go_heap_bytes(heap, record + (uint64_t)at[GO_HEAPARENA_INLINE], 8192 / 8);
    if (at[GO_HEAPARENA_SPECIALS] != CA_LAYOUT_ABSENT)
        arena.special_pages =
            ca_go_heap_bytes(heap, record + (uint64_t)at[GO_HEAPARENA_SPECIALS], 8192 / 8);
    if (!ca_vec_push(&heap->arenas, arena))
        return false;
    *slot = heap->arenas.len;
    return true;
}

uint64_t ca_go_heap_arena_record(struct ca_go_heap *heap, uint64_t number)
{
    uint64_t table, record;
    return number < CA_GO_ARENAS &&
                   ca_go_read_u64(heap->go, heap->go->globals.mheap, GO_MHEAP_ARENAS, &table) &&
                   ca_target_read_u64(heap->target, table + number * 8, &record)
               ? record
               : 0;
}

static bool arena_of(struct ca_go_heap *heap, uint64_t address, const struct ca_go_arena **ret)
{
    uint64_t number = (address - heap->arena_base) >> CA_GO_ARENA_SHIFT;
    const uint64_t *known = ca_map_get(&heap->arena_index, number);
    *ret = NULL;
    if (!known) {
        uint64_t record = ca_go_heap_arena_record(heap, number);
        if (record == 0)
            return true;
        if (!add_arena(heap, number, record))
            return false;
    }
    *ret = ca_go_heap_arena(heap, address);
    return true;
}

/* ---- spans --------------------------------------------------------------------------------- */

struct span {
    uint64_t start, pages, freeindex, nelems, elemsize, limit, allocbits, specials, largetype;
    uint64_t speciallock;
    uint32_t sweepgen;
    uint8_t class, state;
};

static uint64_t sized(const struct ca_go *go, const uint8_t *bytes, int field)
{
    uint64_t value = ca_go_u64(go, bytes, field);
    return go->layout.at[GO_MSPAN_FREEINDEX_SIZE] == 2 ? value & 0xffff : value;
}

static void decode_span(const struct ca_go *go, const uint8_t *bytes, struct span *ret)
{
    *ret = (struct span){
        .start = ca_go_u64(go, bytes, GO_MSPAN_START),
        .pages = ca_go_u64(go, bytes, GO_MSPAN_NPAGES),
        .freeindex = sized(go, bytes, GO_MSPAN_FREEINDEX),
        .nelems = sized(go, bytes, GO_MSPAN_NELEMS),
        .elemsize = ca_go_u64(go, bytes, GO_MSPAN_ELEMSIZE),
        .limit = ca_go_u64(go, bytes, GO_MSPAN_LIMIT),
        .allocbits = ca_go_u64(go, bytes, GO_MSPAN_ALLOCBITS),
        .specials = ca_go_u64(go, bytes, GO_MSPAN_SPECIALS),
        .largetype = ca_go_u64(go, bytes, GO_MSPAN_LARGETYPE),
        .class = bytes[go->layout.at[GO_MSPAN_SPANCLASS]],
        .state = bytes[go->layout.at[GO_MSPAN_STATE]],
        .speciallock = ca_go_u64(go, bytes, GO_MSPAN_SPECIALLOCK),
        .sweepgen = ca_go_u32(go, bytes, GO_MSPAN_SWEEPGEN),
    };
}

/* 1.22 counts the objects that would fit without the bitmap (mcentral.grow). */
static uint64_t whole_limit(const struct span *span)
{
    return span->start + span->pages * PAGE / span->elemsize * span->elemsize;
}

static bool span_makes_sense(const struct span *span)
{
    uint64_t bytes;
    return span->start != 0 && span->start % PAGE == 0 && span->pages != 0 &&
           span->pages < (UINT64_C(1) << 35) && span->elemsize >= 8 && span->elemsize % 8 == 0 &&
           span->nelems != 0 && span->nelems < (UINT64_C(1) << 31) &&
           !__builtin_mul_overflow(span->nelems, span->elemsize, &bytes) &&
           bytes <= span->pages * PAGE && span->start + span->pages * PAGE > span->start &&
           span->start < (UINT64_C(1) << 56) && span->freeindex <= span->nelems &&
           (span->class >> 1 || (span->nelems == 1 && (bytes == span->pages * PAGE ||
                                                       span->pages * PAGE == USER_ARENA_CHUNK)));
}

/* The bit of the span's first page; pages may be NULL. */
static bool page_bit(const struct ca_go_heap *heap, const uint8_t *pages, const struct span *span)
{
    uint64_t page = (span->start - heap->arena_base) / PAGE % 8192;
    return pages && (pages[page / 8] >> (page % 8) & 1);
}

/* What the runtime keeps at the end of a span of small objects: where the pointers are, if there
 * are any, and marks. runtime/mheap.go initSpan */
static uint64_t reserved(const struct ca_go_heap *heap, const struct ca_go_arena *arena,
                         const struct span *span)
{
    if (span->elemsize > SMALL_MAX || heap->go->layout.at[GO_HEAPARENA_BITMAP] != CA_LAYOUT_ABSENT)
        return 0;
    return (page_bit(heap, arena ? arena->inline_pages : NULL, span) ? INLINE_MARKS : 0) +
           (span->class & 1 ? 0 : span->pages * PAGE / 64);
}

/* Whether it holds as many objects as its pages, their size and their kind have it: one that is
 * said to hold no pointers, and is not of that kind, would hold more. */
static bool count_fits(const struct ca_go_heap *heap, const struct ca_go_arena *arena,
                       const struct span *span)
{
    uint64_t bytes = span->nelems * span->elemsize;
    return span->class >> 1 == 0 ||
           ((span->pages * PAGE - reserved(heap, arena, span)) / span->elemsize == span->nelems &&
            (span->limit == span->start + bytes || span->limit == whole_limit(span)));
}

/* No object is in it. The runtime says that a span is in use a little before it has set all that
 * belongs to it, to 1.22 its limit (runtime/mcentral.go grow), and takes some of that back before
 * it says that it is idle. */
static bool is_empty(struct ca_go_heap *heap, const struct span *span)
{
    const uint8_t *bits = ca_go_heap_bytes(heap, span->allocbits, (span->nelems + 7) / 8);
    for (uint64_t i = 0; bits && i < (span->nelems + 7) / 8; i++)
        if (bits[i])
            return false;
    return bits && span->freeindex == 0;
}

/* What is dead in it has been freed. */
static bool is_swept(const struct ca_go_heap *heap, const struct span *span)
{
    uint32_t generation = heap->sweeping + 1; /* + 3: the same, in an allocator's hands */
    return heap->sweeping && (span->sweepgen == generation || span->sweepgen == generation + 3);
}

/* A bitmap beside the arena is all zero where objects have no pointers (runtime/mbitmap.go
 * initSpan, initHeapBits): does it say something of a span that is said to have none? */
static bool bitmap_differs(const struct ca_go_heap *heap, const struct ca_go_arena *arena,
                           const struct span *span)
{
    bool is_bytes = heap->go->layout.at[GO_HEAPARENA_NOMORE] == CA_LAYOUT_ABSENT;
    uint64_t scale = is_bytes ? 32 : 64, bytes = span->pages * PAGE;
    uint64_t at = (span->start - heap->arena_base) % ARENA_BYTES / scale;
    if (!arena || !arena->bitmap || !(span->class & 1) ||
        (span->class >> 1 == 0 && bytes == USER_ARENA_CHUNK))
        return false;
    uint64_t end = at + (bytes < BITMAP_LOOKED_AT ? bytes : BITMAP_LOOKED_AT) / scale;
    for (; at < end && at < arena->bitmap_size; at++)
        if (arena->bitmap[at])
            return true;
    return false;
}

/* The runtime notes which spans have specials (runtime/mheap.go spanHasSpecials): is the chain of
 * one that has some gone? While somebody changes it, that is no wonder. */
static bool lost_specials(const struct ca_go_heap *heap, const struct ca_go_arena *arena,
                          const struct span *span)
{
    return arena && span->specials == 0 && span->speciallock == 0 && heap->sweeping &&
           span->sweepgen != heap->sweeping && page_bit(heap, arena->special_pages, span);
}

/* What the span says beside what the arena and the runtime's own rules say. */
static void check_span(struct ca_go_heap *heap, const struct ca_go_arena *arena,
                       const struct span *span)
{
    if ((!count_fits(heap, arena, span) || bitmap_differs(heap, arena, span)) &&
        !is_empty(heap, span))
        ca_go_heap_break(heap, "span", span->start, "its record makes no sense");
    else if (lost_specials(heap, arena, span))
        ca_go_heap_break(heap, "finalizers", span->start, "a span that has some has lost them");
}

/* (offset * magic) >> 32 must be offset / size for every offset in the region. */
static uint32_t magic_of(uint64_t size, uint64_t count)
{
    if (size < 8 || size > (1 << 20) || size * count > (1 << 24))
        return 0;
    uint32_t magic = UINT32_MAX / (uint32_t)size + 1;
    if (size * count > (1 << 18)) /* proved for these by trying every border, below */
        return 0;
    for (uint64_t i = 1; i <= count; i++)
        if ((i * size * magic >> 32) != i || ((i * size - 1) * magic >> 32) != i - 1)
            return 0;
    return magic;
}

/* The same sizes come a million times. */
static uint32_t magic_cached(struct ca_map *cache, uint64_t size, uint64_t count)
{
    bool fresh;
    uint64_t *slot = ca_map_put(cache, size << 24 ^ count, &fresh);
    if (!slot)
        return 0;
    if (fresh)
        *slot = magic_of(size, count);
    return (uint32_t)*slot;
}

/* Which format the span has, and what it needs. false: no memory. */
static bool choose_format(struct ca_go_heap *heap, const struct ca_go_arena *arena,
                          const struct span *span, struct ca_region *region)
{
    const int32_t *at = heap->go->layout.at;
    uint64_t bytes = span->pages * PAGE;
    if (region->no_scan)
        return true;
    if (at[GO_HEAPARENA_BITMAP] != CA_LAYOUT_ABSENT) {
        for (uint64_t a = span->start; a < span->start + bytes;
             a += UINT64_C(1) << CA_GO_ARENA_SHIFT)
            if (!arena_of(heap, a, &arena))
                return false;
        if (!arena_of(heap, span->start + bytes - 1, &arena))
            return false;
        region->kind =
            at[GO_HEAPARENA_NOMORE] != CA_LAYOUT_ABSENT ? CA_GO_FORMAT_ARENA : CA_GO_FORMAT_BYTES;
    } else if (span->elemsize <= SMALL_MAX) {
        uint64_t end = bytes - reserved(heap, arena, span);
        region->kind = CA_GO_FORMAT_SPAN;
        region->mapped = region->bytes != NULL;
        region->detail = (uint64_t)(uintptr_t)(region->bytes + end);
        if (span->nelems * span->elemsize > end)
            ca_go_heap_break(heap, "span", span->start, "its objects overlap its bitmap");
    } else if (span->class >> 1) {
        region->kind = CA_GO_FORMAT_HEADER;
    } else if (span->largetype) {
        region->kind = CA_GO_FORMAT_LARGE;
        region->detail = ca_go_heap_type(heap, span->largetype);
    }
    return !heap->failed;
}

/* For later: everything that add_span would look at. The region is wanted for its place only. */
static bool hold_span(struct ca_go_heap *heap, const struct ca_go_arena *arena,
                      const struct span *span, struct ca_region *region)
{
    uint64_t bytes = span->pages * PAGE;
    if (region->free_index < region->count)
        ca_target_hold(heap->target, span->allocbits, (span->nelems + 7) / 8);
    if (!region->no_scan)
        ca_target_hold(heap->target, span->start, bytes);
    return choose_format(heap, arena, span, region) && ca_vec_push(&heap->heap.regions, *region);
}

/* Memory of which a part was never written to, as of a large slice of which little is in use. */
static const uint8_t *partly_blank(struct ca_go_heap *heap, uint64_t start, uint64_t bytes)
{
    if (heap->target->kind != CA_TARGET_CORE || bytes > BLANK_MAX - heap->blank)
        return NULL;
    uint8_t *copy = calloc(1, bytes);
    if (!copy || !ca_vec_push(&heap->owned, copy)) {
        heap->failed = true;
        free(copy);
        return NULL;
    }
    heap->blank += bytes;
    return ca_target_read_blank(heap->target, start, copy, bytes) ? copy : NULL;
}

static bool add_span(struct ca_go_heap *heap, struct ca_map *magics, const struct span *span)
{
    uint64_t bytes = span->pages * PAGE;
    const struct ca_go_arena *arena;
    struct ca_region region = {
        .start = span->start,
        .size = span->elemsize,
        .count = (uint32_t)span->nelems,
        .free_index = (uint32_t)(span->freeindex < span->nelems ? span->freeindex : span->nelems),
        .no_scan = span->class & 1,
        .magic = magic_cached(magics, span->elemsize, span->nelems),
    };
    /* runtime/mgcsweep.go sweep: freeindex and allocBits change one after the other. Until both
     * have, what is in use cannot be told; what is not is reached by nothing. */
    if (heap->sweeping && span->sweepgen == heap->sweeping)
        region.free_index = region.count;
    if (heap->weighing) {
        heap->weight += region.no_scan ? 0 : bytes;
        return true;
    }
    if (!arena_of(heap, span->start, &arena))
        return false;
    check_span(heap, arena, span);
    if (heap->holding)
        return hold_span(heap, arena, span, &region);
    if (region.free_index < region.count) {
        region.in_use = ca_go_heap_bytes(heap, span->allocbits, (span->nelems + 7) / 8);
        if (!region.in_use)
            ca_go_heap_break(heap, "span", span->start, "which objects it holds is not there");
    }
    if (!region.no_scan) {
        region.bytes = ca_go_heap_bytes(heap, span->start, bytes);
        if (!region.bytes)
            region.bytes = partly_blank(heap, span->start, bytes);
        if (!region.bytes) {
            ca_go_heap_break(heap, "heap", span->start, "memory of the heap is not there");
            region.no_scan = true;
        }
    }
    return !heap->failed && choose_format(heap, arena, span, &region) &&
           ca_vec_push(&heap->heap.regions, region);
}

/* ---- reading all --------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct ca_region *)a)->start, y = ((const struct ca_region *)b)->start;
    return x < y ? -1 : x > y;
}

static bool read_span(struct ca_go_heap *heap, struct ca_map *magics, uint64_t address)
{
    uint8_t scratch[CA_GO_SPAN_BYTES_MAX];
    struct span span;
    const uint8_t *bytes =
        ca_target_peek(heap->target, address, scratch, (size_t)heap->go->layout.at[GO_MSPAN_SIZE]);
    if (!bytes) {
        ca_go_heap_break(heap, "span", address, "its record is not there");
        return true;
    }
    decode_span(heap->go, bytes, &span);
    if (span.state == STATE_DEAD && !heap->weighing)
        return ca_go_heap_idle(heap, address, span.start, span.pages);
    /* runtime/mheap.go initSpan: those for other purposes have no objects. */
    if (span.state == STATE_DEAD || (span.state == STATE_MANUAL && span.nelems == 0))
        return true;
    if (span.state != STATE_IN_USE || !span_makes_sense(&span)) {
        ca_go_heap_break(heap, "span", address, "its record makes no sense");
        return true;
    }
    heap->used_pages += span.pages;
    return add_span(heap, magics, &span) &&
           (heap->weighing || ca_go_heap_specials(heap, span.specials, span.start,
                                                  span.pages * PAGE, is_swept(heap, &span)));
}

/* A span is counted after it was said to be in use, and no longer before it is said to be idle:
 * there are never fewer. runtime/mheap.go initSpan, freeSpanLocked */
static void check_pages(struct ca_go_heap *heap)
{
    uint64_t mheap = heap->go->globals.mheap, pages;
    if (!heap->holding && !heap->weighing &&
        heap->go->layout.at[GO_MHEAP_PAGES] != CA_LAYOUT_ABSENT &&
        ca_go_read_u64(heap->go, mheap, GO_MHEAP_PAGES, &pages) && heap->used_pages < pages)
        ca_go_heap_break(heap, "heap", mheap, "spans that are in use are not in the list of spans");
}

static bool holds_nothing(const struct ca_region *region)
{
    for (uint32_t i = 0; region->in_use && i < (region->count + 7) / 8; i++)
        if (region->in_use[i])
            return false;
    return region->free_index == 0;
}

static bool overlap(const struct ca_region *low, const struct ca_region *high)
{
    return high->start - low->start < low->size * low->count;
}

/* idle is to give way to other. */
static bool gives_way(const struct ca_region *idle, const struct ca_region *other)
{
    return idle->kind == CA_GO_FORMAT_IDLE && other->kind != CA_GO_FORMAT_IDLE &&
           holds_nothing(other);
}

/* A new span is in use before its pages are said to be its own (runtime/mheap.go initSpan calls
 * setSpans): the idle one that had them gives way. Others that overlap are damage, told later. */
static void drop_replaced(struct ca_go_heap *heap)
{
    struct ca_region *regions = heap->heap.regions.data;
    size_t kept = 0;
    for (size_t i = 0; i < heap->heap.regions.len; i++) {
        const struct ca_region region = regions[i];
        while (kept > 0 && overlap(&regions[kept - 1], &region) &&
               gives_way(&regions[kept - 1], &region))
            kept--;
        if (kept == 0 || !overlap(&regions[kept - 1], &region) ||
            !gives_way(&region, &regions[kept - 1])) {
            if (kept != i)
                regions[kept] = region;
            kept++;
        }
    }
    heap->heap.regions.len = kept;
}

bool ca_go_heap_read_spans(struct ca_go_heap *heap)
{
    uint64_t slice[2] = {0};
    uint64_t mheap = heap->go->globals.mheap;
    if (heap->spans_read)
        return true;
    if (!ca_target_read(heap->target, mheap + (uint64_t)heap->go->layout.at[GO_MHEAP_ALLSPANS],
                        slice, 16) ||
        slice[1] > SPANS_MAX) {
        ca_go_heap_break(heap, "heap", mheap, "the list of spans cannot be read");
        return true;
    }
    struct ca_map magics = {0};
    bool ok = true;
    uint32_t sweepgen;
    heap->idle_pages = heap->used_pages = 0;
    if (ca_go_read_u32(heap->go, mheap, GO_MHEAP_SWEEPGEN, &sweepgen) &&
        heap->go->layout.at[GO_MSPAN_SWEEPGEN] != CA_LAYOUT_ABSENT)
        heap->sweeping = sweepgen - 1;
    for (uint64_t i = 0;
         i < slice[1] && ok && (heap->holding || heap->weighing || !heap->heap.broken); i++) {
        uint64_t address;
        if (!ca_target_read_u64(heap->target, slice[0] + i * 8, &address))
            ca_go_heap_break(heap, "heap", slice[0] + i * 8, "the list of spans is not there");
        else if (address || i + 1 < slice[1]) /* the last may be about to be written: recordspan */
            ok = read_span(heap, &magics, address);
    }
    ca_map_deinit(&magics);
    check_pages(heap);
    if (heap->heap.regions.len > 0)
        qsort(heap->heap.regions.data, heap->heap.regions.len, sizeof(struct ca_region), by_start);
    drop_replaced(heap);
    return ok;
}
