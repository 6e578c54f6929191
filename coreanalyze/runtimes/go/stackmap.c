/* Where the pointers of a goroutine's stack are, by the compiler's own maps, as the collector reads
 * them (runtime/stkframe.go, mgcmark.go scanstack). Made once for each different stack: a plan of
 * distances from the innermost sp.
 */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    OBJECTS_MAX = 4096, /* of one frame */
    DEFERS_MAX = 1 << 20,
    ARGS_UNKNOWN = 0x80000000,
    BATCH = 256,
    EXPECTED_STACK = 320, /* bytes in use of most stacks */
    SUDOGS_MAX = 65536,
};

void ca_go_plan_deinit(struct ca_go_plan *plan)
{
    ca_vec_deinit(&plan->words);
    ca_vec_deinit(&plan->ranges);
    ca_vec_deinit(&plan->objects);
    ca_vec_deinit(&plan->calls);
    *plan = (struct ca_go_plan){0};
}

struct frame {
    uint32_t number;
    uint64_t pc, sp, fp, varp, argp;
    struct ca_go_func func;
    bool injected_callee; /* it was interrupted, not called out of */
    bool panicked;        /* sigpanic's caller: only deferred calls go on there */
    bool interrupted;     /* pc may be anywhere: no map fits */
};

struct planner {
    struct ca_go_heap *heap;
    struct ca_go_plan *plan;
    uint64_t base; /* sp of the first frame */
};

static bool named(const struct ca_go_func *func, const char *name)
{
    return !strcmp(ca_go_func_name(func), name);
}

/* ---- one frame ----------------------------------------------------------------------------- */

static bool add_range(struct planner *planner, const struct frame *frame, uint64_t start,
                      uint64_t size)
{
    return ca_vec_push(&planner->plan->ranges,
                       (struct ca_go_plan_range){.offset = (int64_t)(start - planner->base),
                                                 .size = size,
                                                 .frame = frame->number});
}

/* The words of a stack map's row, the first of them at start. *ok: the map makes sense. */
static bool add_row(struct planner *planner, const struct frame *frame, uint64_t map, int32_t row,
                    uint64_t end, uint64_t start, bool *ok)
{
    int32_t head[2]; /* rows, bits */
    *ok = map != 0 && ca_target_read(planner->heap->target, map, head, 8) && head[0] > 0 &&
          head[1] >= 0 && head[1] < (1 << 27);
    if (!*ok || head[1] == 0)
        return true;
    *ok = row >= 0 && row < head[0];
    if (!*ok)
        return true;
    uint64_t width = ((uint64_t)head[1] + 7) / 8;
    const uint8_t *bits = ca_go_heap_bytes(planner->heap, map + 8 + (uint64_t)row * width, width);
    if (!bits) {
        *ok = false;
        return true;
    }
    if (end)
        start = end - (uint64_t)head[1] * 8;
    for (int32_t i = 0; i < head[1]; i++)
        if (bits[i / 8] >> (i % 8) & 1)
            if (!ca_vec_push(&planner->plan->words,
                             (struct ca_go_plan_word){
                                 .offset = (int64_t)(start + (uint64_t)i * 8 - planner->base),
                                 .frame = frame->number}))
                return false;
    return true;
}

static bool add_objects(struct planner *planner, const struct frame *frame, bool *ok)
{
    struct ca_go_heap *heap = planner->heap;
    uint64_t at = ca_go_func_funcdata(&heap->go->tables, &frame->func, CA_GO_FUNCDATA_OBJECTS);
    uint64_t count;
    *ok = true;
    if (at == 0)
        return true;
    *ok = ca_target_read_u64(heap->target, at, &count) && count <= OBJECTS_MAX;
    for (uint64_t i = 0; i < count && *ok; i++) {
        int32_t record[4]; /* off, size, ptrBytes, gcdataoff */
        *ok = ca_target_read(heap->target, at + 8 + i * 16, record, 16) && record[1] >= 0;
        if (!*ok || record[2] == 0)
            continue;
        uint64_t start = (record[0] < 0 ? frame->varp : frame->argp) + (uint64_t)(int64_t)record[0];
        struct ca_go_plan_object object = {.offset = (int64_t)(start - planner->base),
                                           .size = (uint32_t)record[1],
                                           .frame = frame->number};
        if (record[2] > 0 && record[2] <= record[1]) {
            object.words = (uint32_t)record[2] / 8;
            object.mask = ca_go_heap_bytes(heap, frame->func.module->rodata + (uint32_t)record[3],
                                           (object.words + 7) / 8);
            *ok = object.mask != NULL;
        } /* else a GC program: every word */
        if (!ca_vec_push(&planner->plan->objects, object))
            return false;
    }
    return true;
}

/* Interrupted anywhere: no map fits. Its frame and its arguments, word by word. */
static bool add_interrupted(struct planner *planner, const struct frame *frame)
{
    uint32_t args = ca_go_func_u32(&frame->func, planner->heap->go->layout.at[GO_FUNC_ARGS]);
    if (args == ARGS_UNKNOWN || args > (1 << 20))
        args = 256;
    uint64_t end = frame->varp > frame->sp ? frame->varp : frame->sp;
    return add_range(planner, frame, frame->sp, end - frame->sp) &&
           (args == 0 || add_range(planner, frame, frame->argp, args));
}

static bool is_reflect_call(const struct ca_go_func *func)
{
    return named(func, "reflect.makeFuncStub") || named(func, "reflect.methodValueCall");
}

static bool add_args(struct planner *planner, const struct frame *frame, int32_t row, bool *ok)
{
    const struct ca_go *go = planner->heap->go;
    uint32_t args = ca_go_func_u32(&frame->func, go->layout.at[GO_FUNC_ARGS]);
    *ok = true;
    if (is_reflect_call(&frame->func))
        return ca_vec_push(&planner->plan->calls,
                           (struct ca_go_plan_call){.sp = (int64_t)(frame->sp - planner->base),
                                                    .argp = (int64_t)(frame->argp - planner->base),
                                                    .frame = frame->number});
    if (args == 0 || args == ARGS_UNKNOWN)
        return true;
    uint64_t map = ca_go_func_funcdata(&go->tables, &frame->func, CA_GO_FUNCDATA_ARGS);
    return add_row(planner, frame, map, row, 0, frame->argp, ok);
}

static bool add_locals(struct planner *planner, const struct frame *frame, int32_t row, bool *ok)
{
    const struct ca_go *go = planner->heap->go;
    uint64_t least = planner->heap->target->arch == CA_ARCH_ARM64 ? 16 : 0;
    *ok = true;
    if (frame->varp <= frame->sp || frame->varp - frame->sp <= least)
        return true;
    uint64_t map = ca_go_func_funcdata(&go->tables, &frame->func, CA_GO_FUNCDATA_LOCALS);
    return add_row(planner, frame, map, row, frame->varp, 0, ok);
}

/* false: no memory. *ok false: its maps cannot be read. */
static bool add_frame(struct planner *planner, const struct frame *frame, bool *ok)
{
    const struct ca_go *go = planner->heap->go;
    uint64_t pc = frame->pc;
    *ok = true;
    if (frame->interrupted && ca_go_heap_in_system_call(planner->heap, pc)) {
        bool any; /* a stub in assembly has no locals; without a map its arguments are numbers */
        return add_args(planner, frame, 0, &any);
    }
    if (frame->interrupted)
        return add_interrupted(planner, frame);
    if (frame->panicked) {
        uint32_t resume = ca_go_func_u32(&frame->func, go->layout.at[GO_FUNC_DEFERRETURN]);
        if (resume == 0)
            return true; /* never runs on */
        pc = frame->func.entry + resume + 1;
    }
    int32_t row = -1;
    if (pc != frame->func.entry)
        row = ca_go_func_pcdata(&go->tables, &frame->func, CA_GO_PCDATA_STACKMAP, pc - 1);
    if (row < 0)
        row = 0;
    if (!add_locals(planner, frame, row, ok) || !*ok)
        return *ok ? false : true;
    if (!add_args(planner, frame, row, ok) || !*ok)
        return *ok ? false : true;
    return add_objects(planner, frame, ok);
}

/* ---- all frames ---------------------------------------------------------------------------- */

static bool fill_frame(struct ca_go_heap *heap, const struct ca_raw_frame *raw, uint64_t sp,
                       struct frame *ret)
{
    int32_t delta;
    *ret = (struct frame){.pc = raw->pc, .sp = sp};
    if (!ca_go_func_find(&heap->go->tables, raw->pc, &ret->func) ||
        !ca_go_func_spdelta(&heap->go->tables, &ret->func, raw->pc, &delta) || delta < 0)
        return false;
    if (heap->target->arch == CA_ARCH_ARM64) {
        ret->fp = sp + (uint64_t)delta;
        ret->varp = ret->fp;
        ret->argp = ret->fp + 8;
    } else {
        ret->fp = sp + (uint64_t)delta + 8;
        ret->varp = ret->fp - 8;
        ret->argp = ret->fp;
    }
    if (ret->varp > sp)
        ret->varp -= 8;
    return true;
}

static int by_offset(const void *a, const void *b)
{
    int64_t x = ((const struct ca_go_plan_object *)a)->offset;
    int64_t y = ((const struct ca_go_plan_object *)b)->offset;
    return x < y ? -1 : x > y;
}

static bool preempts(const struct ca_go_func *func)
{
    return named(func, "runtime.asyncPreempt") || named(func, "runtime.debugCallV2") ||
           named(func, "runtime.debugCallV1");
}

/* Frames outside [low, high) are on the thread's own stack, which is scanned with the thread.
 * false: no memory. */
static bool make_plan(struct planner *planner, const struct ca_stack *stack, uint64_t low,
                      uint64_t high)
{
    const struct ca_raw_frame *frames = planner->heap->tasks->stacks.frames.data + stack->first;
    bool conservative = false, panicked = false;
    planner->plan->whole = stack->cut || stack->count == 0;
    for (uint32_t i = 0; i < stack->count && !planner->plan->whole; i++) {
        struct frame frame;
        uint64_t sp = planner->base + frames[i].sp;
        bool ok;
        if (sp < low || sp >= high)
            continue;
        if (!fill_frame(planner->heap, &frames[i], sp, &frame)) {
            planner->plan->whole = true;
            break;
        }
        frame.number = i;
        frame.panicked = panicked;
        bool here = preempts(&frame.func);
        /* The innermost frame of a running goroutine stands anywhere. */
        bool running = i == 0 && frames[i].exact && frame.pc != frame.func.entry;
        if (running &&
            (ca_go_func_flag(&planner->heap->go->tables, &frame.func) & CA_GO_FLAG_SPWRITE)) {
            planner->plan->whole = true; /* between two stacks */
            break;
        }
        frame.interrupted = conservative || here || running;
        if (!add_frame(planner, &frame, &ok))
            return false;
        if (!ok)
            planner->plan->whole = true;
        conservative = here;
        panicked = named(&frame.func, "runtime.sigpanic");
    }
    if (planner->plan->objects.len > 1)
        qsort(planner->plan->objects.data, planner->plan->objects.len,
              sizeof(struct ca_go_plan_object), by_offset);
    planner->plan->made = true;
    return true;
}

/* Emits a plan's words where no goroutine's stack is. */
static bool emit(struct ca_go_heap *heap, const struct ca_go_plan *plan,
                 const struct ca_root_sink *sink)
{
    struct ca_root root = {.kind = CA_ROOT_STACK, .name = "a thread's stack", .frame = CA_NONE};
    for (size_t i = 0; i < plan->words.len; i++) {
        struct ca_word word = {.address = (uint64_t)plan->words.data[i].offset};
        if (!ca_target_read_u64(heap->target, word.address, &word.value))
            return false;
        sink->add(sink->arg, &root, &word, 1);
    }
    for (size_t i = 0; i < plan->ranges.len; i++) {
        uint64_t start = (uint64_t)plan->ranges.data[i].offset;
        if (!ca_go_heap_words(heap, sink, &root, start, start + plan->ranges.data[i].size))
            return false;
    }
    return true;
}

/* System stacks have no objects of their own that only a pointer keeps in use: their frames' are
 * read as a whole. */
static bool add_thread_frame(struct planner *planner, struct frame *frame)
{
    bool ok;
    if (!add_frame(planner, frame, &ok))
        return false;
    for (size_t i = 0; i < planner->plan->objects.len; i++) {
        const struct ca_go_plan_object *object = &planner->plan->objects.data[i];
        if (!add_range(planner, frame, (uint64_t)object->offset, object->size))
            return false;
    }
    planner->plan->objects.len = 0;
    return ok || add_interrupted(planner, frame); /* assembly has no maps */
}

bool ca_go_heap_frames(struct ca_go_heap *heap, const struct ca_go_frames *frames,
                       const struct ca_root_sink *sink)
{
    struct ca_go_plan plan = {0};
    struct planner planner = {.heap = heap, .plan = &plan};
    bool ok = true;
    for (size_t i = 0; i < frames->list.len && ok; i++) {
        struct frame frame;
        ok = fill_frame(heap, &frames->list.data[i], frames->list.data[i].sp, &frame);
        frame.number = CA_NONE;
        frame.interrupted = i == 0 && frame.pc != frame.func.entry;
        ok = ok && add_thread_frame(&planner, &frame);
    }
    ok = ok && plan.calls.len == 0 && emit(heap, &plan, sink);
    ca_go_plan_deinit(&plan);
    return ok;
}

/* ---- one goroutine ------------------------------------------------------------------------- */

struct scan {
    struct ca_go_heap *heap;
    const struct ca_root_sink *sink;
    const struct ca_go_plan *plan;
    uint64_t base, low, high;
    struct ca_root root;
    struct ca_word *words; /* BATCH of them */
    size_t len;
    uint8_t *seen; /* by object */
    CA_VEC(uint32_t) objects;
};

static void flush(struct scan *scan)
{
    if (scan->len > 0)
        scan->sink->add(scan->sink->arg, &scan->root, scan->words, scan->len);
    scan->len = 0;
}

/* Does a pointer lead to an object on this stack? Then that is scanned too. */
static void reach_object(struct scan *scan, uint64_t value)
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
    if (low == plan->objects.len || plan->objects.data[low].offset > offset || scan->seen[low])
        return;
    scan->seen[low] = 1;
    if (!ca_vec_push(&scan->objects, (uint32_t)low))
        scan->heap->failed = true;
}

static void put(struct scan *scan, uint64_t address, uint64_t value, uint32_t frame, bool exact)
{
    if (value == 0)
        return;
    if (value - scan->low < scan->high - scan->low) {
        if (scan->seen)
            reach_object(scan, value);
        return;
    }
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
            reach_object(scan, words[i].value);
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
    const uint64_t *slot = ca_map_get(&heap->go->thread_by_tid, (uint64_t)task->thread);
    if (!slot)
        return;
    const struct ca_thread *thread = &heap->target->threads.data[*slot - 1];
    ca_go_heap_thread(heap, thread, &sink);
    below_frames(scan, task, thread);
}

static void drain_objects(struct scan *scan)
{
    while (scan->objects.len > 0) {
        const struct ca_go_plan_object *object =
            &scan->plan->objects.data[scan->objects.data[--scan->objects.len]];
        uint64_t start = scan->base + (uint64_t)object->offset;
        if (!object->mask)
            put_range(scan, start, start + object->size, object->frame);
        for (uint32_t i = 0; object->mask && i < object->words; i++)
            if (object->mask[i / 8] >> (i % 8) & 1)
                put_at(scan, start + i * 8, object->frame, true);
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
               true);
    for (size_t i = 0; i < plan->ranges.len; i++) {
        uint64_t start = scan->base + (uint64_t)plan->ranges.data[i].offset;
        put_range(scan, start, start + plan->ranges.data[i].size, plan->ranges.data[i].frame);
    }
    for (size_t i = 0; i < plan->calls.len; i++)
        put_call(scan, &plan->calls.data[i]);
}

/* The plan of a stack; a running goroutine's is made each time. NULL: no memory. */
static const struct ca_go_plan *plan_of(struct ca_go_heap *heap, const struct ca_task *task)
{
    struct planner planner = {.heap = heap, .base = task->sp};
    const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
    bool cached = task->state != CA_STATE_RUNNING && task->state != CA_STATE_SYSCALL;
    if (!cached) {
        ca_go_plan_deinit(&heap->once);
        planner.plan = &heap->once;
    } else {
        while (heap->plans.len < heap->tasks->stacks.list.len)
            if (!ca_vec_push(&heap->plans, (struct ca_go_plan){0}))
                return NULL;
        planner.plan = &heap->plans.data[task->stack];
    }
    if (!planner.plan->made && !make_plan(&planner, stack, task->stack_low, task->stack_high))
        return NULL;
    return planner.plan;
}

/* The lowest word that is in use; for what no plan describes. */
static uint64_t bottom_of(struct ca_go_heap *heap, const struct ca_task *task, uint32_t index)
{
    if (heap->task_flags.data[index] & CA_GO_TASK_WHOLE)
        return task->stack_low;
    if (task->sp >= task->stack_low && task->sp < task->stack_high)
        return task->sp;
    return task->stack_low;
}

static void scan_stack(struct ca_go_heap *heap, uint32_t index, struct scan *scan)
{
    const struct ca_task *task = &heap->tasks->list.data[index];
    const struct ca_go_plan *plan = NULL;
    uint8_t nothing = 0; /* most stacks hold no objects of their own */
    bool on_thread = ca_go_heap_on_thread(heap, task);
    if (task->stack_low >= task->stack_high && !on_thread)
        return;
    if (task->stack != CA_STACK_NONE && !(heap->task_flags.data[index] & CA_GO_TASK_WHOLE)) {
        plan = plan_of(heap, task);
        if (!plan)
            heap->failed = true;
    }
    scan->plan = plan;
    if (plan && !plan->whole) {
        scan->seen = plan->objects.len ? calloc(plan->objects.len, 1) : &nothing;
        if (!scan->seen)
            heap->failed = true;
        else
            scan_plan(scan);
    } else {
        put_range(scan, bottom_of(heap, task, index), task->stack_high, CA_NONE);
    }
    put_defers(scan, task->address);
    if (on_thread)
        scan_thread(scan, task);
    if (scan->seen)
        drain_objects(scan);
    flush(scan);
    if (scan->seen != &nothing)
        free(scan->seen);
    scan->seen = NULL;
    ca_vec_deinit(&scan->objects);
}

static const struct ca_region *region_of(const struct ca_go_heap *heap, uint64_t address)
{
    size_t low = 0, high = heap->heap.regions.len;
    while (high > low) {
        size_t middle = low + (high - low) / 2;
        const struct ca_region *region = &heap->heap.regions.data[middle];
        if (address - region->start < region->size * region->count)
            return region;
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
    const struct ca_region *region = region_of(heap, g);
    uint64_t values[BATCH], from = 0;
    uint32_t offsets[BATCH];
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
        for (size_t i = 0; i < count; i++) {
            struct ca_word word = {.address = g + offsets[i], .value = values[i]};
            scan->sink->add(scan->sink->arg, root, &word, 1);
        }
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
    if (at->runtime != go->runtime.index)
        return;
    ca_target_hint(go->target, at->address, (size_t)go->layout.at[GO_G_SIZE]);
    ca_target_hint(go->target, at->sp, EXPECTED_STACK);
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
    const struct ca_wait *wait = at->wait == CA_NONE ? NULL : &heap->tasks->waits.data[at->wait];
    if (wait && wait->has_address && wait->channel.address) {
        put(&scan, at->address, wait->channel.address, CA_NONE, false);
        flush(&scan);
    }
    if (heap->failed)
        ca_go_heap_break(heap, "stack of a goroutine", at->sp, "no memory left here");
}
