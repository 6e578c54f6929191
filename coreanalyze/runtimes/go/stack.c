/* Saved registers to raw frames, as runtime/traceback.go does it: frame sizes from the program's
 * own pcsp tables, never from guesses.
 */
#include "runtimes/go/go.h"

#include <string.h>

#include "base/map.h"

/* What to do at a pc, packed into 64 bits and cached: a hundred thousand goroutines stand at a
 * dozen places. */
enum step_kind {
    STEP_UNKNOWN, /* no Go function */
    STEP_BROKEN,  /* a function whose table cannot be read */
    STEP_CALL,    /* go to the caller */
    STEP_TOP,     /* the outermost frame */
    STEP_SPWRITE, /* sp cannot be told: goes on only from the innermost frame */
};

enum special {
    SPECIAL_NONE,
    SPECIAL_SYSTEMSTACK,
    SPECIAL_MORESTACK,
    SPECIAL_SIGPANIC,
    SPECIAL_INJECTED, /* asyncPreempt, debugCallV2: like sigpanic, the caller did not call */
    SPECIAL_MCALL,
    SPECIAL_CGOCALLBACK,
};

struct step {
    int32_t delta;
    uint8_t kind, special;
    bool at_entry;
};

static uint64_t pack(const struct step *step)
{
    return (uint64_t)(uint32_t)step->delta << 32 | (uint64_t)step->at_entry << 16 |
           (uint64_t)step->special << 8 | step->kind;
}

static struct step unpack(uint64_t word)
{
    return (struct step){.delta = (int32_t)(word >> 32),
                         .at_entry = word >> 16 & 1,
                         .special = (uint8_t)(word >> 8),
                         .kind = (uint8_t)word};
}

static uint8_t special_of(const char *name)
{
    static const struct {
        const char *name;
        uint8_t special;
    } table[] = {
        {"runtime.systemstack", SPECIAL_SYSTEMSTACK}, {"runtime.morestack", SPECIAL_MORESTACK},
        {"runtime.sigpanic", SPECIAL_SIGPANIC},       {"runtime.asyncPreempt", SPECIAL_INJECTED},
        {"runtime.debugCallV2", SPECIAL_INJECTED},    {"runtime.mcall", SPECIAL_MCALL},
        {"runtime.cgocallback", SPECIAL_CGOCALLBACK},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (!strcmp(name, table[i].name))
            return table[i].special;
    return SPECIAL_NONE;
}

static struct step compute_step(struct ca_go *go, uint64_t pc)
{
    struct step step = {.kind = STEP_UNKNOWN};
    struct ca_go_func func;
    if (!ca_go_func_find(&go->tables, pc, &func))
        return step;
    step.special = special_of(ca_go_func_name(&func));
    step.at_entry = pc == func.entry;
    uint8_t flag = ca_go_func_flag(&go->tables, &func);
    step.kind = STEP_CALL;
    if (!ca_go_func_spdelta(&go->tables, &func, pc, &step.delta))
        step.kind = STEP_BROKEN;
    else if (flag & CA_GO_FLAG_TOPFRAME)
        step.kind = STEP_TOP;
    else if ((flag & CA_GO_FLAG_SPWRITE) && step.special != SPECIAL_CGOCALLBACK)
        step.kind = STEP_SPWRITE;
    return step;
}

static struct step step_at(struct ca_go *go, uint64_t pc)
{
    bool fresh;
    uint64_t *slot = ca_map_put(&go->steps, pc, &fresh);
    if (!slot)
        return compute_step(go, pc);
    if (fresh) {
        struct step step = compute_step(go, pc);
        *slot = pack(&step);
    }
    return unpack(*slot);
}

/* Where a walk stands. */
struct walk {
    struct ca_go *go;
    struct ca_go_frames *frames;
    uint64_t pc, sp, lr;
    bool lr_known; /* arm64: lr still holds the return address of the innermost frame */
    bool lr_used;  /* a return address that was not read from the stack */
    bool top;      /* the outermost function was reached */
    bool exact;
    uint64_t user_sp, user_pc, user_lr; /* of the goroutine, for the hop off the system stack */
    bool can_hop;
    bool leaving; /* a signal handler: runtime.sigtramp, the top for Go, has a caller for us */
    uint64_t low, high; /* the stack that sp is on; 0, 0: not bounded */
    const char *why;
};

static void hop(struct walk *walk, bool with_pc)
{
    walk->sp = walk->user_sp;
    if (with_pc) {
        walk->pc = walk->user_pc;
        walk->lr = walk->user_lr;
        walk->lr_known = walk->user_lr != 0;
        walk->exact = false;
    }
    walk->can_hop = false;
    walk->low = walk->high = 0;
}

static bool load_word(struct walk *walk, uint64_t address, uint64_t *ret)
{
    return ca_target_read_u64(walk->go->target, address, ret);
}

static bool is_injected(const struct step *step)
{
    return step->special == SPECIAL_SIGPANIC || step->special == SPECIAL_INJECTED;
}

/* Whether the caller's pc is where it stopped, for its line. To 1.20 Go itself took the instruction
 * before for a preempted one (runtime/traceback.go, gentraceback: waspanic); since the unwinder was
 * written anew, in the version that brought parentGoid, it does not. */
static bool caller_is_exact(struct ca_go *go, const struct step *step)
{
    if (step->special == SPECIAL_INJECTED)
        return go->layout.at[GO_G_PARENT] != CA_LAYOUT_ABSENT;
    return step->special == SPECIAL_SIGPANIC;
}

/* The caller's pc and sp; false at the end. */
static bool to_caller_amd64(struct walk *walk, const struct step *step)
{
    uint64_t frame = walk->sp + (uint64_t)step->delta + 8, pc;
    if (!load_word(walk, frame - 8, &pc)) {
        walk->why = "the stack's memory is not there";
        return false;
    }
    walk->pc = pc;
    walk->sp = frame;
    return true;
}

static bool to_caller_arm64(struct walk *walk, const struct step *step)
{
    uint64_t frame = walk->sp + (uint64_t)step->delta, pc;
    if (step->delta == 0 && walk->lr_known) {
        pc = walk->lr;
        walk->lr_used = true;
    } else if (!load_word(walk, walk->sp, &pc)) {
        walk->why = "the stack's memory is not there";
        return false;
    }
    walk->lr_known = false;
    walk->pc = pc;
    walk->sp = frame;
    /* The signal handler saved lr below the frame before it faked the call. */
    if (is_injected(step)) {
        uint64_t lr;
        if (load_word(walk, walk->sp, &lr)) {
            walk->sp += 16;
            walk->lr = lr;
            walk->lr_known = walk->lr_used = true;
        }
    }
    return true;
}

static bool to_caller(struct walk *walk, const struct step *step)
{
    uint64_t before = walk->sp;
    bool ok = walk->go->target->arch == CA_ARCH_ARM64 ? to_caller_arm64(walk, step)
                                                      : to_caller_amd64(walk, step);
    if (!ok)
        return false;
    if (walk->sp < before || (walk->sp == before && !walk->lr_used)) {
        walk->why = "the stack pointers do not rise";
        return false;
    }
    walk->exact = caller_is_exact(walk->go, step);
    return walk->pc != 0;
}

enum { HALF = CA_GO_FRAMES_MAX / 2 };

/* Endless recursion dies at a stack of 1 GB, with millions of frames: the second half of the list
 * is then a ring of the outermost ones. */
static bool keep(struct ca_go_frames *frames, struct ca_raw_frame frame)
{
    if (frames->list.len < CA_GO_FRAMES_MAX)
        return ca_vec_push(&frames->list, frame);
    frames->list.data[HALF + frames->left_out++ % HALF] = frame;
    return true;
}

static void reverse(struct ca_raw_frame *frames, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct ca_raw_frame other = frames[count - 1 - i];
        frames[count - 1 - i] = frames[i];
        frames[i] = other;
    }
}

/* The ring's frames from the innermost on. */
static void straighten(struct ca_go_frames *frames)
{
    if (!frames->left_out)
        return;
    struct ca_raw_frame *ring = frames->list.data + HALF;
    size_t oldest = frames->left_out % HALF;
    reverse(ring, oldest);
    reverse(ring + oldest, HALF - oldest);
    reverse(ring, HALF);
}

/* One step; false when the walk is over. */
static bool advance(struct walk *walk, bool innermost)
{
    struct step step = step_at(walk->go, walk->pc);
    if (step.kind == STEP_UNKNOWN) {
        walk->why = "a return address is in no Go function";
        return false;
    }
    if (!keep(walk->frames,
              (struct ca_raw_frame){walk->pc, walk->sp, walk->exact || step.at_entry}))
        return false;
    if (walk->can_hop && step.special == SPECIAL_MORESTACK) {
        hop(walk, true);
        return true;
    }
    if (walk->can_hop && step.special == SPECIAL_SYSTEMSTACK && step.kind != STEP_BROKEN) {
        hop(walk, false);
        step.kind = STEP_CALL;
    } else if (walk->can_hop && step.special == SPECIAL_MCALL && step.kind != STEP_BROKEN) {
        hop(walk, true);
        return true;
    }
    switch (step.kind) {
    case STEP_TOP:
        walk->top = true;
        if (!walk->leaving)
            return false;
        break;
    case STEP_BROKEN:
        walk->why = "a function's table of frame sizes cannot be read";
        return false;
    case STEP_SPWRITE:
        if (!innermost) {
            walk->why = "a function moves the stack pointer by itself";
            return false;
        }
        break;
    default:
        break;
    }
    return to_caller(walk, &step);
}

/* Frames beyond CA_GO_FRAMES_MAX, of all stacks together: a few of 1 GB, and an end to the time
 * that stacks which lie can take. */
enum { DEEP_MAX = 1 << 27 };

static void run(struct walk *walk)
{
    for (size_t i = 0; i < CA_GO_FRAMES_MAX || walk->go->deep_frames < DEEP_MAX; i++) {
        if (walk->high && (walk->sp < walk->low || walk->sp > walk->high)) {
            walk->why = "a stack pointer left the stack";
            return;
        }
        if (!advance(walk, i == 0))
            return;
        walk->go->deep_frames += i >= CA_GO_FRAMES_MAX;
    }
    walk->why = "it is deeper than any stack of Go";
}

const struct ca_thread *ca_go_thread_of(struct ca_go *go, const struct ca_go_g *g)
{
    uint64_t m = ca_go_u64(go, g->bytes, GO_G_M), procid;
    if (!m || !ca_go_read_u64(go, m, GO_M_PROCID, &procid))
        return NULL;
    uint64_t *slot = ca_map_get(&go->thread_by_tid, procid);
    return slot ? &go->target->threads.data[*slot - 1] : NULL;
}

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
static bool is_sigreturn(struct ca_go *go, uint64_t pc)
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
    struct walk walk = {.go = go, .frames = &scratch, .exact = true, .leaving = true};
    bool found = false;
    ca_target_pc(go->target->arch, inside, &walk.pc);
    ca_target_sp(go->target->arch, inside, &walk.sp);
    if (go->target->arch == CA_ARCH_ARM64) {
        walk.lr = inside->value[30];
        walk.lr_known = true;
    }
    for (int i = 0; i < 64; i++) {
        if (is_sigreturn(go, walk.pc)) {
            found = ucontext_regs(go, walk.sp, ret);
            break;
        }
        if (!advance(&walk, i == 0))
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

bool ca_go_signal_regs(struct ca_go *go, uint64_t m, const struct ca_regs *inside,
                       struct ca_regs *ret)
{
    uint64_t gsignal, sp;
    *ret = *inside;
    bool left = false;
    /* Signals nest: a second one may have come inside the first handler. */
    for (int depth = 0; depth < 4; depth++) {
        if (!ca_target_sp(go->target->arch, ret, &sp) ||
            !ca_go_read_u64(go, m, GO_M_GSIGNAL, &gsignal) || !inside_stack_of(go, gsignal, sp))
            return left;
        struct ca_regs outer;
        if (!leave_handler(go, ret, &outer) && !search_context(go, m, gsignal, sp, &outer))
            return false;
        *ret = outer;
        left = true;
    }
    return left;
}

static void start_from_sched(struct walk *walk, const struct ca_go_g *g)
{
    walk->pc = ca_go_u64(walk->go, g->bytes, GO_G_SCHED_PC);
    walk->sp = ca_go_u64(walk->go, g->bytes, GO_G_SCHED_SP);
    walk->lr = ca_go_u64(walk->go, g->bytes, GO_G_SCHED_LR);
    walk->lr_known = walk->go->target->arch == CA_ARCH_ARM64 && walk->lr;
}

/* In C code (a vdso call, a library): go on where Go left. */
static bool start_after_vdso(struct walk *walk, uint64_t m)
{
    uint64_t pc, sp;
    if (!ca_go_read_u64(walk->go, m, GO_M_VDSOPC, &pc) ||
        !ca_go_read_u64(walk->go, m, GO_M_VDSOSP, &sp) || !pc || !sp)
        return false;
    walk->pc = pc;
    walk->sp = sp;
    walk->lr_known = false;
    walk->exact = false;
    return true;
}

/* A running goroutine: its thread's registers, out of signal handlers, off the system stack. */
static bool start_from_thread(struct walk *walk, const struct ca_go_g *g)
{
    struct ca_go *go = walk->go;
    const struct ca_thread *thread = ca_go_thread_of(go, g);
    uint64_t m = ca_go_u64(go, g->bytes, GO_G_M), curg = 0, g0 = 0;
    if (!thread || !m || !ca_go_read_u64(go, m, GO_M_CURG, &curg) || curg != g->address)
        return false;
    struct ca_regs regs = thread->regs, outer;
    if (ca_go_signal_regs(go, m, &thread->regs, &outer))
        regs = outer;
    if (!ca_target_pc(go->target->arch, &regs, &walk->pc) ||
        !ca_target_sp(go->target->arch, &regs, &walk->sp))
        return false;
    walk->exact = true;
    if (go->target->arch == CA_ARCH_ARM64) {
        walk->lr = regs.value[30];
        walk->lr_known = true;
    }
    ca_go_read_u64(go, m, GO_M_G0, &g0);
    struct ca_go_func func;
    if (!ca_go_func_find(&go->tables, walk->pc, &func) && !start_after_vdso(walk, m)) {
        if (inside_stack_of(go, g->address, walk->sp))
            return false;
        start_from_sched(walk, g); /* C code on the system stack */
        walk->exact = false;
        return walk->pc != 0;
    }
    walk->can_hop = !inside_stack_of(go, g->address, walk->sp);
    walk->user_pc = ca_go_u64(go, g->bytes, GO_G_SCHED_PC);
    walk->user_sp = ca_go_u64(go, g->bytes, GO_G_SCHED_SP);
    walk->user_lr = ca_go_u64(go, g->bytes, GO_G_SCHED_LR);
    return true;
}

bool ca_go_stack_walk(struct ca_go *go, const struct ca_go_g *g, struct ca_go_frames *frames,
                      const char **why)
{
    struct walk walk = {.go = go, .frames = frames};
    frames->list.len = frames->left_out = 0;
    frames->plain = false;
    *why = NULL;
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS) & ~CA_GO_SCAN;
    uint64_t syscall_sp = ca_go_u64(go, g->bytes, GO_G_SYSCALLSP);
    if (syscall_sp) {
        walk.pc = ca_go_u64(go, g->bytes, GO_G_SYSCALLPC);
        walk.sp = syscall_sp;
    } else if (status == CA_GO_RUNNING) {
        if (!start_from_thread(&walk, g)) {
            *why = "it runs, and its thread's registers are not known";
            return false;
        }
    } else {
        start_from_sched(&walk, g);
        walk.low = ca_go_u64(go, g->bytes, GO_G_STACK_LO);
        walk.high = ca_go_u64(go, g->bytes, GO_G_STACK_HI);
    }
    run(&walk);
    straighten(frames);
    *why = walk.why;
    frames->plain = walk.high && walk.top && !walk.lr_used && !walk.why && !frames->left_out;
    return frames->list.len != 0;
}
