/* Saved registers to raw frames, as runtime/traceback.go does it: frame sizes from the program's
 * own pcsp tables, never from guesses.
 */
#include "runtimes/go/walk.h"

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
    SPECIAL_GOGO,
    SPECIAL_ASMCGOCALL,
    SPECIAL_CGOCALLBACK,
    SPECIAL_SIGTRAMP,
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
        {"runtime.systemstack", SPECIAL_SYSTEMSTACK},
        {"runtime.morestack", SPECIAL_MORESTACK},
        {"runtime.sigpanic", SPECIAL_SIGPANIC},
        {"runtime.asyncPreempt", SPECIAL_INJECTED},
        {"runtime.debugCallV2", SPECIAL_INJECTED},
        {"runtime.mcall", SPECIAL_MCALL},
        {"runtime.cgocallback", SPECIAL_CGOCALLBACK},
        {"runtime.gogo", SPECIAL_GOGO},
        {"gogo", SPECIAL_GOGO},
        {"runtime.asmcgocall", SPECIAL_ASMCGOCALL},
        {"runtime.sigtramp", SPECIAL_SIGTRAMP},
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

static void hop(struct ca_go_walk *walk, bool with_pc)
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

static bool load_word(struct ca_go_walk *walk, uint64_t address, uint64_t *ret)
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
static bool to_caller_amd64(struct ca_go_walk *walk, const struct step *step)
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

static bool to_caller_arm64(struct ca_go_walk *walk, const struct step *step)
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

static bool to_caller(struct ca_go_walk *walk, const struct step *step)
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

/* Functions that go from one stack to another, runtime/asm_*.s. True: the walk stands in the caller
 * already. Otherwise step tells how to get there. */
static bool change_stack(struct ca_go_walk *walk, struct step *step)
{
    switch (step->special) {
    case SPECIAL_SYSTEMSTACK:
        /* It returns like any other function, on whichever stack it stands. */
        if (walk->can_hop)
            hop(walk, false);
        step->kind = STEP_CALL;
        return false;
    case SPECIAL_GOGO:
        if (!walk->can_hop && walk->user_pc) {
            /* It has the goroutine's stack already, and jumps to where that was left. */
            walk->user_sp = walk->sp;
            hop(walk, true);
            return true;
        }
        return false;
    case SPECIAL_MORESTACK:
    case SPECIAL_MCALL:
    case SPECIAL_ASMCGOCALL:
        if (!walk->can_hop)
            return false;
        hop(walk, true);
        return true;
    default:
        return false;
    }
}

bool ca_go_walk_step(struct ca_go_walk *walk, bool innermost)
{
    struct step step = step_at(walk->go, walk->pc);
    if (step.kind == STEP_UNKNOWN) {
        walk->why = "a return address is in no Go function";
        return false;
    }
    if (!keep(walk->frames,
              (struct ca_raw_frame){walk->pc, walk->sp, walk->exact || step.at_entry}))
        return false;
    if (step.kind != STEP_BROKEN && change_stack(walk, &step))
        return true;
    switch (step.kind) {
    case STEP_TOP:
        /* The scheduler on its own stack, about to run the goroutine. */
        if (walk->can_hop && walk->user_sp) {
            hop(walk, true);
            return true;
        }
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

static void run(struct ca_go_walk *walk)
{
    for (size_t i = 0; i < CA_GO_FRAMES_MAX || walk->go->deep_frames < DEEP_MAX; i++) {
        if (walk->high && (walk->sp < walk->low || walk->sp > walk->high)) {
            walk->why = "a stack pointer left the stack";
            return;
        }
        if (!ca_go_walk_step(walk, i == 0))
            return;
        walk->go->deep_frames += i >= CA_GO_FRAMES_MAX;
    }
    walk->why = "it is deeper than any stack of Go";
}

void ca_go_walk_run(struct ca_go_walk *walk)
{
    run(walk);
    straighten(walk->frames);
}

void ca_go_frames_clear(struct ca_go_frames *frames)
{
    frames->list.len = frames->left_out = 0;
    frames->plain = false;
}

void ca_go_walk_from_sched(struct ca_go_walk *walk, const struct ca_go_g *g)
{
    walk->pc = ca_go_u64(walk->go, g->bytes, GO_G_SCHED_PC);
    walk->sp = ca_go_u64(walk->go, g->bytes, GO_G_SCHED_SP);
    walk->lr = ca_go_u64(walk->go, g->bytes, GO_G_SCHED_LR);
    walk->lr_known = walk->go->target->arch == CA_ARCH_ARM64 && walk->lr;
}

void ca_go_walk_from_regs(struct ca_go_walk *walk, const struct ca_regs *regs)
{
    ca_target_pc(walk->go->target->arch, regs, &walk->pc);
    ca_target_sp(walk->go->target->arch, regs, &walk->sp);
    walk->exact = true;
    if (walk->go->target->arch == CA_ARCH_ARM64) {
        walk->lr = regs->value[30];
        walk->lr_known = true;
    }
}

enum ca_go_stretch ca_go_stack_stretch(struct ca_go *go, const struct ca_regs *regs, uint64_t low,
                                       uint64_t high, struct ca_go_frames *frames, uint64_t *end)
{
    struct ca_go_walk walk = {.go = go, .frames = frames};
    ca_go_frames_clear(frames);
    ca_go_walk_from_regs(&walk, regs);
    for (size_t i = 0; i < CA_GO_FRAMES_MAX; i++) {
        *end = walk.sp;
        if (walk.sp < low || walk.sp >= high)
            return CA_GO_STRETCH_LOST;
        if (ca_go_is_sigreturn(go, walk.pc))
            return CA_GO_STRETCH_SIGNAL;
        struct step step = step_at(go, walk.pc);
        if (step.kind == STEP_UNKNOWN || step.kind == STEP_BROKEN ||
            (step.kind == STEP_SPWRITE && i == 0))
            return CA_GO_STRETCH_LOST;
        bool is_handler = step.special == SPECIAL_SIGTRAMP;
        if (step.kind == STEP_SPWRITE || (step.kind == STEP_TOP && !is_handler))
            return CA_GO_STRETCH_OVER;
        if (!is_handler && /* that one saved only what the signal's context has too */
            !keep(frames, (struct ca_raw_frame){walk.pc, walk.sp, walk.exact || step.at_entry}))
            return CA_GO_STRETCH_LOST;
        if (!to_caller(&walk, &step))
            return CA_GO_STRETCH_LOST;
    }
    return CA_GO_STRETCH_LOST;
}

bool ca_go_stack_walk(struct ca_go *go, const struct ca_go_g *g, struct ca_go_frames *frames,
                      const char **why)
{
    struct ca_go_walk walk = {.go = go, .frames = frames};
    ca_go_frames_clear(frames);
    *why = NULL;
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS) & ~CA_GO_SCAN;
    uint64_t syscall_sp = ca_go_u64(go, g->bytes, GO_G_SYSCALLSP);
    if (syscall_sp) {
        walk.pc = ca_go_u64(go, g->bytes, GO_G_SYSCALLPC);
        walk.sp = syscall_sp;
    } else if (status == CA_GO_RUNNING) {
        ca_go_walk_running(&walk, g);
        *why = walk.why;
        return frames->list.len != 0;
    } else {
        ca_go_walk_from_sched(&walk, g);
        walk.low = ca_go_u64(go, g->bytes, GO_G_STACK_LO);
        walk.high = ca_go_u64(go, g->bytes, GO_G_STACK_HI);
    }
    ca_go_walk_run(&walk);
    *why = walk.why;
    frames->plain = walk.high && walk.top && !walk.lr_used && !walk.why && !frames->left_out;
    return frames->list.len != 0;
}
