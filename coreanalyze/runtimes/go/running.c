/* A running goroutine: from its thread's registers, whatever the thread is at: Go code at any
 * instruction, the scheduler or the collector on the system stack, a signal handler, the vdso, C.
 *
 * Go's own tracebacks of running goroutines are the model (runtime/proc.go sigprof,
 * runtime/traceback.go); where they give up, other places to begin at are tried, and one is
 * believed only when the walk from there arrives at the goroutine's first function.
 */
#include "runtimes/go/walk.h"

#include <string.h>

bool ca_go_stack_bounds(struct ca_go *go, uint64_t g, uint64_t *low, uint64_t *high)
{
    return g && ca_go_read_u64(go, g, GO_G_STACK_LO, low) &&
           ca_go_read_u64(go, g, GO_G_STACK_HI, high) && *low < *high;
}

static bool inside_stack_of(struct ca_go *go, uint64_t g, uint64_t sp)
{
    uint64_t low, high;
    return ca_go_stack_bounds(go, g, &low, &high) && sp >= low && sp <= high;
}

/* The code that a signal handler returns to, whoever put it there: mov $15,%rax or mov $15,%eax,
 * then syscall (glibc, Go); mov x8,#139, then svc #0. */
bool ca_go_is_sigreturn(struct ca_go *go, uint64_t pc)
{
    static const struct {
        enum ca_arch arch;
        uint8_t size, code[9];
    } table[] = {
        {CA_ARCH_AMD64, 9, {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}},
        {CA_ARCH_AMD64, 7, {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05}},
        {CA_ARCH_ARM64, 8, {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4}},
    };
    uint8_t code[9];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].arch == go->target->arch &&
            ca_target_read(go->target, pc, code, table[i].size) &&
            !memcmp(code, table[i].code, table[i].size))
            return true;
    return false;
}

/* Registers out of the ucontext that the kernel pushed; sp as the handler's return address left it.
 * amd64: rt_sigframe after pretcode is the ucontext, gregs at +40. arm64: siginfo (128 bytes), then
 * the ucontext whose mcontext is at +176, regs at +8 of it. linux: arch/<arch>/kernel/signal.c. */
static bool ucontext_regs(struct ca_go *go, uint64_t sp, struct ca_regs *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (go->target->arch == CA_ARCH_ARM64) {
        ret->known = (1ull << 33) - 1;
        return ca_target_read(go->target, sp + 128 + 176 + 8, ret->value, 33 * 8);
    }
    /* gregs order: r8..r15 rdi rsi rbp rbx rdx rax rcx rsp rip; ours are DWARF numbers. */
    static const uint8_t dwarf[17] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};
    uint64_t gregs[17];
    if (!ca_target_read(go->target, sp + 40, gregs, sizeof(gregs)))
        return false;
    for (size_t i = 0; i < 17; i++)
        ret->value[dwarf[i]] = gregs[i];
    ret->known = (1ull << 17) - 1;
    return true;
}

/* Unwinds inside the handler until the kernel's return code; the context lies there. */
static bool leave_handler(struct ca_go *go, const struct ca_regs *inside, struct ca_regs *ret)
{
    struct ca_go_frames scratch = {0};
    struct ca_go_walk walk = {.go = go, .frames = &scratch, .leaving = true};
    bool found = false;
    ca_go_walk_from_regs(&walk, inside);
    for (int i = 0; i < 64; i++) {
        if (ca_go_is_sigreturn(go, walk.pc)) {
            found = ucontext_regs(go, walk.sp, ret);
            break;
        }
        if (!ca_go_walk_step(&walk, i == 0))
            break;
    }
    ca_vec_deinit(&scratch.list);
    return found;
}

/* Whether the bytes that ucontext_regs reads registers from are a ucontext: no uc_link, and a
 * uc_stack that holds the place itself. A stack holds many words that look like registers. */
static bool is_ucontext(struct ca_go *go, uint64_t sp)
{
    uint64_t head[5]; /* flags, link, stack: sp, flags, size */
    uint64_t at = go->target->arch == CA_ARCH_ARM64 ? sp + 128 : sp;
    return ca_target_read(go->target, at, head, sizeof(head)) && head[1] == 0 && head[2] <= at &&
           at - head[2] < head[4];
}

/* In C code inside the handler (cgo), or where the walk fails: search the signal stack for a
 * context whose registers fit the m. */
static bool search_context(struct ca_go *go, uint64_t m, uint64_t gsignal, uint64_t sp,
                           struct ca_regs *ret)
{
    uint64_t low, high, g0 = 0, curg = 0;
    if (!ca_go_stack_bounds(go, gsignal, &low, &high) || high - low > (1 << 20))
        return false;
    ca_go_read_u64(go, m, GO_M_G0, &g0);
    ca_go_read_u64(go, m, GO_M_CURG, &curg);
    for (uint64_t at = sp > low && sp < high ? sp & ~7ull : low; at + 512 <= high; at += 8) {
        struct ca_regs regs;
        uint64_t pc, rsp;
        struct ca_go_func func;
        if (!is_ucontext(go, at) || !ucontext_regs(go, at, &regs) ||
            !ca_target_pc(go->target->arch, &regs, &pc) ||
            !ca_target_sp(go->target->arch, &regs, &rsp) ||
            !ca_go_func_find(&go->tables, pc, &func))
            continue;
        if (inside_stack_of(go, curg, rsp) || inside_stack_of(go, g0, rsp)) {
            *ret = regs;
            return true;
        }
    }
    return false;
}

bool ca_go_signal_leave(struct ca_go *go, uint64_t m, const struct ca_regs *inside,
                        struct ca_regs *ret)
{
    uint64_t gsignal, sp;
    if (!ca_target_sp(go->target->arch, inside, &sp) ||
        !ca_go_read_u64(go, m, GO_M_GSIGNAL, &gsignal) || !inside_stack_of(go, gsignal, sp))
        return false;
    return leave_handler(go, inside, ret) || search_context(go, m, gsignal, sp, ret);
}

struct ca_regs ca_go_signal_regs(struct ca_go *go, uint64_t m, const struct ca_regs *inside)
{
    struct ca_regs regs = *inside, outer;
    for (int depth = 0; depth < CA_GO_SIGNALS_MAX; depth++) {
        if (!ca_go_signal_leave(go, m, &regs, &outer))
            break;
        regs = outer;
    }
    return regs;
}

/* ---- where to begin ------------------------------------------------------------------------ */

enum {
    SLOTS = 8, /* words above a saved stack pointer that may hold a return address */
    SYSTEM_STACK_MAX = 64 << 10, /* bytes of the system stack that are searched */
    TRIES_MAX = 64,
};

struct running {
    struct ca_go_walk *walk; /* as it was given: nothing done yet */
    const struct ca_go_g *g;
    uint64_t m;
    struct ca_regs regs; /* out of signal handlers */
    uint64_t pc, sp;
    bool in_go; /* pc is in a Go function */
    unsigned tries;
};

/* A place to walk from. */
struct place {
    uint64_t pc, sp, lr;
    bool lr_known, exact;
    bool below; /* the thread's own pc is one frame further in */
};

static bool walk_from(struct running *running, const struct place *place)
{
    struct ca_go_walk walk = *running->walk;
    struct ca_go *go = walk.go;
    ca_go_frames_clear(walk.frames);
    if (place->below &&
        !ca_vec_push(&walk.frames->list, (struct ca_raw_frame){running->pc, place->sp, true}))
        return false;
    walk.why = NULL;
    walk.pc = place->pc;
    walk.sp = place->sp;
    walk.lr = place->lr;
    walk.lr_known = place->lr_known;
    walk.exact = place->exact;
    walk.can_hop = !inside_stack_of(go, running->g->address, place->sp);
    walk.user_pc = ca_go_u64(go, running->g->bytes, GO_G_SCHED_PC);
    walk.user_sp = ca_go_u64(go, running->g->bytes, GO_G_SCHED_SP);
    walk.user_lr = ca_go_u64(go, running->g->bytes, GO_G_SCHED_LR);
    ca_go_walk_run(&walk);
    if (!walk.top && !walk.why)
        walk.why = "it ends before the goroutine's first function";
    running->walk->why = walk.why;
    running->tries++;
    return !walk.why;
}

/* In a call to the vdso the runtime notes where it left Go, before it leaves the goroutine's stack.
 */
static bool vdso_place(const struct running *running, struct place *ret)
{
    struct ca_go *go = running->walk->go;
    *ret = (struct place){.below = running->in_go};
    return ca_go_read_u64(go, running->m, GO_M_VDSOPC, &ret->pc) &&
           ca_go_read_u64(go, running->m, GO_M_VDSOSP, &ret->sp) && ret->pc && ret->sp;
}

static struct place thread_place(const struct running *running)
{
    struct place place = {.pc = running->pc, .sp = running->sp, .exact = true};
    if (running->walk->go->target->arch == CA_ARCH_ARM64) {
        place.lr = running->regs.value[30];
        place.lr_known = true;
    }
    return place;
}

/* C code on the system stack: the goroutine was left as if it had been parked. */
static struct place sched_place(const struct running *running)
{
    struct ca_go_walk walk = *running->walk;
    ca_go_walk_from_sched(&walk, running->g);
    return (struct place){.pc = walk.pc, .sp = walk.sp, .lr = walk.lr, .lr_known = walk.lr_known};
}

static bool is_return_address(struct ca_go *go, uint64_t pc)
{
    struct ca_go_func func;
    return ca_go_func_find(&go->tables, pc, &func) && pc > func.entry;
}

/* Assembly that moves the stack pointer by itself may have kept the frame pointer. */
static bool try_frame_pointer(struct running *running)
{
    struct ca_go *go = running->walk->go;
    struct place place = {.below = running->in_go};
    uint64_t fp, at;
    if (!ca_target_fp(go->target->arch, &running->regs, &fp) ||
        !inside_stack_of(go, running->g->address, fp) ||
        !ca_target_read_u64(go->target, fp + 8, &place.pc) || !is_return_address(go, place.pc))
        return false;
    at = fp + 16;
    place.sp = at;
    return walk_from(running, &place);
}

/* A word that may be the stack pointer that the goroutine had when it was left for C code. */
static bool try_saved_sp(struct running *running, uint64_t sp, unsigned slots)
{
    struct ca_go *go = running->walk->go;
    struct place place = {.below = running->in_go};
    if (sp % 8 || !inside_stack_of(go, running->g->address, sp))
        return false;
    for (unsigned i = 0; i < slots && running->tries < TRIES_MAX; i++) {
        place.sp = sp + (i + 1) * 8;
        if (ca_target_read_u64(go->target, sp + i * 8, &place.pc) &&
            is_return_address(go, place.pc) && walk_from(running, &place))
            return true;
    }
    return false;
}

/* The part of the system stack that is in use by what was called on it. */
static bool system_stack(const struct running *running, uint64_t *top)
{
    struct ca_go *go = running->walk->go;
    uint64_t g0, low, high;
    return ca_go_read_u64(go, running->m, GO_M_G0, &g0) &&
           ca_go_stack_bounds(go, g0, &low, &high) && running->sp >= low && running->sp < high &&
           ca_go_read_u64(go, g0, GO_G_SCHED_SP, top) && *top > running->sp && *top <= high &&
           *top - running->sp <= SYSTEM_STACK_MAX;
}

/* C code is called in two ways on the system stack: as the runtime knows it, which leaves the
 * goroutine as if it had been parked (runtime.asmcgocall), or behind its back, as the race detector
 * and the sanitizers do. The return address at the start of the stack tells. */
static bool called_behind(const struct running *running)
{
    struct ca_go *go = running->walk->go;
    struct ca_go_func func;
    uint64_t top, word;
    return system_stack(running, &top) &&
           ca_target_read_u64(go->target, (top & ~15ull) - 8, &word) &&
           ca_go_func_find(&go->tables, word, &func) &&
           (!strcmp(ca_go_func_name(&func), "racecall") ||
            !strcmp(ca_go_func_name(&func), "msancall") ||
            !strcmp(ca_go_func_name(&func), "asancall"));
}

/* Such code is called with the stack pointer in a register that C code preserves, so it is there,
 * or where C code has saved it, near the start of the system stack. */
static bool try_saved(struct running *running)
{
    struct ca_go *go = running->walk->go;
    uint64_t top, word;
    for (unsigned i = 0; i < 31; i++)
        if (running->regs.known >> i & 1 && try_saved_sp(running, running->regs.value[i], SLOTS))
            return true;
    if (!system_stack(running, &top))
        return false;
    for (top &= ~7ull; top > running->sp && running->tries < TRIES_MAX; top -= 8)
        if (ca_target_read_u64(go->target, top - 8, &word) && try_saved_sp(running, word, 1))
            return true;
    return false;
}

/* The first that arrives at the goroutine's first function. */
static void walk_from_any(struct running *running)
{
    struct ca_go *go = running->walk->go;
    struct place first = {0}, other;
    bool has_first = false, own_stack = inside_stack_of(go, running->g->address, running->sp);
    if (vdso_place(running, &other)) {
        first = other;
        has_first = true;
    } else if (running->in_go) {
        first = thread_place(running);
        has_first = true;
    } else if (called_behind(running) && try_saved(running)) {
        return;
    } else if (!own_stack) {
        first = sched_place(running);
        has_first = first.pc != 0;
    }
    if (has_first && walk_from(running, &first))
        return;
    if (try_frame_pointer(running) || try_saved(running))
        return;
    other = sched_place(running);
    other.below = running->in_go;
    if (has_first && !own_stack && other.sp && walk_from(running, &other))
        return;
    ca_go_frames_clear(running->walk->frames);
    running->walk->why = "its thread is in code that cannot be unwound";
    if (has_first)
        walk_from(running, &first);
}

void ca_go_walk_running(struct ca_go_walk *walk, const struct ca_go_g *g)
{
    struct ca_go *go = walk->go;
    struct running running = {.walk = walk, .g = g, .m = ca_go_u64(go, g->bytes, GO_G_M)};
    const struct ca_thread *thread = ca_go_thread_of(go, running.m);
    uint64_t curg = 0;
    struct ca_go_func func;
    walk->why = "it runs, and its thread's registers are not known";
    if (!thread || !running.m || !ca_go_read_u64(go, running.m, GO_M_CURG, &curg) ||
        curg != g->address)
        return;
    running.regs = ca_go_signal_regs(go, running.m, &thread->regs);
    if (!ca_target_pc(go->target->arch, &running.regs, &running.pc) ||
        !ca_target_sp(go->target->arch, &running.regs, &running.sp))
        return;
    walk->why = NULL;
    running.in_go = ca_go_func_find(&go->tables, running.pc, &func);
    walk_from_any(&running);
}
