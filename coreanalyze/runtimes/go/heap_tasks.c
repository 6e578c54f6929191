/* What a goroutine would have in its hands if it ran on: its stack by the plan of it, its record,
 * its deferred calls, and what its thread holds while it runs.
 */
#include "runtimes/go/heap.h"

enum {
    DEFERS_MAX = 1 << 20,
    BATCH = 256,
    EXPECTED_SUDOGS = 4,
    EXPECTED_SUDOG = 104, /* bytes */
    SUDOGS_MAX = 65536,
    FEW_OBJECTS = 32,
};
enum { ROUGHLY = 1, EXACTLY };

struct scan {
    struct ca_go_heap *heap;
    const struct ca_root_sink *sink;
    const struct ca_go_plan *plan;
    uint64_t base, low, high;
    struct ca_root root;
    struct ca_word *words; /* BATCH of them */
    size_t len;
    uint8_t *seen; /* by object: not, ROUGHLY, EXACTLY */
    CA_VEC(uint32_t) objects;
};

static void flush(struct scan *scan)
{
    if (scan->len > 0)
        scan->sink->add(scan->sink->arg, &scan->root, scan->words, scan->len);
    scan->len = 0;
}

/* Does a pointer lead to an object on this stack? Then that is scanned too. To what only a word
 * leads that looks like a pointer may be no more, or not yet be: its own words then are such as
 * well. */
static void reach_object(struct scan *scan, uint64_t value, bool exact)
{
    const struct ca_go_plan *plan = scan->plan;
    size_t low = 0, high = plan->objects.len;
    int64_t offset = (int64_t)(value - scan->base);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plan->objects.data[middle].offset + (int64_t)plan->objects.data[middle].size <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == plan->objects.len || plan->objects.data[low].offset > offset)
        return;
    bool known = scan->seen[low];
    if (scan->seen[low] != EXACTLY)
        scan->seen[low] = exact ? EXACTLY : ROUGHLY;
    if (!known && !ca_vec_push(&scan->objects, (uint32_t)low))
        scan->heap->failed = true;
}

static void put(struct scan *scan, uint64_t address, uint64_t value, uint32_t frame, bool exact)
{
    if (value - scan->low < scan->high - scan->low) {
        if (scan->seen && value)
            reach_object(scan, value, exact);
        return;
    }
    if (!ca_root_sink_wants(scan->sink, value))
        return;
    if (scan->len == BATCH || scan->root.frame != frame || scan->root.exact != exact) {
        flush(scan);
        scan->root.frame = frame;
        scan->root.exact = exact;
    }
    scan->words[scan->len++] = (struct ca_word){.address = address, .value = value};
}

static void lost(struct scan *scan, uint64_t address)
{
    ca_go_heap_break(scan->heap, "stack of a goroutine", address, "it is not there");
}

static void put_at(struct scan *scan, uint64_t address, uint32_t frame, bool exact)
{
    uint64_t value;
    if (!ca_target_read_u64(scan->heap->target, address, &value))
        lost(scan, address);
    else
        put(scan, address, value, frame, exact);
}

static void put_range(struct scan *scan, uint64_t start, uint64_t end, uint32_t frame)
{
    for (start = (start + 7) & ~UINT64_C(7); start + 8 <= end && !scan->heap->heap.broken;
         start += 8)
        put_at(scan, start, frame, false);
}

/* reflect.makeFuncStub keeps at sp (arm64: above lr) a *{fn, *bitvector, argLen}: the arguments'
 * map; their results are valid when a byte further up says so. Both read as may-be pointers. */
static void put_call(struct scan *scan, const struct ca_go_plan_call *call)
{
    uint64_t at = scan->base + (uint64_t)call->sp, record, words[3], vector[2];
    if (scan->heap->target->arch == CA_ARCH_ARM64)
        at += 8;
    if (!ca_target_read_u64(scan->heap->target, at, &record) || record == 0)
        return;
    put(scan, at, record, call->frame, false);
    if (!ca_target_read(scan->heap->target, record, words, 24) ||
        !ca_target_read(scan->heap->target, words[1], vector, 16)) {
        lost(scan, record);
        return;
    }
    uint64_t count = (uint32_t)vector[0];
    const uint8_t *bits =
        count < (1 << 20) ? ca_go_heap_bytes(scan->heap, vector[1], (count + 7) / 8) : NULL;
    if (!bits) {
        lost(scan, words[1]);
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        if (bits[i / 8] >> (i % 8) & 1)
            put_at(scan, scan->base + (uint64_t)call->argp + i * 8, call->frame, false);
}

/* What a thread's words say: some point at objects on the goroutine's stack. */
static void thread_add(void *arg, const struct ca_root *root, const struct ca_word *words,
                       size_t count)
{
    struct scan *scan = arg;
    for (size_t i = 0; i < count; i++)
        if (scan->seen && words[i].value - scan->low < scan->high - scan->low)
            reach_object(scan, words[i].value, false);
    scan->sink->add(scan->sink->arg, root, words, count);
}

/* Where the lowest frame on the goroutine's own stack begins. */
static uint64_t first_frame(const struct scan *scan, const struct ca_task *task)
{
    uint64_t first = scan->high;
    if (task->stack == CA_STACK_NONE)
        return first;
    const struct ca_stack *stack = &scan->heap->tasks->stacks.list.data[task->stack];
    const struct ca_raw_frame *frames = scan->heap->tasks->stacks.frames.data + stack->first;
    for (uint32_t i = 0; i < stack->count; i++) {
        uint64_t sp = task->sp + frames[i].sp;
        if (sp >= scan->low && sp < first)
            first = sp;
    }
    return first;
}

/* A running goroutine's frames may begin above what its thread has reached on the same stack, when
 * that is code without tables. */
static void below_frames(struct scan *scan, const struct ca_task *task,
                         const struct ca_thread *thread)
{
    uint64_t sp;
    if (task->state == CA_STATE_RUNNING && ca_go_heap_thread_sp(scan->heap, thread, &sp) &&
        sp >= scan->low && sp < scan->high)
        put_range(scan, sp, first_frame(scan, task), CA_NONE);
}

static void scan_thread(struct scan *scan, const struct ca_task *task)
{
    struct ca_go_heap *heap = scan->heap;
    struct ca_root_sink sink = {.add = thread_add, .arg = scan};
    const uint64_t *slot = ca_map_get(&heap->go->threads.by_tid, (uint64_t)task->thread);
    if (!slot)
        return;
    const struct ca_thread *thread = &heap->target->threads.data[*slot - 1];
    ca_go_heap_thread(heap, thread, &sink);
    below_frames(scan, task, thread);
}

static void drain_objects(struct scan *scan)
{
    while (scan->objects.len > 0) {
        uint32_t index = scan->objects.data[--scan->objects.len];
        const struct ca_go_plan_object *object = &scan->plan->objects.data[index];
        bool exact = scan->seen[index] == EXACTLY && object->frame >= scan->plan->inner;
        uint64_t start = scan->base + (uint64_t)object->offset;
        if (!object->mask)
            put_range(scan, start, start + object->size, object->frame);
        for (uint32_t i = 0; object->mask && i < object->words; i++)
            if (object->mask[i / 8] >> (i % 8) & 1)
                put_at(scan, start + i * 8, object->frame, exact);
    }
}

/* Deferred calls: the records may be on the stack, where no map tells of them. */
static void put_defers(struct scan *scan, uint64_t g)
{
    struct ca_go *go = scan->heap->go;
    uint64_t at = 0, link = 0, fn = 0;
    uint64_t panics = 0;
    ca_go_read_u64(go, g, GO_G_DEFER, &at);
    for (size_t i = 0; at && i < DEFERS_MAX; i++) {
        put(scan, g, at, CA_NONE, false);
        if (!ca_go_read_u64(go, at, GO_DEFER_FN, &fn) ||
            !ca_go_read_u64(go, at, GO_DEFER_LINK, &link)) {
            lost(scan, at);
            return;
        }
        put(scan, at, fn, CA_NONE, false);
        at = link;
    }
    if (ca_go_read_u64(go, g, GO_G_PANIC, &panics))
        put(scan, g, panics, CA_NONE, false);
}

static void scan_plan(struct scan *scan)
{
    const struct ca_go_plan *plan = scan->plan;
    for (size_t i = 0; i < plan->words.len; i++)
        put_at(scan, scan->base + (uint64_t)plan->words.data[i].offset, plan->words.data[i].frame,
               plan->words.data[i].frame >= plan->inner);
    for (size_t i = 0; i < plan->ranges.len; i++) {
        uint64_t start = scan->base + (uint64_t)plan->ranges.data[i].offset;
        put_range(scan, start, start + plan->ranges.data[i].size, plan->ranges.data[i].frame);
    }
    for (size_t i = 0; i < plan->calls.len; i++)
        put_call(scan, &plan->calls.data[i]);
}

/* The lowest word that is in use; for what no plan describes. */
static uint64_t bottom_of(const struct ca_task *task)
{
    if (ca_go_task_flags(task) & CA_GO_TASK_WHOLE)
        return task->stack_low;
    if (task->sp >= task->stack_low && task->sp < task->stack_high)
        return task->sp;
    return task->stack_low;
}

static void scan_stack(struct ca_go_heap *heap, uint32_t index, struct scan *scan)
{
    const struct ca_task *task = &heap->tasks->list.data[index];
    const struct ca_go_plan *plan = NULL;
    uint8_t few[FEW_OBJECTS] = {0}; /* most stacks hold no more objects of their own */
    bool on_thread = ca_go_heap_on_thread(heap, task);
    if (task->stack_low >= task->stack_high && !on_thread)
        return;
    if (task->stack != CA_STACK_NONE && !(ca_go_task_flags(task) & CA_GO_TASK_WHOLE)) {
        plan = ca_go_plan_of(heap, task);
        if (!plan)
            heap->failed = true;
    }
    scan->plan = plan;
    if (plan && !plan->whole) {
        scan->seen = plan->objects.len > FEW_OBJECTS ? calloc(plan->objects.len, 1) : few;
        if (!scan->seen)
            heap->failed = true;
        else
            scan_plan(scan);
    } else {
        put_range(scan, bottom_of(task), task->stack_high, CA_NONE);
    }
    put_defers(scan, task->address);
    if (on_thread)
        scan_thread(scan, task);
    if (scan->seen)
        drain_objects(scan);
    flush(scan);
    if (scan->seen != few)
        free(scan->seen);
    scan->seen = NULL;
    ca_vec_deinit(&scan->objects);
}

/* Most records lie where the one before does. */
const struct ca_region *ca_go_heap_region(struct ca_go_heap *heap, uint64_t address)
{
    size_t low = 0, high = heap->heap.regions.len;
    if (heap->record_region < high) {
        const struct ca_region *last = &heap->heap.regions.data[heap->record_region];
        if (address - last->start < last->size * last->count)
            return last;
    }
    while (high > low) {
        size_t middle = low + (high - low) / 2;
        const struct ca_region *region = &heap->heap.regions.data[middle];
        if (address - region->start < region->size * region->count) {
            heap->record_region = (uint32_t)middle;
            return region;
        }
        if (address < region->start)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A record is an object with a map of its pointers. Its other words must not be taken for some: a
 * stack ends where another object may begin. */
static void scan_pointers(struct scan *scan, struct ca_root *root, uint64_t g)
{
    struct ca_go_heap *heap = scan->heap;
    const struct ca_region *region = ca_go_heap_region(heap, g);
    uint64_t values[BATCH], from = 0;
    uint32_t offsets[BATCH];
    struct ca_word words[BATCH];
    bool exact = true;
    if (!region || !region->bytes) { /* not allocated by the program: a static one */
        root->exact = false;
        if (!ca_go_heap_words(heap, scan->sink, root, g,
                              g + (uint64_t)heap->go->layout.at[GO_G_SIZE]))
            lost(scan, g);
        return;
    }
    uint32_t slot = (uint32_t)((g - region->start) / region->size);
    while (from < region->size) {
        uint64_t before = from;
        size_t count =
            ca_go_heap_scan(&heap->heap, region, slot, &from, values, offsets, BATCH, &exact);
        size_t wanted = 0;
        for (size_t i = 0; i < count; i++)
            if (ca_root_sink_wants(scan->sink, values[i]))
                words[wanted++] =
                    (struct ca_word){.address = g + 8 * (uint64_t)offsets[i], .value = values[i]};
        if (wanted > 0)
            scan->sink->add(scan->sink->arg, root, words, wanted);
        if (from <= before)
            break;
    }
}

/* The g itself: what its record points at. */
static void scan_record(struct ca_go_heap *heap, struct scan *scan, uint64_t g)
{
    struct ca_root root = {
        .kind = CA_ROOT_RUNTIME, .name = "goroutine", .frame = CA_NONE, .exact = true};
    struct ca_go *go = heap->go;
    uint64_t xregs = 0, sudog = 0;
    scan_pointers(scan, &root, g);
    root.exact = false;
    if (go->layout.at[GO_G_XREGS] != CA_LAYOUT_ABSENT &&
        go->layout.at[GO_XREGS_SIZE] != CA_LAYOUT_ABSENT &&
        ca_go_read_u64(go, g, GO_G_XREGS, &xregs) && xregs &&
        !ca_go_heap_words(heap, scan->sink, &root, xregs,
                          xregs + (uint64_t)go->layout.at[GO_XREGS_SIZE]))
        lost(scan, xregs);
    ca_go_read_u64(go, g, GO_G_WAITING, &sudog);
    for (size_t i = 0; sudog && i < SUDOGS_MAX; i++) {
        uint64_t elem = 0;
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_ELEM, &elem))
            break;
        put(scan, sudog, elem, CA_NONE, false);
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_C, &elem))
            break;
        put(scan, sudog, elem, CA_NONE, false);
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_WAITLINK, &sudog))
            break;
    }
    flush(scan);
}

void ca_go_heap_expect_task(const struct ca_heap *base, uint32_t task)
{
    const struct ca_go *go = ca_go_of(base->runtime);
    const struct ca_task *at = &base->tasks->list.data[task];
    if (at->runtime != go->runtime.index || (at->detail[1] & CA_GO_TASK_NOTED))
        return;
    size_t count;
    const uint64_t *sudogs = ca_go_task_sudogs(go, at, &count);
    ca_target_hint(go->target, at->address, (size_t)go->layout.at[GO_G_SIZE]);
    ca_go_stack_hint(go, at->sp, at->stack_high);
    for (size_t i = 0; i < count && i < EXPECTED_SUDOGS; i++)
        ca_target_hint(go->target, sudogs[i], EXPECTED_SUDOG);
}

void ca_go_heap_task_roots(struct ca_heap *base, uint32_t task, const struct ca_root_sink *sink)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    const struct ca_task *at = &heap->tasks->list.data[task];
    struct ca_word words[BATCH]; /* not cleared: this is called for every task */
    struct scan scan = {.heap = heap,
                        .words = words,
                        .sink = sink,
                        .base = at->sp,
                        .low = at->stack_low,
                        .high = at->stack_high,
                        .root = {.kind = CA_ROOT_STACK, .frame = CA_NONE}};
    scan_record(heap, &scan, at->address);
    scan_stack(heap, task, &scan);
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(heap->tasks, at, &room);
    if (wait && wait->has_address && wait->channel.address) {
        put(&scan, at->address, wait->channel.address, CA_NONE, false);
        flush(&scan);
    }
    if (heap->failed)
        ca_go_heap_break(heap, "stack of a goroutine", at->sp, "no memory left here");
}
