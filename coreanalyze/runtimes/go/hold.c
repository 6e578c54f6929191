/* What a live target must have here before it is let go: all that collect and the proof will read.
 *
 * It is called twice: while the target runs, so that most of what is wanted is known and only has
 * to be copied again, at one go, when it stands still; and then. What is forgotten here costs a
 * second stop (see session_attach.c), never a wrong answer.
 */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    GOROUTINES_MAX = 1 << 28,
    G_BYTES_MAX = 4096,
    CHAIN_MAX = 1 << 16,
    RED_ZONE = 128,
    LOCK_ROOM = 64, /* bytes on each side of a semaphore that its lock may take */
    STACK_MAX = 256 << 20,
    DATA_MAX = 256 << 20,
    TYPES_MAX = 64 << 20,
    CODE_ROOM = 64,
};

struct holding {
    struct ca_go *go;
    struct ca_tasks scratch; /* one task, for what reads into tables */
    struct ca_go_frames frames;
};

static void range(struct holding *holding, uint64_t start, uint64_t end, uint64_t most)
{
    if (start < end)
        ca_target_hold(holding->go->target, start, end - start < most ? end - start : most);
}

/* Everything that the runtime and the program have as globals. */
static void hold_data(struct holding *holding)
{
    for (size_t i = 0; i < holding->go->tables.modules.len; i++) {
        const struct ca_go_module *module = &holding->go->tables.modules.data[i];
        range(holding, module->noptrdata, module->data, DATA_MAX);
        range(holding, module->data, module->edata, DATA_MAX);
        range(holding, module->bss, module->ebss, DATA_MAX);
        range(holding, module->noptrbss, module->enoptrbss, DATA_MAX);
    }
}

/* The descriptors of types, for explanations: where the program was moved when it was loaded, its
 * file does not have them as they are. */
static void hold_types(struct holding *holding)
{
    struct ca_go *go = holding->go;
    uint64_t types, end;
    for (size_t i = 0; i < go->tables.modules.len; i++) {
        uint64_t module = go->tables.modules.data[i].address;
        if (ca_go_read_u64(go, module, GO_MD_TYPES, &types) &&
            ca_go_read_u64(go, module, GO_MD_ETYPES, &end) && types &&
            !ca_target_segment(go->target, types))
            range(holding, types, end, TYPES_MAX);
    }
}

/* How it is queued, and what for. */
static void hold_waits(struct holding *holding, uint64_t sudog)
{
    struct ca_go *go = holding->go;
    for (int i = 0; sudog && i < CHAIN_MAX; i++) {
        uint64_t channel, element;
        if (ca_go_read_u64(go, sudog, GO_SUDOG_C, &channel) && channel)
            range(holding, channel, channel + (uint64_t)go->layout.at[GO_HCHAN_SIZE],
                  CA_WINDOW_PAGE);
        else if (ca_go_read_u64(go, sudog, GO_SUDOG_ELEM, &element) && element > LOCK_ROOM)
            range(holding, element - LOCK_ROOM, element + LOCK_ROOM, CA_WINDOW_PAGE);
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_WAITLINK, &sudog))
            break;
    }
}

static void hold_defers(struct holding *holding, uint64_t at)
{
    for (int i = 0; at && i < CHAIN_MAX; i++)
        if (!ca_go_read_u64(holding->go, at, GO_DEFER_LINK, &at))
            break;
}

/* The part of the stack that is in use; of a running goroutine all of it. */
static void hold_stack(struct holding *holding, const struct ca_go_g *g, uint32_t status)
{
    struct ca_go *go = holding->go;
    uint64_t low = ca_go_u64(go, g->bytes, GO_G_STACK_LO);
    uint64_t high = ca_go_u64(go, g->bytes, GO_G_STACK_HI);
    uint64_t sp = ca_go_u64(go, g->bytes, GO_G_SYSCALLSP);
    if (!sp && (status == CA_GO_WAITING || status == CA_GO_RUNNABLE))
        sp = ca_go_u64(go, g->bytes, GO_G_SCHED_SP);
    if (status & CA_GO_SCAN || sp < low || sp > high)
        sp = low;
    range(holding, sp, high, STACK_MAX);
    const char *why;
    if (status == CA_GO_RUNNING)
        ca_go_stack_walk(go, g, &holding->frames, &why);
}

/* The vector registers of one that was preempted. */
static void hold_registers(struct holding *holding, const struct ca_go_g *g)
{
    const int32_t *at = holding->go->layout.at;
    uint64_t state = ca_go_u64(holding->go, g->bytes, GO_G_XREGS);
    if (state && at[GO_XREGS_SIZE] != CA_LAYOUT_ABSENT)
        range(holding, state, state + (uint64_t)at[GO_XREGS_SIZE], 1 << 16);
}

static void hold_g(struct holding *holding, uint64_t address)
{
    struct ca_go *go = holding->go;
    uint8_t scratch[G_BYTES_MAX];
    struct ca_go_g g = {
        .address = address,
        .bytes = ca_target_peek(go->target, address, scratch, (size_t)go->layout.at[GO_G_SIZE])};
    uint32_t status = g.bytes ? ca_go_u32(go, g.bytes, GO_G_STATUS) : CA_GO_DEAD;
    if (status == CA_GO_DEAD || status == CA_GO_IDLE || status == CA_GO_DEADEXTRA)
        return;
    hold_stack(holding, &g, status);
    hold_waits(holding, ca_go_u64(go, g.bytes, GO_G_WAITING));
    hold_defers(holding, ca_go_u64(go, g.bytes, GO_G_DEFER));
    hold_registers(holding, &g);
    if (ca_go_u64(go, g.bytes, GO_G_LABELS) || ca_go_u64(go, g.bytes, GO_G_ANCESTORS)) {
        ca_go_labels_read(go, &holding->scratch, 0, &g);
        ca_go_ancestors_read(go, &holding->scratch, 0, &g);
        holding->scratch.labels.len = holding->scratch.notes.len = 0;
    }
}

static struct ca_error *hold_goroutines(struct holding *holding)
{
    struct ca_go *go = holding->go;
    uint64_t slice[2], address;
    if (!ca_target_read(go->target, go->globals.allgs, slice, 16) || slice[1] > GOROUTINES_MAX)
        return NULL;
    range(holding, slice[0], slice[0] + slice[1] * 8, UINT64_MAX);
    for (uint64_t i = 0; i < slice[1]; i++)
        if (ca_target_read_u64(go->target, slice[0] + i * 8, &address))
            hold_g(holding, address);
    return NULL;
}

/* From sp to the end of the stack that it is on: of a g if g's it is, else of a mapping. */
static void hold_thread_stack(struct holding *holding, uint64_t sp)
{
    const struct ca_mapping *mapping = ca_target_mapping(holding->go->target, sp);
    if (mapping && !mapping->path)
        range(holding, sp - RED_ZONE, mapping->end, 1 << 20);
}

static void hold_threads(struct holding *holding)
{
    struct ca_go *go = holding->go;
    uint64_t low, high, sp, pc;
    for (size_t i = 0; i < go->target->threads.len; i++) {
        const struct ca_regs *regs = &go->target->threads.data[i].regs;
        if (ca_target_sp(go->target->arch, regs, &sp))
            hold_thread_stack(holding, sp);
        if (ca_target_pc(go->target->arch, regs, &pc))
            range(holding, pc - CODE_ROOM, pc + CODE_ROOM, CA_WINDOW_PAGE);
    }
    for (size_t i = 0; i < go->threads.ms.len; i++) {
        uint64_t m = go->threads.ms.data[i].address, g;
        if (ca_go_read_u64(go, m, GO_M_GSIGNAL, &g) && ca_go_stack_bounds(go, g, &low, &high))
            range(holding, low, high, 1 << 20);
        if (ca_go_read_u64(go, m, GO_M_G0, &g) && ca_go_stack_bounds(go, g, &low, &high) &&
            ca_go_read_u64(go, g, GO_G_SCHED_SP, &sp) && sp >= low && sp < high)
            range(holding, sp, high, 1 << 20);
    }
}

struct ca_error *ca_go_hold(struct ca_runtime *runtime, bool proof)
{
    struct holding holding = {.go = ca_go_of(runtime)};
    struct ca_go *go = holding.go;
    if (go->layout.at[GO_G_SIZE] <= 0 || go->layout.at[GO_G_SIZE] > G_BYTES_MAX)
        return NULL;
    struct ca_error *error = ca_go_threads_index(go);
    if (!error && !ca_vec_push(&holding.scratch.list, (struct ca_task){.number = 1}))
        error = &ca_error_nomem;
    if (!error) {
        hold_data(&holding);
        hold_threads(&holding);
        error = hold_goroutines(&holding);
    }
    if (!error && (!ca_go_semaphores_read(go) || !ca_go_timers_read(go)))
        error = &ca_error_nomem;
    if (!error && proof)
        hold_types(&holding);
    if (!error && proof)
        error = ca_go_heap_hold(go);
    ca_vec_deinit(&holding.frames.list);
    ca_tasks_deinit(&holding.scratch);
    return error;
}
