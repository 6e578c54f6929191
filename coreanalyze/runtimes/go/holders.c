/* Who holds the locks that others wait for. The runtime does not record it, but a goroutine that
 * says `defer mu.Unlock()` carries the proof on its stack: the deferred call and its receiver.
 *
 * A deferred unlock alone is not enough: it may have been deferred before the lock was taken. So it
 * counts only where the function has called Lock as often, before the place where it stands. Locks
 * that are released in other ways have no holder that is known.
 *
 * Source: runtime/panic.go (open-coded defers), cmd/compile/internal/ssagen (emitOpenDeferInfo).
 */
#include "runtimes/go/find.h"

#include <string.h>

enum {
    OPEN_DEFERS = 8, /* of one function at most: a bit each */
    PENDING_MAX = 64,
    CODE_MAX = 1 << 16,
    VARINT_BYTES = 5,
};

enum unlock {
    UNLOCK_NONE,
    UNLOCK_WRITE, /* sync.(*Mutex).Unlock, sync.(*RWMutex).Unlock */
    UNLOCK_READ,  /* sync.(*RWMutex).RUnlock */
};

/* Functions by name; systemstack_switch is the one whose number comes before that of wrappers. */
enum { LOCK, RW_LOCK, RW_RLOCK, UNLOCK, RW_UNLOCK, RW_RUNLOCK, SWITCH, NAMES };
static const char *const names[NAMES] = {
    [LOCK] = "sync.(*Mutex).Lock",           [RW_LOCK] = "sync.(*RWMutex).Lock",
    [RW_RLOCK] = "sync.(*RWMutex).RLock",    [UNLOCK] = "sync.(*Mutex).Unlock",
    [RW_UNLOCK] = "sync.(*RWMutex).Unlock",  [RW_RUNLOCK] = "sync.(*RWMutex).RUnlock",
    [SWITCH] = "runtime.systemstack_switch",
};

struct pending {
    uint32_t frame;
    uint8_t unlock;
    uint64_t lock;
};

struct holders {
    struct ca_go *go;
    struct ca_tasks *tasks;
    struct ca_go_func known[NAMES];
    struct ca_map unlocks;  /* entry of a deferred function -> enum unlock */
    struct ca_map taken;    /* return address -> calls of Lock before it, + 1 */
    struct ca_map defers;   /* stack -> 1: one of its functions has open-coded defers */
    struct ca_map writers;  /* lock -> task + 1: its deferred Unlock is pending */
    struct ca_map readers;  /* lock -> task + 1: its deferred RUnlock is pending */
    struct ca_map claimers; /* RWMutex -> task + 1: the writer that waits for the readers */
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    bool failed; /* no memory */
};

/* ---- code ---------------------------------------------------------------------------------- */

/* How many calls of the functions first..last the code before limit makes. */
static uint32_t count_calls(struct holders *holders, const struct ca_go_func *func, uint64_t limit,
                            int first, int last)
{
    struct ca_go *go = holders->go;
    uint64_t size = (limit < func->end ? limit : func->end) - func->entry;
    uint32_t count = 0;
    if (limit <= func->entry || size > CODE_MAX)
        return 0;
    uint8_t *copy = malloc(size);
    const uint8_t *code = copy ? ca_target_peek(go->target, func->entry, copy, size) : NULL;
    for (uint64_t i = 0; code && i < size; i++) {
        uint64_t target = ca_go_call_target(go, code + i, size - i, func->entry + i);
        for (int k = first; target && k <= last; k++)
            count += holders->known[k].record && holders->known[k].entry == target;
    }
    free(copy);
    return count;
}

/* The same for calls that were inlined. */
static uint32_t count_inlined(struct holders *holders, const struct ca_go_func *func,
                              uint64_t limit, int first, int last)
{
    const struct ca_go_tables *tables = &holders->go->tables;
    int32_t total = ca_go_func_inlined_count(tables, func);
    const char *name;
    uint64_t pc;
    uint32_t count = 0;
    for (int32_t i = 0; i < total && ca_go_func_inlined(tables, func, i, &name, &pc); i++)
        for (int k = first; pc < limit && k <= last; k++)
            count += !strcmp(name, names[k]);
    return count;
}

static uint32_t count_locks(struct holders *holders, uint64_t pc)
{
    struct ca_go_func func;
    bool fresh;
    uint64_t *known = ca_map_put(&holders->taken, pc, &fresh);
    if (!known) {
        holders->failed = true;
        return 0;
    }
    if (fresh) {
        *known = 1;
        if (ca_go_func_find(&holders->go->tables, pc - 1, &func)) {
            /* Of the call that it stands in, inlined ones included, only what comes before. */
            uint64_t limit = ca_go_func_call_pc(&holders->go->tables, &func, pc - 1);
            *known += count_calls(holders, &func, limit, LOCK, RW_RLOCK) +
                      count_inlined(holders, &func, limit, LOCK, RW_RLOCK);
        }
    }
    return (uint32_t)(*known - 1);
}

/* ---- deferred calls ------------------------------------------------------------------------ */

static uint8_t func_id(const struct holders *holders, const struct ca_go_func *func)
{
    return func->record[holders->go->layout.at[GO_FUNC_FLAG] - 1];
}

/* The compiler makes a function of its own for `defer x.Unlock()`, which does nothing else. */
static enum unlock find_unlock(struct holders *holders, uint64_t entry)
{
    struct ca_go_func func;
    if (!ca_go_func_find(&holders->go->tables, entry, &func) || func.entry != entry ||
        !holders->known[SWITCH].record ||
        func_id(holders, &func) != func_id(holders, &holders->known[SWITCH]) + 1)
        return UNLOCK_NONE;
    uint32_t write = count_calls(holders, &func, func.end, UNLOCK, RW_UNLOCK) +
                     count_inlined(holders, &func, func.end, UNLOCK, RW_UNLOCK);
    uint32_t read = count_calls(holders, &func, func.end, RW_RUNLOCK, RW_RUNLOCK) +
                    count_inlined(holders, &func, func.end, RW_RUNLOCK, RW_RUNLOCK);
    if (write + read != 1)
        return UNLOCK_NONE;
    return write ? UNLOCK_WRITE : UNLOCK_READ;
}

static enum unlock unlock_of(struct holders *holders, uint64_t entry)
{
    bool fresh;
    uint64_t *known = ca_map_put(&holders->unlocks, entry, &fresh);
    if (!known) {
        holders->failed = true;
        return UNLOCK_NONE;
    }
    if (fresh)
        *known = find_unlock(holders, entry);
    return (enum unlock) * known;
}

/* A deferred closure: the function, then what it captured, here the receiver. */
static void add_closure(struct holders *holders, uint32_t frame, uint64_t closure)
{
    uint64_t words[2];
    if (!closure || closure % 8 || holders->pending_count == PENDING_MAX ||
        !ca_target_read(holders->go->target, closure, words, sizeof(words)))
        return;
    enum unlock unlock = unlock_of(holders, words[0]);
    if (unlock != UNLOCK_NONE)
        holders->pending[holders->pending_count++] =
            (struct pending){.frame = frame, .unlock = (uint8_t)unlock, .lock = words[1]};
}

static bool read_varint(struct holders *holders, uint64_t *at, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < VARINT_BYTES; i++) {
        uint8_t byte;
        if (!ca_target_read(holders->go->target, (*at)++, &byte, 1))
            return false;
        *ret |= (uint32_t)(byte & 0x7f) << (7 * i & 31);
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* FUNCDATA_OpenCodedDeferInfo, distances below varp: of the bits; then of the first closure, the
 * others above it, or, as long as spans knew no types of large objects (to 1.21), the number of
 * closures and the place of each, the last one first. */
static void add_open(struct holders *holders, uint32_t frame, uint64_t info, uint64_t varp)
{
    struct ca_go *go = holders->go;
    uint32_t bits_at, second, below;
    uint8_t bits;
    uint64_t closure;
    if (!read_varint(holders, &info, &bits_at) || !read_varint(holders, &info, &second) ||
        !ca_target_read(go->target, varp - bits_at, &bits, 1))
        return;
    bool consecutive = go->layout.at[GO_MSPAN_LARGETYPE] != CA_LAYOUT_ABSENT;
    uint32_t count = consecutive ? OPEN_DEFERS : second;
    for (uint32_t i = count; i-- > 0 && count <= OPEN_DEFERS;) {
        if (!consecutive && !read_varint(holders, &info, &below))
            return;
        uint64_t slot = consecutive ? varp - second + 8 * i : varp - below;
        if ((bits >> i & 1) && ca_target_read_u64(go->target, slot, &closure))
            add_closure(holders, frame, closure);
    }
}

/* varp, where the frame's variables end: below the return address and the saved frame pointer. */
static uint64_t varp_of(const struct ca_go *go, uint64_t sp, uint64_t caller_sp)
{
    uint64_t varp = go->target->arch == CA_ARCH_ARM64 ? caller_sp : caller_sp - 8;
    return varp > sp ? varp - 8 : varp;
}

/* false: none of the stack's functions has open-coded defers. */
static bool add_frames(struct holders *holders, const struct ca_task *task)
{
    const struct ca_go_tables *tables = &holders->go->tables;
    const struct ca_stack *stack = &holders->tasks->stacks.list.data[task->stack];
    const struct ca_raw_frame *frames = holders->tasks->stacks.frames.data + stack->first;
    bool any = false;
    for (uint32_t i = 1; i + 1 < stack->count; i++) {
        struct ca_go_func func;
        if (!ca_go_func_find(tables, frames[i].pc - 1, &func))
            continue;
        uint64_t info = ca_go_func_funcdata(tables, &func, CA_GO_FUNCDATA_OPENDEFERS);
        if (!info)
            continue;
        any = true;
        add_open(holders, i, info,
                 varp_of(holders->go, task->sp + frames[i].sp, task->sp + frames[i + 1].sp));
    }
    return any;
}

/* Deferred calls with a record: in loops, or too many for the open form. */
static void add_records(struct holders *holders, const struct ca_task *task)
{
    struct ca_go *go = holders->go;
    const struct ca_stack *stack = &holders->tasks->stacks.list.data[task->stack];
    const struct ca_raw_frame *frames = holders->tasks->stacks.frames.data + stack->first;
    uint64_t at, pc, closure;
    if (!ca_go_read_u64(go, task->address, GO_G_DEFER, &at))
        return;
    uint32_t frame = 1;
    for (int i = 0; at && i < PENDING_MAX; i++) {
        struct ca_go_func func, other;
        if (!ca_go_read_u64(go, at, GO_DEFER_PC, &pc) ||
            !ca_go_read_u64(go, at, GO_DEFER_FN, &closure) ||
            !ca_go_read_u64(go, at, GO_DEFER_LINK, &at) ||
            !ca_go_func_find(&go->tables, pc - 1, &func))
            return;
        while (frame + 1 < stack->count &&
               (!ca_go_func_find(&go->tables, frames[frame].pc - 1, &other) ||
                other.entry != func.entry))
            frame++;
        if (frame + 1 >= stack->count)
            return;
        add_closure(holders, frame, closure);
    }
}

/* ---- holders ------------------------------------------------------------------------------- */

static void put(struct holders *holders, struct ca_map *map, uint64_t lock, uint32_t task)
{
    bool fresh;
    uint64_t *slot = ca_map_put(map, lock, &fresh);
    if (!slot)
        holders->failed = true;
    else if (fresh)
        *slot = (uint64_t)task + 1;
}

static void keep_pending(struct holders *holders, uint32_t index)
{
    const struct ca_task *task = &holders->tasks->list.data[index];
    const struct ca_stack *stack = &holders->tasks->stacks.list.data[task->stack];
    for (size_t i = 0; i < holders->pending_count; i++) {
        const struct pending *one = &holders->pending[i];
        uint64_t pc = holders->tasks->stacks.frames.data[stack->first + one->frame].pc;
        uint32_t same = 0;
        for (size_t k = 0; k < holders->pending_count; k++)
            same += holders->pending[k].frame == one->frame;
        if (same <= count_locks(holders, pc))
            put(holders, one->unlock == UNLOCK_READ ? &holders->readers : &holders->writers,
                one->lock, index);
    }
}

static void look_at(struct holders *holders, uint32_t index)
{
    const struct ca_task *task = &holders->tasks->list.data[index];
    uint64_t record = 0;
    bool fresh;
    if (task->runtime != holders->go->runtime.index || task->state == CA_STATE_RUNNING ||
        task->stack == CA_STACK_NONE)
        return;
    uint64_t *open = ca_map_put(&holders->defers, task->stack, &fresh);
    if (!open) {
        holders->failed = true;
        return;
    }
    holders->pending_count = 0;
    if (fresh || *open)
        *open = add_frames(holders, task);
    if (ca_go_read_u64(holders->go, task->address, GO_G_DEFER, &record) && record)
        add_records(holders, task);
    keep_pending(holders, index);
}

static uint8_t sync_of(const struct holders *holders, const struct ca_task *task)
{
    if (task->runtime != holders->go->runtime.index || task->wait == CA_NONE ||
        task->state != CA_STATE_WAITING || task->stack >= holders->go->stack_facts.len)
        return CA_GO_SYNC_NONE;
    uint8_t sync = holders->go->stack_facts.data[task->stack].sync;
    return sync != CA_GO_SYNC_NONE && ca_waits_get(&holders->tasks->waits, task->wait).has_address
               ? sync
               : CA_GO_SYNC_NONE;
}

static uint32_t find(const struct ca_map *map, uint64_t lock)
{
    const uint64_t *task = ca_map_get(map, lock);
    return task ? (uint32_t)(*task - 1) : CA_NONE;
}

/* Who must act before a goroutine in this wait can go on. */
static uint32_t holder_of(const struct holders *holders, uint8_t sync, uint64_t lock)
{
    uint32_t holder;
    switch (sync) {
    case CA_GO_SYNC_MUTEX:
        return find(&holders->writers, lock);
    case CA_GO_SYNC_RW_WRITE: /* it has the writers' turn, and readers are left */
        return find(&holders->readers, lock);
    case CA_GO_SYNC_RW_READ:
    case CA_GO_SYNC_RW_MUTEX:
        holder = find(&holders->writers, lock);
        return holder != CA_NONE ? holder : find(&holders->claimers, lock);
    default:
        return CA_NONE;
    }
}

static bool any_waits(struct holders *holders)
{
    bool any = false;
    for (size_t i = 0; i < holders->tasks->list.len; i++) {
        const struct ca_task *task = &holders->tasks->list.data[i];
        uint8_t sync = sync_of(holders, task);
        any |= sync >= CA_GO_SYNC_MUTEX && sync <= CA_GO_SYNC_RW_MUTEX;
        if (sync == CA_GO_SYNC_RW_WRITE)
            put(holders, &holders->claimers,
                ca_waits_get(&holders->tasks->waits, task->wait).channel.address, (uint32_t)i);
    }
    return any;
}

static void run(struct holders *holders)
{
    struct ca_tasks *tasks = holders->tasks;
    if (!any_waits(holders))
        return;
    ca_go_tables_functions(&holders->go->tables, names, NAMES, holders->known);
    for (size_t i = 0; i < tasks->list.len && !holders->failed; i++)
        look_at(holders, (uint32_t)i);
    for (size_t i = 0; i < tasks->list.len; i++) {
        uint8_t sync = sync_of(holders, &tasks->list.data[i]);
        if (sync == CA_GO_SYNC_NONE)
            continue;
        struct ca_wait wait = ca_waits_get(&tasks->waits, tasks->list.data[i].wait);
        uint32_t owner = holder_of(holders, sync, wait.channel.address);
        if (owner == wait.owner)
            continue;
        wait.owner = owner;
        if (!ca_waits_set(&tasks->waits, tasks->list.data[i].wait, &wait))
            holders->failed = true;
    }
}

bool ca_go_holders_find(struct ca_go *go, struct ca_tasks *tasks)
{
    struct holders holders = {.go = go, .tasks = tasks};
    run(&holders);
    ca_map_deinit(&holders.unlocks);
    ca_map_deinit(&holders.taken);
    ca_map_deinit(&holders.defers);
    ca_map_deinit(&holders.writers);
    ca_map_deinit(&holders.readers);
    ca_map_deinit(&holders.claimers);
    return !holders.failed;
}
