/* The lock, wait group or condition variable around a semaphore word, and the counts in it.
 *
 * Where the word sits in its struct, 1.19 to 1.27: sync.Mutex {state i32, sema u32};
 * sync.RWMutex {w Mutex, writerSem u32, readerSem u32, ...}; sync.WaitGroup {state u64, sema u32};
 * sync.Cond {L Locker, notify {wait u32, notify u32, lock, head, tail}}, L at 0.
 */
#include "runtimes/go/go.h"

enum {
    MUTEX_SEMA = 4,
    RWMUTEX_WRITER = 8,
    RWMUTEX_READER = 12,
    WAITGROUP_SEMA = 8,
    COND_WAIT = 16,
    COND_HEAD = 32,
    CHAIN_MAX = 64 << 20,
    FRAME_WORDS_MAX = 512,
};

static void fill_waitgroup(struct ca_go *go, uint64_t address, struct ca_wait *wait)
{
    uint64_t state;
    if (!ca_target_read_u64(go->target, address, &state))
        return;
    wait->counter = (int32_t)(state >> 32);
}

/* All goroutines of a condition's chain, so that each chain is walked once. false: no memory. */
static bool walk_condition(struct ca_go *go, uint64_t cond)
{
    bool fresh;
    uint64_t sudog, g;
    if (!ca_map_put(&go->cond_seen, cond, &fresh))
        return false;
    if (!fresh || !ca_target_read_u64(go->target, cond + COND_HEAD, &sudog))
        return true;
    for (uint64_t i = 0; sudog && i < CHAIN_MAX; i++) {
        if (sudog % 8 || !ca_go_read_u64(go, sudog, GO_SUDOG_G, &g) || !g || g % 8)
            return true;
        uint64_t *slot = ca_map_put(&go->cond_of_g, g, &fresh);
        if (!slot)
            return false;
        if (!fresh && *slot == cond)
            return true; /* a cycle */
        *slot = cond;
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_NEXT, &sudog))
            return true;
    }
    return true;
}

/* The condition is an argument of sync.(*Cond).Wait: one of the words of its frame. */
static bool find_condition(struct ca_go *go, const struct ca_go_g *g,
                           const struct ca_go_frames *frames, int frame, uint64_t *ret)
{
    *ret = 0;
    uint64_t *known = ca_map_get(&go->cond_of_g, g->address);
    if (known) {
        *ret = *known;
        return true;
    }
    if (frame < 0 || (size_t)frame + 1 >= frames->list.len)
        return true;
    uint64_t at = frames->list.data[frame].sp;
    /* With two words of the caller's: where arguments are spilled. */
    uint64_t end = frames->list.data[frame + 1].sp + 16;
    for (int i = 0; at < end && i < FRAME_WORDS_MAX; at += 8, i++) {
        uint64_t word;
        if (!ca_target_read_u64(go->target, at, &word) || word < 4096 || word % 8)
            continue;
        if (!walk_condition(go, word))
            return false;
        if ((known = ca_map_get(&go->cond_of_g, g->address))) {
            *ret = *known;
            return true;
        }
    }
    return true;
}

static bool fill_condition(struct ca_go *go, const struct ca_go_g *g,
                           const struct ca_go_frames *frames, int frame, struct ca_wait *wait)
{
    uint64_t cond;
    uint32_t counts[2];
    *wait = ca_wait_unknown(CA_WAIT_COND);
    if (!find_condition(go, g, frames, frame, &cond))
        return false;
    if (!cond)
        return true;
    wait->has_address = true;
    wait->channel.address = cond;
    if (ca_target_read(go->target, cond + COND_WAIT, counts, 8))
        wait->waiters = counts[0] - counts[1];
    return true;
}

/* Struct address from the word's, by what the stack says. */
static void place(struct ca_wait *wait, enum ca_wait_kind kind, uint64_t word, uint64_t offset)
{
    wait->kind = kind;
    wait->channel.address = word - offset;
}

bool ca_go_lock_fill(struct ca_go *go, const struct ca_go_g *g, const struct ca_go_frames *frames,
                     const struct ca_go_stack_fact *fact, struct ca_wait *wait)
{
    if (fact->sync == CA_GO_SYNC_COND)
        return fill_condition(go, g, frames, fact->cond_frame, wait);
    static const uint8_t kinds[] = {
        [CA_GO_SYNC_NONE] = CA_WAIT_SEMAPHORE,   [CA_GO_SYNC_MUTEX] = CA_WAIT_MUTEX,
        [CA_GO_SYNC_RW_READ] = CA_WAIT_RWMUTEX,  [CA_GO_SYNC_RW_WRITE] = CA_WAIT_RWMUTEX,
        [CA_GO_SYNC_RW_MUTEX] = CA_WAIT_RWMUTEX, [CA_GO_SYNC_WAITGROUP] = CA_WAIT_WAITGROUP,
    };
    *wait = ca_wait_unknown(kinds[fact->sync]);
    uint64_t *slot = ca_map_get(&go->semaphores.by_g, g->address);
    if (!slot)
        return true;
    uint64_t word = go->semaphores.list.data[*slot - 1].address;
    uint64_t *waiters = ca_map_get(&go->semaphores.by_address, word);
    wait->has_address = true;
    wait->waiters = waiters ? (int64_t)*waiters : CA_UNKNOWN;
    static const uint8_t offsets[] = {
        [CA_GO_SYNC_NONE] = 0,
        [CA_GO_SYNC_MUTEX] = MUTEX_SEMA,
        [CA_GO_SYNC_RW_READ] = RWMUTEX_READER,
        [CA_GO_SYNC_RW_WRITE] = RWMUTEX_WRITER,
        [CA_GO_SYNC_RW_MUTEX] = MUTEX_SEMA,
        [CA_GO_SYNC_WAITGROUP] = WAITGROUP_SEMA,
    };
    place(wait, (enum ca_wait_kind)kinds[fact->sync], word, offsets[fact->sync]);
    if (wait->kind == CA_WAIT_WAITGROUP)
        fill_waitgroup(go, wait->channel.address, wait);
    return true;
}
