/* The runtime's threads (m) and the target's, each found from the other.
 *
 * An m keeps the number that its thread has in the program's own pid namespace. Seen from outside
 * of a container threads have other numbers, and those may be other threads' inside. Stacks do not
 * lie: a thread's stack pointer is on one of its m's stacks. They decide whose numbers these are,
 * and find the m of a thread that has only just been made and has not told its number yet.
 */
#include "runtimes/go/go.h"

#include <stdlib.h>

enum {
    MS_MAX = 1 << 20,
};

/* Of one of an m's stacks, (low, high]: a new thread's is empty, sp is its end. */
struct stack {
    uint64_t low, high;
    size_t m; /* index in go->threads.ms */
};

struct matching {
    struct ca_go *go;
    CA_VEC(struct stack) stacks; /* by low */
};

static int by_low(const void *a, const void *b)
{
    uint64_t x = ((const struct stack *)a)->low, y = ((const struct stack *)b)->low;
    return x < y ? -1 : x > y;
}

static bool add_stacks(struct matching *matching, size_t index)
{
    static const int fields[] = {GO_M_CURG, GO_M_G0, GO_M_GSIGNAL};
    struct ca_go *go = matching->go;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct stack stack = {.m = index};
        uint64_t g = 0;
        if (ca_go_read_u64(go, go->threads.ms.data[index].address, fields[i], &g) &&
            ca_go_stack_bounds(go, g, &stack.low, &stack.high) &&
            !ca_vec_push(&matching->stacks, stack))
            return false;
    }
    return true;
}

/* runtime.allm, as far as it can be read. false: no memory. */
static bool read_ms(struct ca_go *go)
{
    struct ca_go_m m = {0};
    go->threads.listed = ca_target_read_u64(go->target, go->globals.allm, &m.address);
    while (m.address && go->threads.ms.len < MS_MAX &&
           ca_go_read_u64(go, m.address, GO_M_PROCID, &m.procid)) {
        bool is_new;
        uint64_t *slot = ca_map_put(&go->threads.by_m, m.address, &is_new);
        if (!slot)
            return false;
        if (!is_new) /* a circle */
            break;
        *slot = 0;
        if (!ca_vec_push(&go->threads.ms, m))
            return false;
        if (!ca_go_read_u64(go, m.address, GO_M_ALLLINK, &m.address))
            break;
    }
    return true;
}

/* By the stack that the thread is on. */
static struct ca_go_m *m_by_stack(const struct matching *matching, const struct ca_thread *thread)
{
    uint64_t sp;
    size_t low = 0, high = matching->stacks.len;
    if (!ca_target_sp(matching->go->target->arch, &thread->regs, &sp))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct stack *stack = &matching->stacks.data[middle];
        if (sp > stack->low && sp <= stack->high)
            return &matching->go->threads.ms.data[stack->m];
        if (sp <= stack->low)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Are the target's numbers those of another pid namespace than the program's? Not every stack is
 * where its m says (C code may have left one behind), so the majority decides. */
static bool numbers_are_foreign(const struct matching *matching)
{
    const struct ca_target *target = matching->go->target;
    size_t same = 0, other = 0;
    for (size_t i = 0; i < target->threads.len; i++) {
        const struct ca_go_m *m = m_by_stack(matching, &target->threads.data[i]);
        if (m && m->procid)
            *(m->procid == (uint64_t)target->threads.data[i].tid ? &same : &other) += 1;
    }
    return other > same;
}

static void match(struct ca_go *go, const struct ca_go_m *m, size_t thread)
{
    *ca_map_get(&go->threads.by_m, m->address) = thread + 1;
    go->threads.m_of.data[thread] = m->address;
}

static void match_by_number(struct ca_go *go)
{
    for (size_t i = 0; i < go->threads.ms.len; i++) {
        const struct ca_go_m *m = &go->threads.ms.data[i];
        const uint64_t *thread = ca_map_get(&go->threads.by_tid, m->procid);
        if (thread)
            match(go, m, *thread - 1);
    }
}

static void match_by_stack(struct matching *matching)
{
    struct ca_go *go = matching->go;
    for (size_t i = 0; i < go->target->threads.len; i++) {
        const struct ca_go_m *m =
            go->threads.m_of.data[i] ? NULL : m_by_stack(matching, &go->target->threads.data[i]);
        if (m && !*ca_map_get(&go->threads.by_m, m->address))
            match(go, m, i);
    }
}

static bool match_all(struct matching *matching)
{
    struct ca_go *go = matching->go;
    for (size_t i = 0; i < go->target->threads.len; i++) {
        uint64_t *slot =
            ca_map_put(&go->threads.by_tid, (uint64_t)go->target->threads.data[i].tid, NULL);
        if (!slot || !ca_vec_push(&go->threads.m_of, 0))
            return false;
        *slot = i + 1;
    }
    if (!read_ms(go))
        return false;
    for (size_t i = 0; i < go->threads.ms.len; i++)
        if (!add_stacks(matching, i))
            return false;
    if (matching->stacks.len > 1)
        qsort(matching->stacks.data, matching->stacks.len, sizeof(struct stack), by_low);
    go->threads.foreign = numbers_are_foreign(matching);
    if (!go->threads.foreign)
        match_by_number(go);
    match_by_stack(matching);
    return true;
}

void ca_go_threads_deinit(struct ca_go *go)
{
    ca_vec_deinit(&go->threads.ms);
    ca_vec_deinit(&go->threads.m_of);
    ca_map_deinit(&go->threads.by_m);
    ca_map_deinit(&go->threads.by_tid);
}

struct ca_error *ca_go_threads_index(struct ca_go *go)
{
    struct matching matching = {.go = go};
    ca_go_threads_deinit(go);
    bool ok = match_all(&matching);
    ca_vec_deinit(&matching.stacks);
    return ok ? NULL : &ca_error_nomem;
}

const struct ca_thread *ca_go_thread_of(struct ca_go *go, uint64_t m)
{
    const uint64_t *slot = ca_map_get(&go->threads.by_m, m);
    uint64_t procid;
    if (!slot && !go->threads.foreign && m && ca_go_read_u64(go, m, GO_M_PROCID, &procid))
        slot = ca_map_get(&go->threads.by_tid, procid); /* the list is broken off before it */
    return slot && *slot ? &go->target->threads.data[*slot - 1] : NULL;
}

uint64_t ca_go_m_of(const struct ca_go *go, const struct ca_thread *thread)
{
    const uint64_t *index = ca_map_get(&go->threads.by_tid, (uint64_t)thread->tid);
    return index ? go->threads.m_of.data[*index - 1] : 0;
}
