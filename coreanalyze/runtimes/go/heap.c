/* The doors of runtimes/heap.h, and what makes them. */
#include "runtimes/go/views.h"

#include <stdio.h>
#include <string.h>

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

/* ---- reading all --------------------------------------------------------------------------- */

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
           go->layout.at[GO_MSPAN_SIZE] <= CA_GO_SPAN_BYTES_MAX;
}

/* Whether so much of a live target may be copied. */
static bool affordable(struct ca_go_heap *heap)
{
    if (heap->target->kind != CA_TARGET_LIVE)
        return true;
    heap->weighing = true;
    ca_go_heap_read_spans(heap);
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
    bool ok = !heap->holding ||
              (ca_go_heap_read_spans(heap) && ca_go_heap_read_threads(heap) && !heap->failed);
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
    bool ok = ca_go_heap_read_spans(heap) && !heap->failed;
    if (ok && !heap->heap.broken && heap->heap.regions.len > 0) {
        heap->quiet = false;
        heap->spans_read = true;
        *ret = heap;
    } else {
        ca_go_heap_destroy(heap);
    }
    return ok;
}

/* Frames are told by these tables, and what they hold. */
static void check_tables(struct ca_go_heap *heap)
{
    const struct ca_go_tables *tables = &heap->go->tables;
    for (size_t i = 0; i < tables->modules.len; i++)
        if (tables->modules.data[i].odd)
            ca_go_heap_break(heap, "functions", tables->modules.data[i].address,
                             "where they lie makes no sense");
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
    check_tables(heap);
    if (!go->target->complete)
        ca_go_heap_break(heap, "heap", 0, "the core is cut: what is missing may hold pointers");
    else if (runtime->context.options->no_stop)
        ca_go_heap_break(heap, "heap", 0, "it changed while it was read: the target ran on");
    else if (go->globals.mheap == 0)
        ca_go_heap_break(heap, "heap", 0, "the runtime's heap was not found");
    else if (go->layout.at[GO_MSPAN_SIZE] <= 0 ||
             go->layout.at[GO_MSPAN_SIZE] > CA_GO_SPAN_BYTES_MAX)
        ca_go_heap_break(heap, "heap", 0, "the layout of its spans makes no sense");
    else if (!affordable(heap))
        refuse_size(heap);
    else if (!ca_go_heap_read_spans(heap) || !read_opaque(heap) || !ca_go_heap_read_threads(heap) ||
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
