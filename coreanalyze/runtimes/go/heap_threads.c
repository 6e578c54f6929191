/* What threads have in their hands: registers, and the stacks that are not a goroutine's. The
 * collector never looks at these (it waits until they hold nothing); a core may be of any moment.
 *
 * Frames of Go code have exact maps there too, but for the innermost one, which may stand anywhere.
 * What lies between frames and below them is full of stale words.
 */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    RED_ZONE = 128,
    BATCH = 64,
    /* Offsets in the kernel's signal frame: arch/x86/include/uapi/asm/sigcontext.h */
    FPSTATE = 224, /* of its pointer in the ucontext */
    XSTATE_MAGIC = 0x46505853,
    XSTATE_SOFTWARE = 464, /* magic, sizes, features */
    XSTATE_HEADER = 512,   /* which parts were written */
    SSE = 160,
    AVX = 576,
    AVX512 = 832,
    XSTATE_END = 4096,
};

/* ---- registers ----------------------------------------------------------------------------- */

/* Is there an instruction that enters the kernel at pc? */
static bool enters_kernel(struct ca_go_heap *heap, uint64_t pc)
{
    static const uint8_t amd64[] = {0x0f, 0x05}, arm64[] = {0x01, 0x00, 0x00, 0xd4};
    bool is_arm = heap->target->arch == CA_ARCH_ARM64;
    size_t size = is_arm ? sizeof(arm64) : sizeof(amd64);
    struct ca_go_func func;
    uint8_t code[4];
    return ca_go_func_find(&heap->go->tables, pc, &func) &&
           ca_target_read(heap->target, pc, code, size) &&
           !memcmp(code, is_arm ? arm64 : amd64, size);
}

static bool is_behind(struct ca_go_heap *heap, uint64_t pc)
{
    return enters_kernel(heap, pc - (heap->target->arch == CA_ARCH_ARM64 ? 4 : 2));
}

/* A signal sends back to the instruction who was in the kernel, to enter it once more. */
bool ca_go_heap_in_system_call(struct ca_go_heap *heap, uint64_t pc)
{
    return is_behind(heap, pc) || enters_kernel(heap, pc);
}

/* Pointers are passed in general registers only, so at its entry a function's vectors are dead. */
static bool at_entry(struct ca_go_heap *heap, const struct ca_regs *regs)
{
    struct ca_go_func func;
    uint64_t pc;
    return ca_target_pc(heap->target->arch, regs, &pc) &&
           ca_go_func_find(&heap->go->tables, pc, &func) && func.entry == pc &&
           !ca_go_func_is_instruction(&func);
}

/* Of these registers a function just entered can use only what was passed. abi-internal.md */
static bool dead_at_entry(struct ca_go_heap *heap, const struct ca_regs *regs, unsigned i)
{
    static const uint32_t live = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 |
                                 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11;
    return heap->target->arch == CA_ARCH_AMD64 && i < 16 && !(live >> i & 1) &&
           at_entry(heap, regs);
}

static bool in_system_call(struct ca_go_heap *heap, const struct ca_regs *regs)
{
    uint64_t pc;
    return ca_target_pc(heap->target->arch, regs, &pc) && ca_go_heap_in_system_call(heap, pc);
}

/* In a system call of Go's own code no register is worth keeping: Go saves none across calls, and
 * the stub that made this one uses none of them afterwards but for the result. Before it, those
 * with the arguments are. runtime/sys_linux_*.s */
static uint64_t live_in_system_call(struct ca_go_heap *heap, const struct ca_regs *regs)
{
    static const uint64_t arguments = 1u << 1 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 10;
    uint64_t pc;
    if (!in_system_call(heap, regs) || !ca_target_pc(heap->target->arch, regs, &pc))
        return UINT64_MAX;
    if (is_behind(heap, pc))
        return 0;
    return heap->target->arch == CA_ARCH_AMD64 ? arguments : 0xff;
}

static void registers(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                      const struct ca_regs *regs)
{
    struct ca_root root = {.kind = CA_ROOT_REGISTERS, .frame = CA_NONE};
    struct ca_word words[CA_REGS_MAX];
    size_t count = 0;
    uint64_t live = regs->known & live_in_system_call(heap, regs);
    for (unsigned i = 0; i < CA_REGS_MAX; i++)
        if ((live >> i & 1) && !dead_at_entry(heap, regs, i))
            words[count++] = (struct ca_word){.value = regs->value[i]};
    sink->add(sink->arg, &root, words, count);
}

static bool vectors_are_dead(struct ca_go_heap *heap, const struct ca_regs *regs)
{
    return in_system_call(heap, regs) || at_entry(heap, regs);
}

static void vectors(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                    const struct ca_thread *thread)
{
    struct ca_root root = {.kind = CA_ROOT_REGISTERS, .frame = CA_NONE};
    struct ca_word words[BATCH];
    size_t count = 0;
    bool dead = vectors_are_dead(heap, &thread->regs);
    for (size_t i = 0; thread->vector && !dead && i + 8 <= thread->vector_size; i += 8) {
        memcpy(&words[count].value, thread->vector + i, 8);
        words[count++].address = 0;
        if (count == BATCH)
            sink->add(sink->arg, &root, words, count);
        count %= BATCH;
    }
    sink->add(sink->arg, &root, words, count);
}

/* ---- stacks -------------------------------------------------------------------------------- */

static void range(struct ca_go_heap *heap, const struct ca_root_sink *sink, uint64_t start,
                  uint64_t end)
{
    struct ca_root root = {.kind = CA_ROOT_STACK, .name = "a thread's stack", .frame = CA_NONE};
    if (start < end && !ca_go_heap_words(heap, sink, &root, start, end))
        ca_go_heap_break(heap, "stack of a thread", start, "it is not there");
}

/* The vector registers that the kernel saved for a signal, below end. Of parts that held nothing
 * the kernel writes nothing: what lies there is older. */
static void saved_vectors(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                          uint64_t context, uint64_t end)
{
    uint64_t at, features = 0;
    uint32_t magic;
    if (heap->target->arch == CA_ARCH_ARM64) {
        range(heap, sink, context, end);
        return;
    }
    if (!ca_target_read_u64(heap->target, context + FPSTATE, &at) || at < context || at >= end ||
        !ca_target_read(heap->target, at + XSTATE_SOFTWARE, &magic, 4) || magic != XSTATE_MAGIC ||
        !ca_target_read_u64(heap->target, at + XSTATE_HEADER, &features)) {
        range(heap, sink, context, end);
        return;
    }
    if (features & 2)
        range(heap, sink, at + SSE, at + SSE + 256);
    if (features & 4)
        range(heap, sink, at + AVX, at + AVX + 256);
    if (features >> 3)
        range(heap, sink, at + AVX512, end - at > XSTATE_END ? at + XSTATE_END : end);
}

/* Which stack sp is on. */
enum where {
    ELSEWHERE, /* C's, or the thread is not known to Go */
    ON_GOROUTINE,
    ON_SYSTEM, /* g0's */
    ON_SIGNAL,
};

static enum where where_is(struct ca_go *go, uint64_t m, uint64_t sp, uint64_t *low, uint64_t *high)
{
    static const struct {
        int field;
        enum where where;
    } stacks[] = {{GO_M_CURG, ON_GOROUTINE}, {GO_M_G0, ON_SYSTEM}, {GO_M_GSIGNAL, ON_SIGNAL}};
    for (size_t i = 0; m && i < sizeof(stacks) / sizeof(stacks[0]); i++) {
        uint64_t g = 0;
        if (ca_go_read_u64(go, m, stacks[i].field, &g) && ca_go_stack_bounds(go, g, low, high) &&
            sp > *low && sp <= *high) /* a new thread's is empty: sp is its end */
            return stacks[i].where;
    }
    return ELSEWHERE;
}

/* Where C code may have frames of its own on g0's stack: above the last frame of Go's there. */
static void above(struct ca_go_heap *heap, const struct ca_root_sink *sink, uint64_t start,
                  uint64_t end)
{
    if (ca_go_heap_has_foreign_code(heap))
        range(heap, sink, start, end);
}

static enum ca_go_stretch stretch(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                                  const struct ca_regs *regs, uint64_t low, uint64_t high,
                                  uint64_t *end)
{
    struct ca_go_frames frames = {0};
    enum ca_go_stretch how = ca_go_stack_stretch(heap->go, regs, low, high, &frames, end);
    if (!ca_go_heap_frames(heap, &frames, sink)) {
        how = CA_GO_STRETCH_LOST;
        ca_target_sp(heap->target->arch, regs, end);
    }
    if (how == CA_GO_STRETCH_LOST) { /* *end is nowhere below the first sp */
        range(heap, sink, *end - low < RED_ZONE ? low : *end - RED_ZONE, high);
    } else if (how == CA_GO_STRETCH_OVER) {
        above(heap, sink, *end, high);
    }
    ca_vec_deinit(&frames.list);
    return how;
}

/* On the goroutine's own stack, which is scanned with the goroutine; g0's is used by C only. */
static void system_stack(struct ca_go_heap *heap, const struct ca_root_sink *sink, uint64_t m)
{
    uint64_t g0, sp, low, high;
    if (ca_go_read_u64(heap->go, m, GO_M_G0, &g0) &&
        ca_go_stack_bounds(heap->go, g0, &low, &high) &&
        ca_go_read_u64(heap->go, g0, GO_G_SCHED_SP, &sp) && sp >= low && sp < high)
        above(heap, sink, sp, high);
}

/* Out of the signal handler that regs are in; false: they are in none. */
static bool leave(struct ca_go_heap *heap, const struct ca_root_sink *sink, uint64_t m,
                  struct ca_regs *regs, uint64_t context, uint64_t high)
{
    struct ca_regs outer;
    uint64_t sp;
    if (!ca_go_signal_leave(heap->go, m, regs, &outer))
        return false;
    *regs = outer;
    registers(heap, sink, regs);
    if (context == 0 || vectors_are_dead(heap, regs))
        return true;
    if (ca_target_sp(heap->target->arch, regs, &sp) && sp > context && sp < high)
        high = sp; /* in another handler, further out */
    saved_vectors(heap, sink, context, high);
    return true;
}

void ca_go_heap_thread(struct ca_go_heap *heap, const struct ca_thread *thread,
                       const struct ca_root_sink *sink)
{
    struct ca_regs regs = thread->regs;
    uint64_t m = ca_go_m_of(heap->go, thread);
    registers(heap, sink, &regs);
    vectors(heap, sink, thread);
    for (int depth = 0; depth <= CA_GO_SIGNALS_MAX; depth++) {
        uint64_t sp, low, high, end;
        if (!ca_target_sp(heap->target->arch, &regs, &sp)) {
            ca_go_heap_break(heap, "thread", 0, "its registers are not known");
            return;
        }
        ca_go_heap_special_in_hand(heap, &regs, sink);
        enum where where = where_is(heap->go, m, sp, &low, &high);
        if (where == ELSEWHERE) {
            const struct ca_mapping *mapping = ca_target_mapping(heap->target, sp);
            if (mapping)
                range(heap, sink, sp - RED_ZONE, mapping->end);
        }
        if (where == ELSEWHERE || where == ON_GOROUTINE) {
            if (m)
                system_stack(heap, sink, m);
            return;
        }
        enum ca_go_stretch how = stretch(heap, sink, &regs, low, high, &end);
        if (where == ON_SYSTEM ||
            !leave(heap, sink, m, &regs, how == CA_GO_STRETCH_SIGNAL ? end : 0, high))
            return;
    }
}

/* Where each goroutine is: sp -> task, index + 1. false: no memory. */
static bool tasks_by_sp(const struct ca_go_heap *heap, struct ca_map *ret)
{
    for (size_t i = 0; i < heap->tasks->list.len; i++) {
        const struct ca_task *task = &heap->tasks->list.data[i];
        uint64_t *slot;
        if (task->runtime != heap->heap.runtime->index || task->stack == CA_STACK_NONE)
            continue;
        if (!(slot = ca_map_put(ret, task->sp, NULL)))
            return false;
        *slot = i + 1;
    }
    return true;
}

/* A core that was exported shows goroutines as threads: none that Go knows, and exactly where a
 * goroutine is. What it holds comes with that goroutine. false: no memory. */
static bool read_exported(struct ca_go_heap *heap)
{
    struct ca_map tasks = {0};
    bool ok = true;
    for (size_t i = 0; i < heap->target->threads.len && ok; i++) {
        const struct ca_thread *thread = &heap->target->threads.data[i];
        uint64_t sp, pc, *slot;
        if (ca_go_m_of(heap->go, thread) || !ca_target_sp(heap->target->arch, &thread->regs, &sp) ||
            !ca_target_pc(heap->target->arch, &thread->regs, &pc))
            continue;
        if (tasks.len == 0)
            ok = tasks_by_sp(heap, &tasks);
        const uint64_t *index = ok ? ca_map_get(&tasks, sp) : NULL;
        if (!index)
            continue;
        const struct ca_task *task = &heap->tasks->list.data[*index - 1];
        const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
        if (heap->tasks->stacks.frames.data[stack->first].pc != pc)
            continue;
        if ((slot = ca_map_put(&heap->busy, (uint64_t)thread->tid, NULL)))
            *slot = *index;
        ok = slot != NULL;
    }
    ca_map_deinit(&tasks);
    return ok;
}

bool ca_go_heap_read_threads(struct ca_go_heap *heap)
{
    if (!heap->go->threads.listed)
        ca_go_heap_break(heap, "threads", heap->go->globals.allm, "their list is not there");
    if (!heap->tasks) /* not collected yet */
        return true;
    if (heap->target->threads.len == 0)
        ca_go_heap_break(heap, "threads", 0, "there are none: their registers may hold pointers");
    for (size_t i = 0; i < heap->tasks->list.len; i++) {
        const struct ca_task *task = &heap->tasks->list.data[i];
        uint64_t *slot;
        if (!ca_go_heap_on_thread(heap, task))
            continue;
        if (!(slot = ca_map_put(&heap->busy, (uint64_t)task->thread, NULL)))
            return false;
        *slot = i + 1;
    }
    return read_exported(heap);
}

bool ca_go_heap_c_stack(struct ca_go_heap *heap, const struct ca_thread *thread, uint64_t *ret)
{
    struct ca_go *go = heap->go;
    struct ca_go_frames frames = {0};
    uint64_t m = ca_go_m_of(heap->go, thread), sp, low, high, g0;
    struct ca_regs regs = m ? ca_go_signal_regs(go, m, &thread->regs) : thread->regs;
    if (!ca_target_sp(heap->target->arch, &regs, &sp))
        return false;
    enum where where = where_is(go, m, sp, &low, &high);
    if (where == ON_SYSTEM) {
        if (ca_go_stack_stretch(go, &regs, low, high, &frames, ret) == CA_GO_STRETCH_LOST &&
            frames.list.len == 0)
            *ret = sp - RED_ZONE;
        ca_vec_deinit(&frames.list);
        return true;
    }
    *ret = sp - RED_ZONE;
    return where == ELSEWHERE || (where == ON_GOROUTINE && ca_go_read_u64(go, m, GO_M_G0, &g0) &&
                                  ca_go_read_u64(go, g0, GO_G_SCHED_SP, ret) && *ret);
}

bool ca_go_heap_thread_sp(struct ca_go_heap *heap, const struct ca_thread *thread, uint64_t *ret)
{
    uint64_t m = ca_go_m_of(heap->go, thread);
    struct ca_regs regs = m ? ca_go_signal_regs(heap->go, m, &thread->regs) : thread->regs;
    return ca_target_sp(heap->target->arch, &regs, ret);
}

void ca_go_heap_threads(struct ca_go_heap *heap, const struct ca_root_sink *sink)
{
    for (size_t i = 0; i < heap->target->threads.len; i++) {
        const struct ca_thread *thread = &heap->target->threads.data[i];
        if (!ca_map_get(&heap->busy, (uint64_t)thread->tid))
            ca_go_heap_thread(heap, thread, sink);
    }
}
