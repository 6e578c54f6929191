/* Spans to regions, specials, and the doors of runtimes/heap.h. */
#include "runtimes/go/views.h"

#include <stdio.h>
#include <string.h>

enum {
    PAGE = 8192,
    SPAN_BYTES_MAX = 512,
    ARENAS_PER_TABLE = 1 << 22,
    USER_ARENA_CHUNK = 8 << 20, /* runtime/arena.go: its end is kept for the arena's own use */
    SMALL_MAX =
        512, /* larger objects carry their type; runtime/mbitmap.go minSizeForMallocHeader */
    INLINE_MARKS = 128, /* of a Green Tea page: internal/runtime/gc, spanInlineMarkBits */
    BUFFER_MAX = 1 << 30,
};
/* runtime/mheap.go mSpanDead... */
enum { STATE_DEAD, STATE_IN_USE, STATE_MANUAL };
#define SPANS_MAX (UINT64_C(1) << 28)

const uint8_t *ca_go_heap_bytes(struct ca_go_heap *heap, uint64_t address, uint64_t size)
{
    static const uint8_t none[8];
    if (size == 0)
        return none;
    const uint8_t *bytes = ca_target_view(heap->target, address, size);
    if (bytes)
        return bytes;
    uint8_t last;
    if (size > (UINT64_C(1) << 40) || address + size < address ||
        !ca_target_read(heap->target, address + size - 1, &last, 1))
        return NULL;
    uint8_t *copy = malloc(size);
    if (!copy || !ca_vec_push(&heap->owned, copy)) {
        heap->failed = true;
        free(copy);
        return NULL;
    }
    return ca_target_read(heap->target, address, copy, size) ? copy : NULL;
}

void ca_go_heap_break(struct ca_go_heap *heap, const char *what, uint64_t address, const char *why)
{
    if (!heap->heap.broken && !heap->quiet)
        ca_gaps_add(heap->go->runtime.context.gaps, what, address, "%s", why);
    heap->heap.broken = true;
}

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
    if (!ca_vec_push(&heap->arenas, arena))
        return false;
    *slot = heap->arenas.len;
    return true;
}

static bool arena_of(struct ca_go_heap *heap, uint64_t address, const struct ca_go_arena **ret)
{
    uint64_t number = (address - heap->arena_base) >> 26, table, record;
    const uint64_t *known = ca_map_get(&heap->arena_index, number);
    *ret = NULL;
    if (!known) {
        if (number >= ARENAS_PER_TABLE ||
            !ca_go_read_u64(heap->go, heap->go->globals.mheap, GO_MHEAP_ARENAS, &table) ||
            !ca_target_read_u64(heap->target, table + number * 8, &record) || record == 0)
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
        .sweepgen = ca_go_u32(go, bytes, GO_MSPAN_SWEEPGEN),
    };
}

/* 1.22 counts the objects that would fit without the bitmap (mcentral.grow). */
static uint64_t whole_limit(const struct span *span)
{
    return span->start + span->pages * PAGE / span->elemsize * span->elemsize;
}

/* What may be left of a span beside less than one object: bits at its end. */
static uint64_t bits_of(const struct span *span)
{
    if (span->elemsize > SMALL_MAX)
        return 0;
    return INLINE_MARKS + (span->class & 1 ? 0 : span->pages * PAGE / 64);
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
           (span->class >> 1 == 0 || span->pages * PAGE - bytes < span->elemsize + bits_of(span)) &&
           (span->class >> 1 == 0
                ? span->nelems == 1 &&
                      (bytes == span->pages * PAGE || span->pages * PAGE == USER_ARENA_CHUNK)
                : span->limit == span->start + bytes || span->limit == whole_limit(span));
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
static bool choose_format(struct ca_go_heap *heap, const struct span *span,
                          struct ca_region *region)
{
    const int32_t *at = heap->go->layout.at;
    const struct ca_go_arena *arena = NULL;
    uint64_t bytes = span->pages * PAGE;
    if (region->no_scan)
        return true;
    if ((at[GO_HEAPARENA_BITMAP] != CA_LAYOUT_ABSENT ||
         at[GO_HEAPARENA_INLINE] != CA_LAYOUT_ABSENT) &&
        !arena_of(heap, span->start, &arena))
        return false;
    if (at[GO_HEAPARENA_BITMAP] != CA_LAYOUT_ABSENT) {
        for (uint64_t a = span->start; a < span->start + bytes; a += UINT64_C(1) << 26)
            if (!arena_of(heap, a, &arena))
                return false;
        if (!arena_of(heap, span->start + bytes - 1, &arena))
            return false;
        region->kind =
            at[GO_HEAPARENA_NOMORE] != CA_LAYOUT_ABSENT ? CA_GO_FORMAT_ARENA : CA_GO_FORMAT_BYTES;
    } else if (span->elemsize <= SMALL_MAX) {
        uint64_t page = (span->start - heap->arena_base) / PAGE % 8192;
        bool inline_marks =
            arena && arena->inline_pages && (arena->inline_pages[page / 8] >> (page % 8) & 1);
        uint64_t end = bytes - (inline_marks ? INLINE_MARKS : 0) - bytes / 64;
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
static bool hold_span(struct ca_go_heap *heap, const struct span *span, struct ca_region *region)
{
    uint64_t bytes = span->pages * PAGE;
    if (region->free_index < region->count)
        ca_target_hold(heap->target, span->allocbits, (span->nelems + 7) / 8);
    if (!region->no_scan)
        ca_target_hold(heap->target, span->start, bytes);
    return choose_format(heap, span, region) && ca_vec_push(&heap->heap.regions, *region);
}

static bool add_span(struct ca_go_heap *heap, struct ca_map *magics, const struct span *span)
{
    uint64_t bytes = span->pages * PAGE;
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
    if (heap->holding)
        return hold_span(heap, span, &region);
    if (region.free_index < region.count) {
        region.in_use = ca_go_heap_bytes(heap, span->allocbits, (span->nelems + 7) / 8);
        if (!region.in_use)
            ca_go_heap_break(heap, "span", span->start, "which objects it holds is not there");
    }
    if (!region.no_scan) {
        region.bytes = ca_go_heap_bytes(heap, span->start, bytes);
        if (!region.bytes) {
            ca_go_heap_break(heap, "heap", span->start, "memory of the heap is not there");
            region.no_scan = true;
        }
    }
    return !heap->failed && choose_format(heap, span, &region) &&
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
    uint8_t scratch[SPAN_BYTES_MAX];
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
    return add_span(heap, magics, &span) &&
           (heap->weighing ||
            ca_go_heap_specials(heap, span.specials, span.start, span.pages * PAGE));
}

static bool read_spans(struct ca_go_heap *heap)
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
    heap->idle_pages = 0;
    if (ca_go_read_u32(heap->go, mheap, GO_MHEAP_SWEEPGEN, &sweepgen) &&
        heap->go->layout.at[GO_MSPAN_SWEEPGEN] != CA_LAYOUT_ABSENT)
        heap->sweeping = sweepgen - 1;
    for (uint64_t i = 0;
         i < slice[1] && ok && (heap->holding || heap->weighing || !heap->heap.broken); i++) {
        uint64_t address;
        if (!ca_target_read_u64(heap->target, slice[0] + i * 8, &address))
            ca_go_heap_break(heap, "heap", slice[0] + i * 8, "the list of spans is not there");
        else
            ok = read_span(heap, &magics, address);
    }
    ca_map_deinit(&magics);
    if (heap->heap.regions.len > 0)
        qsort(heap->heap.regions.data, heap->heap.regions.len, sizeof(struct ca_region), by_start);
    return ok;
}

/* The g's, and the sudogs by which they are queued. */
static bool read_opaque(struct ca_go_heap *heap)
{
    struct ca_go *go = heap->go;
    if (!ca_vec_reserve(&heap->heap.opaque, heap->tasks->list.len + go->sudogs.len))
        return false;
    for (size_t i = 0; i < heap->tasks->list.len; i++) {
        const struct ca_task *task = &heap->tasks->list.data[i];
        size_t count;
        if (task->runtime != go->runtime.index)
            continue;
        if (!ca_vec_push(&heap->heap.opaque, task->address))
            return false;
        if (task->state == CA_STATE_RUNNING && task->thread == CA_UNKNOWN)
            ca_go_heap_break(heap, "thread of a running goroutine", task->address,
                             "it is not known: its registers may hold pointers");
        if (task->state != CA_STATE_WAITING)
            continue;
        const uint64_t *sudogs = ca_go_task_sudogs(go, task, &count);
        if (!ca_vec_reserve(&heap->heap.opaque, count))
            return false;
        for (size_t j = 0; j < count; j++)
            heap->heap.opaque.data[heap->heap.opaque.len++] = sudogs[j];
    }
    return true;
}

/* ---- doors --------------------------------------------------------------------------------- */

static size_t go_task_objects(struct ca_heap *base, uint32_t task, uint64_t *objects, size_t cap)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    size_t count;
    const uint64_t *sudogs = ca_go_task_sudogs(heap->go, &heap->tasks->list.data[task], &count);
    if (count > cap)
        count = cap;
    for (size_t i = 0; i < count; i++)
        objects[i] = sudogs[i];
    return count;
}

/* Is the goroutine still in the queues of all that it waits for? Whoever wakes it takes it out
 * first, and then holds only its g, until it runs. */
static bool is_queued(struct ca_go_heap *heap, const struct ca_task *task, uint32_t expected)
{
    size_t count;
    ca_go_task_sudogs(heap->go, task, &count);
    return (ca_go_task_flags(task) & CA_GO_TASK_QUEUED) && count == expected;
}

static size_t go_waits_on(struct ca_heap *base, uint32_t index, uint64_t *objects, size_t cap)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    const struct ca_task *task = &heap->tasks->list.data[index];
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(heap->tasks, task, &room);
    size_t count = 0;
    /* In a synctest bubble the runtime itself may wake it. */
    if (ca_go_task_flags(task) & (CA_GO_TASK_BUBBLE | CA_GO_TASK_WHOLE) || !wait)
        return SIZE_MAX;
    switch (wait->kind) {
    case CA_WAIT_NOTHING:
        return 0;
    case CA_WAIT_CHANNEL:
    case CA_WAIT_TIMER:
        if (!wait->has_address || !is_queued(heap, task, wait->channel.address != 0))
            return SIZE_MAX;
        if (wait->channel.address)
            objects[count++] = wait->channel.address;
        return count;
    case CA_WAIT_SELECT:
        if (wait->case_count > cap || !is_queued(heap, task, wait->case_count))
            return SIZE_MAX;
        for (uint32_t i = 0; i < wait->case_count; i++) {
            struct ca_case one = ca_waits_case(&heap->tasks->waits, wait->first_case + i);
            if (one.address)
                objects[count++] = one.address;
        }
        return count;
    case CA_WAIT_MUTEX:
    case CA_WAIT_RWMUTEX:
    case CA_WAIT_WAITGROUP:
    case CA_WAIT_COND:
        if (!wait->has_address || !wait->channel.address)
            return SIZE_MAX;
        objects[count++] = wait->channel.address;
        return count;
    default:
        return SIZE_MAX;
    }
}

void ca_go_heap_destroy(struct ca_go_heap *heap)
{
    if (!heap)
        return;
    for (size_t i = 0; i < heap->owned.len; i++)
        free(heap->owned.data[i]);
    for (size_t i = 0; i < heap->types.len; i++)
        free(heap->types.data[i].words);
    for (size_t i = 0; i < heap->plans.len; i++)
        ca_go_plan_deinit(&heap->plans.data[i]);
    ca_go_plan_deinit(&heap->once);
    ca_vec_deinit(&heap->owned);
    ca_vec_deinit(&heap->types);
    ca_vec_deinit(&heap->plans);
    ca_vec_deinit(&heap->arenas);
    ca_vec_deinit(&heap->heap.regions);
    ca_vec_deinit(&heap->heap.specials);
    ca_vec_deinit(&heap->heap.opaque);
    ca_map_deinit(&heap->arena_index);
    ca_map_deinit(&heap->busy);
    ca_map_deinit(&heap->type_index);
    free(heap);
}

static void go_destroy(struct ca_heap *base)
{
    ca_go_heap_destroy(ca_go_heap_of(base));
}

static struct ca_go_heap *create(struct ca_go *go)
{
    struct ca_go_heap *heap = calloc(1, sizeof(*heap));
    if (!heap)
        return NULL;
    heap->heap.ops = go->runtime.ops->heap;
    heap->heap.runtime = &go->runtime;
    heap->go = go;
    heap->target = go->target;
    heap->arena_base = go->target->arch == CA_ARCH_AMD64 ? 0xffff800000000000u : 0;
    return heap;
}

static bool has_heap(const struct ca_go *go)
{
    return go->globals.mheap != 0 && go->layout.at[GO_MSPAN_SIZE] > 0 &&
           go->layout.at[GO_MSPAN_SIZE] <= SPAN_BYTES_MAX;
}

/* Whether so much of a live target may be copied. */
static bool affordable(struct ca_go_heap *heap)
{
    if (heap->target->kind != CA_TARGET_LIVE)
        return true;
    heap->weighing = true;
    read_spans(heap);
    heap->weighing = false;
    return heap->weight <= heap->target->copy_limit;
}

static void drop_root(void *arg, const struct ca_root *root, const struct ca_word *words,
                      size_t count)
{
    (void)arg, (void)root, (void)words, (void)count;
}

struct ca_error *ca_go_heap_hold(struct ca_go *go)
{
    static const struct ca_root_sink nobody = {.add = drop_root};
    if (!has_heap(go))
        return NULL;
    struct ca_go_heap *heap = create(go);
    if (!heap)
        return &ca_error_nomem;
    /* What is odd here is so because the target runs, or will be found odd again later. */
    struct ca_gaps gaps = {0}, *kept = go->runtime.context.gaps;
    go->runtime.context.gaps = &gaps;
    heap->holding = affordable(heap);
    bool ok =
        !heap->holding || (read_spans(heap) && ca_go_heap_read_threads(heap) && !heap->failed);
    if (ok && heap->holding)
        ca_go_heap_roots(&heap->heap, &nobody);
    go->runtime.context.gaps = kept;
    ca_gaps_deinit(&gaps);
    go_destroy(&heap->heap);
    return ok ? NULL : &ca_error_nomem;
}

static void refuse_size(struct ca_go_heap *heap)
{
    char why[192];
    snprintf(why, sizeof(why),
             "%.1f GB of it may hold pointers, more than is copied of a live process (%.1f GB): "
             "give more by --copy-limit MB, or take a core",
             (double)heap->weight / 1e9, (double)heap->target->copy_limit / 1e9);
    ca_go_heap_break(heap, "heap", 0, why);
}

bool ca_go_heap_begin(struct ca_go *go, struct ca_tasks *tasks, struct ca_go_heap **ret)
{
    *ret = NULL;
    if (!has_heap(go))
        return true;
    struct ca_go_heap *heap = create(go);
    if (!heap)
        return false;
    heap->heap.tasks = heap->tasks = tasks;
    heap->quiet = true;
    bool ok = read_spans(heap) && !heap->failed;
    if (ok && !heap->heap.broken && heap->heap.regions.len > 0) {
        heap->quiet = false;
        heap->spans_read = true;
        *ret = heap;
    } else {
        ca_go_heap_destroy(heap);
    }
    return ok;
}

static struct ca_error *go_prepare(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                   struct ca_heap **ret)
{
    struct ca_go *go = ca_go_of(runtime);
    struct ca_go_heap *heap = go->heap ? go->heap : create(go);
    *ret = NULL;
    go->heap = NULL;
    if (!heap)
        return &ca_error_nomem;
    heap->heap.tasks = heap->tasks = tasks;
    if (!go->target->complete)
        ca_go_heap_break(heap, "heap", 0, "the core is cut: what is missing may hold pointers");
    else if (runtime->context.options->no_stop)
        ca_go_heap_break(heap, "heap", 0, "it changed while it was read: the target ran on");
    else if (go->globals.mheap == 0)
        ca_go_heap_break(heap, "heap", 0, "the runtime's heap was not found");
    else if (go->layout.at[GO_MSPAN_SIZE] <= 0 || go->layout.at[GO_MSPAN_SIZE] > SPAN_BYTES_MAX)
        ca_go_heap_break(heap, "heap", 0, "the layout of its spans makes no sense");
    else if (!affordable(heap))
        refuse_size(heap);
    else if (!read_spans(heap) || !read_opaque(heap) || !ca_go_heap_read_threads(heap) ||
             heap->failed) {
        go_destroy(&heap->heap);
        return &ca_error_nomem;
    }
    *ret = &heap->heap;
    return NULL;
}

const struct ca_heap_ops ca_go_heap_ops = {
    .prepare = go_prepare,
    .roots = ca_go_heap_roots,
    .task_roots = ca_go_heap_task_roots,
    .task_holds = ca_go_heap_task_holds,
    .expect_task = ca_go_heap_expect_task,
    .task_objects = go_task_objects,
    .waits_on = go_waits_on,
    .scan = ca_go_heap_scan,
    .timers = ca_go_heap_timers,
    .timed = ca_go_heap_timed,
    .describe_route = ca_go_heap_describe_route,
    .shape = ca_go_heap_shape,
    .destroy = go_destroy,
};
