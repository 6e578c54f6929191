/* Where the pointers of a goroutine's stack are, by the compiler's own maps, as the collector reads
 * them (runtime/stkframe.go, mgcmark.go scanstack). Made once for each different stack: a plan of
 * distances from the innermost sp.
 */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    OBJECTS_MAX = 4096, /* of one frame */
    ARGS_UNKNOWN = 0x80000000,
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
    bool at_entry;        /* nothing of it was executed yet */
};

struct planner {
    struct ca_go_heap *heap;
    struct ca_go_plan *plan;
    uint64_t base; /* sp of the first frame */
    bool moves;    /* it is running: nobody waited for a good moment */
    bool damaged;  /* a map is there and cannot be one */
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

/* The words of a stack map's row, the first of them at start, or the last before end; they are in
 * room bytes. *ok: the map makes sense. */
static bool add_row(struct planner *planner, const struct frame *frame, uint64_t map, int32_t row,
                    uint64_t end, uint64_t start, uint64_t room, bool *ok)
{
    int32_t head[2]; /* rows, bits */
    *ok = map != 0 && ca_target_read(planner->heap->target, map, head, 8) && head[0] > 0 &&
          head[1] >= 0 && (uint64_t)head[1] <= (room + 7) / 8;
    if (*ok && head[1] == 0)
        return true;
    *ok = *ok && row >= 0 && row < head[0];
    if (!*ok) {
        planner->damaged = planner->damaged || map != 0;
        return true;
    }
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
            uint32_t last = object.words ? object.words - 1 : 0; /* it is a pointer */
            *ok = object.mask != NULL && (object.mask[last / 8] >> (last % 8) & 1);
            planner->damaged = planner->damaged || !*ok;
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

/* Of a function just entered, arguments that came in registers are there still, and the slots that
 * the map has for them hold something older. runtime/traceback.go printArgs: the first byte tells
 * where these begin. */
static void drop_unwritten(struct planner *planner, const struct frame *frame, size_t first)
{
    struct ca_go_heap *heap = planner->heap;
    uint64_t at = ca_go_func_funcdata(&heap->go->tables, &frame->func, CA_GO_FUNCDATA_ARG_LIVE);
    int64_t begin = (int64_t)(frame->argp - planner->base);
    size_t kept = first;
    uint8_t start;
    if (at == 0 || !ca_target_read(heap->target, at, &start, 1))
        return;
    for (size_t i = first; i < planner->plan->words.len; i++)
        if (planner->plan->words.data[i].offset < begin + start)
            planner->plan->words.data[kept++] = planner->plan->words.data[i];
    planner->plan->words.len = kept;
}

static bool add_args(struct planner *planner, const struct frame *frame, int32_t row, bool *ok)
{
    const struct ca_go *go = planner->heap->go;
    uint32_t args = ca_go_func_u32(&frame->func, go->layout.at[GO_FUNC_ARGS]);
    *ok = true;
    if (is_reflect_call(&frame->func)) /* what came in registers is among its locals */
        return (frame->varp <= frame->sp ||
                add_range(planner, frame, frame->sp, frame->varp - frame->sp)) &&
               ca_vec_push(&planner->plan->calls,
                           (struct ca_go_plan_call){.sp = (int64_t)(frame->sp - planner->base),
                                                    .argp = (int64_t)(frame->argp - planner->base),
                                                    .frame = frame->number});
    if (args == 0 || args == ARGS_UNKNOWN)
        return true;
    uint64_t map = ca_go_func_funcdata(&go->tables, &frame->func, CA_GO_FUNCDATA_ARGS);
    size_t first = planner->plan->words.len;
    /* Those of assembly are twice as long (cmd/compile/internal/gc, WriteFuncMap). */
    bool added = add_row(planner, frame, map, row, 0, frame->argp, 2 * (uint64_t)args, ok);
    if (frame->at_entry)
        drop_unwritten(planner, frame, first);
    return added;
}

static bool add_locals(struct planner *planner, const struct frame *frame, int32_t row, bool *ok)
{
    const struct ca_go *go = planner->heap->go;
    uint64_t least = planner->heap->target->arch == CA_ARCH_ARM64 ? 16 : 0;
    *ok = true;
    if (frame->varp <= frame->sp || frame->varp - frame->sp <= least)
        return true;
    uint64_t map = ca_go_func_funcdata(&go->tables, &frame->func, CA_GO_FUNCDATA_LOCALS);
    return add_row(planner, frame, map, row, frame->varp, 0, frame->varp - frame->sp, ok);
}

/* cmd/compile/internal/liveness/plive.go, emit: both maps of a function have the same rows. One
 * without bits may be assembly's (no_pointers_stackmap). */
static bool maps_agree(struct ca_go_heap *heap, const struct frame *frame)
{
    const struct ca_go_tables *tables = &heap->go->tables;
    uint64_t args = ca_go_func_funcdata(tables, &frame->func, CA_GO_FUNCDATA_ARGS);
    uint64_t locals = ca_go_func_funcdata(tables, &frame->func, CA_GO_FUNCDATA_LOCALS);
    int32_t a[2], b[2];
    if (!args || !locals)
        return true;
    return ca_target_read(heap->target, args, a, 8) && ca_target_read(heap->target, locals, b, 8) &&
           (a[0] == b[0] || a[1] == 0 || b[1] == 0);
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
    *ok = maps_agree(planner->heap, frame);
    if (!*ok) {
        planner->damaged = true;
        return true;
    }
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

bool ca_go_func_is_instruction(const struct ca_go_func *func)
{
    static const char *const prefixes[] = {"runtime.gcWriteBarrier", "runtime.duff",
                                           "runtime.wbZero",         "runtime.wbMove",
                                           "runtime.typedmemmove",   "runtime.typedmemclr",
                                           "runtime.spillArgs",      "runtime.unspillArgs"};
    const char *name = ca_go_func_name(func);
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            return true;
    return false;
}

/* runtime.call16 and so on: results that came in registers are in its caller's abi.RegArgs, where
 * only runtime.reflectcallmove makes pointers of them. */
static bool calls_by_reflect(const struct ca_go_func *func)
{
    const char *name = ca_go_func_name(func);
    return !strncmp(name, "runtime.call", 12) && name[12] >= '0' && name[12] <= '9';
}

/* The runtime makes objects, and where it cannot be interrupted it may have one in its hands in
 * which something older is still written: what it points at need not be there any more. */
static bool is_inner(const struct planner *planner, const struct frame *frame)
{
    return planner->moves && !strncmp(ca_go_func_name(&frame->func), "runtime.", 8);
}

/* The frames between two of those that were kept: every word. */
static bool add_left_out(struct planner *planner, const struct frame *frame,
                         const struct ca_raw_frame *inner)
{
    uint64_t start = planner->base + inner->sp;
    return frame->sp <= start || add_range(planner, frame, start, frame->sp - start);
}

/* Frames outside [low, high) are on the thread's own stack, which is scanned with the thread.
 * false: no memory. */
static bool make_plan(struct planner *planner, const struct ca_stack *stack, uint64_t low,
                      uint64_t high)
{
    const struct ca_raw_frame *frames = planner->heap->tasks->stacks.frames.data + stack->first;
    bool conservative = false, panicked = false;
    planner->plan->whole = stack->missing == CA_STACK_CUT || stack->count == 0;
    for (uint32_t i = 0; i < stack->count && !planner->plan->whole; i++) {
        struct frame frame;
        uint64_t sp = planner->base + frames[i].sp;
        bool ok;
        if (sp < low || sp >= high) {
            planner->plan->inner += planner->moves && planner->plan->inner == i;
            continue;
        }
        if (!fill_frame(planner->heap, &frames[i], sp, &frame)) {
            planner->plan->whole = true;
            break;
        }
        frame.number = i;
        frame.panicked = panicked;
        planner->plan->inner += planner->plan->inner == i && is_inner(planner, &frame);
        if (stack->missing > CA_STACK_CUT && i == stack->missing &&
            !add_left_out(planner, &frame, &frames[i - 1]))
            return false;
        bool here = preempts(&frame.func);
        /* The innermost frame of a running goroutine stands anywhere. */
        bool running = i == 0 && frames[i].exact && frame.pc != frame.func.entry;
        if (running &&
            (ca_go_func_flag(&planner->heap->go->tables, &frame.func) & CA_GO_FLAG_SPWRITE)) {
            planner->plan->whole = true; /* between two stacks */
            break;
        }
        frame.at_entry = i == 0 && frames[i].exact && frame.pc == frame.func.entry;
        frame.interrupted = conservative || here || running;
        if (!add_frame(planner, &frame, &ok))
            return false;
        if (!ok) {
            planner->plan->whole = true;
            if (planner->damaged)
                ca_go_heap_break(planner->heap, "stack map", frame.pc,
                                 "it makes no sense: others may be wrong and look right");
        }
        conservative = here || ca_go_func_is_instruction(&frame.func) ||
                       (planner->moves && calls_by_reflect(&frame.func));
        panicked = named(&frame.func, "runtime.sigpanic");
    }
    if (planner->plan->objects.len > 1)
        qsort(planner->plan->objects.data, planner->plan->objects.len,
              sizeof(struct ca_go_plan_object), by_offset);
    planner->plan->made = true;
    return true;
}

const struct ca_go_plan *ca_go_plan_of(struct ca_go_heap *heap, const struct ca_task *task)
{
    struct planner planner = {.heap = heap, .base = task->sp};
    const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
    bool cached = task->state != CA_STATE_RUNNING && task->state != CA_STATE_SYSCALL;
    planner.moves = task->state == CA_STATE_RUNNING;
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

/* The pointers of a frame's objects, whether or not one leads there: registers and the innermost
 * frame may. */
static bool add_thread_object(struct planner *planner, const struct frame *frame,
                              const struct ca_go_plan_object *object)
{
    if (!object->mask)
        return add_range(planner, frame, (uint64_t)object->offset, object->size);
    for (uint32_t i = 0; i < object->words; i++)
        if ((object->mask[i / 8] >> (i % 8) & 1) &&
            !ca_vec_push(&planner->plan->words,
                         (struct ca_go_plan_word){.offset = object->offset + (int64_t)i * 8,
                                                  .frame = frame->number}))
            return false;
    return true;
}

static bool add_thread_frame(struct planner *planner, struct frame *frame)
{
    bool ok;
    if (!add_frame(planner, frame, &ok))
        return false;
    for (size_t i = 0; i < planner->plan->objects.len; i++)
        if (!add_thread_object(planner, frame, &planner->plan->objects.data[i]))
            return false;
    planner->plan->objects.len = 0;
    return ok || add_interrupted(planner, frame); /* assembly has no maps */
}

bool ca_go_heap_frames(struct ca_go_heap *heap, const struct ca_go_frames *frames,
                       const struct ca_root_sink *sink)
{
    struct ca_go_plan plan = {0};
    struct planner planner = {.heap = heap, .plan = &plan};
    bool ok = true, conservative = false;
    for (size_t i = 0; i < frames->list.len && ok; i++) {
        struct frame frame;
        ok = fill_frame(heap, &frames->list.data[i], frames->list.data[i].sp, &frame);
        frame.number = CA_NONE;
        frame.at_entry = i == 0 && frame.pc == frame.func.entry;
        frame.interrupted = conservative || (i == 0 && !frame.at_entry);
        conservative = ok && ca_go_func_is_instruction(&frame.func);
        ok = ok && add_thread_frame(&planner, &frame);
    }
    ok = ok && plan.calls.len == 0 && emit(heap, &plan, sink);
    ca_go_plan_deinit(&plan);
    return ok;
}
