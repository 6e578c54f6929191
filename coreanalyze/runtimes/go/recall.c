/* Stacks and creation sites seen before. Most goroutines stand where another one stands: a hundred
 * thousand of them at a dozen places. Instead of walking such a stack again, it is enough to see
 * that every return address is the one that was found there before: where a frame's caller lies
 * depends on nothing else.
 */
#include "runtimes/go/go.h"

static size_t place_of(uint64_t a, uint64_t b, uint64_t c)
{
    return (size_t)(ca_hash_u64(a * 31 + b * 7 + c) % CA_GO_RECALL_SLOTS);
}

static struct ca_go_recall *slot_of(struct ca_go *go, const struct ca_go_g *g, uint64_t pc)
{
    return &go->recall[place_of(pc, ca_go_u64(go, g->bytes, GO_G_GOPC),
                                g->bytes[go->layout.at[GO_G_WAITREASON]])];
}

/* Where the return address of frame i was read. */
static uint64_t return_place(const struct ca_go *go, const struct ca_raw_frame *frames, uint32_t i)
{
    return go->target->arch == CA_ARCH_ARM64 ? frames[i].sp : frames[i + 1].sp - 8;
}

static bool same_returns(struct ca_go *go, const struct ca_raw_frame *frames, uint32_t count,
                         uint64_t sp)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        uint64_t pc;
        if (!ca_target_read_u64(go->target, sp + return_place(go, frames, i), &pc) ||
            pc != frames[i + 1].pc)
            return false;
    }
    return true;
}

static bool is_parked(struct ca_go *go, const struct ca_go_g *g)
{
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS) & ~CA_GO_SCAN;
    return status != CA_GO_RUNNING && !ca_go_u64(go, g->bytes, GO_G_SYSCALLSP) &&
           !ca_go_u64(go, g->bytes, GO_G_SCHED_LR);
}

uint32_t ca_go_stack_recall(struct ca_go *go, const struct ca_tasks *tasks, const struct ca_go_g *g,
                            struct ca_go_frames *frames)
{
    uint64_t pc = ca_go_u64(go, g->bytes, GO_G_SCHED_PC);
    uint64_t sp = ca_go_u64(go, g->bytes, GO_G_SCHED_SP);
    uint64_t low = ca_go_u64(go, g->bytes, GO_G_STACK_LO);
    uint64_t high = ca_go_u64(go, g->bytes, GO_G_STACK_HI);
    const struct ca_go_recall *known = slot_of(go, g, pc);
    if (!known->stack || !is_parked(go, g) || sp < low || sp > high)
        return CA_STACK_NONE;
    const struct ca_stack *stack = &tasks->stacks.list.data[known->stack - 1];
    const struct ca_raw_frame *stored = tasks->stacks.frames.data + stack->first;
    if (stored[0].pc != pc || stored[stack->count - 1].sp > high - sp ||
        !same_returns(go, stored, stack->count, sp))
        return CA_STACK_NONE;
    frames->list.len = 0;
    if (!ca_vec_reserve(&frames->list, stack->count))
        return CA_STACK_NONE;
    for (uint32_t i = 0; i < stack->count; i++) {
        frames->list.data[i] = stored[i];
        frames->list.data[i].sp += sp;
    }
    frames->list.len = stack->count;
    return known->stack - 1;
}

void ca_go_stack_remember(struct ca_go *go, const struct ca_go_g *g,
                          const struct ca_go_frames *frames, uint32_t stack)
{
    if (frames->plain && is_parked(go, g))
        slot_of(go, g, frames->list.data[0].pc)->stack = stack + 1;
}

const struct ca_go_birth *ca_go_birth_of(struct ca_go *go, struct ca_tasks *tasks, uint64_t gopc,
                                         uint64_t startpc)
{
    struct ca_go_birth *birth = &go->births[place_of(gopc, startpc, 0)];
    if (!birth->known || birth->gopc != gopc || birth->startpc != startpc)
        *birth = (struct ca_go_birth){.gopc = gopc,
                                      .startpc = startpc,
                                      .entry = ca_go_entry_site(go, tasks, startpc),
                                      .created = ca_go_call_site(go, tasks, gopc),
                                      .known = true};
    return birth;
}
