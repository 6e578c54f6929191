/* The semaphore table: which goroutine waits on which semaphore word. runtime/sema.go: semTable, a
 * treap of addresses in each bucket, waiters of one address linked by waitlink.
 */
#include "runtimes/go/go.h"

#include <string.h>

enum {
    BUCKETS_MAX = 4096,
    DEPTH_MAX = 100000, /* of the treap: it is balanced by chance, not by proof */
    NODES_MAX = 64 << 20,
};

struct semaphore_walk {
    struct ca_go *go;
    CA_VEC(uint64_t) pending;
    struct ca_map seen; /* guards against cycles in broken memory */
};

static bool add(struct ca_go *go, uint64_t g, uint64_t address, uint64_t sudog)
{
    if (!ca_vec_push(&go->semaphores.list, (struct ca_go_semwait){address, sudog}))
        return false;
    uint64_t *slot = ca_map_put(&go->semaphores.by_g, g, NULL);
    uint64_t *count = ca_map_put(&go->semaphores.by_address, address, NULL);
    if (!slot || !count)
        return false;
    *slot = go->semaphores.list.len;
    ++*count;
    return true;
}

/* All that wait for the address of one treap node. false: no memory. */
static bool add_waiters(struct semaphore_walk *walk, uint64_t sudog)
{
    struct ca_go *go = walk->go;
    uint64_t address;
    if (!ca_go_read_u64(go, sudog, GO_SUDOG_ELEM, &address))
        return true;
    while (sudog && walk->seen.len < NODES_MAX) {
        bool fresh;
        uint64_t g;
        if (!ca_map_put(&walk->seen, sudog, &fresh))
            return false;
        if (!fresh || !ca_go_read_u64(go, sudog, GO_SUDOG_G, &g))
            break;
        if (!add(go, g, address, sudog))
            return false;
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_WAITLINK, &sudog))
            break;
    }
    return true;
}

static bool push_child(struct semaphore_walk *walk, uint64_t node, int field)
{
    uint64_t child;
    if (!ca_go_read_u64(walk->go, node, field, &child) || !child || walk->pending.len > DEPTH_MAX ||
        ca_map_get(&walk->seen, child))
        return true;
    return ca_vec_push(&walk->pending, child);
}

static bool walk_bucket(struct semaphore_walk *walk, uint64_t root)
{
    uint64_t treap;
    if (!ca_go_read_u64(walk->go, root, GO_SEMAROOT_TREAP, &treap) || !treap)
        return true;
    walk->pending.len = 0;
    if (!ca_vec_push(&walk->pending, treap))
        return false;
    while (walk->pending.len) {
        uint64_t node = walk->pending.data[--walk->pending.len];
        if (ca_map_get(&walk->seen, node))
            continue;
        if (!add_waiters(walk, node) || !push_child(walk, node, GO_SUDOG_PREV) ||
            !push_child(walk, node, GO_SUDOG_NEXT))
            return false;
    }
    return true;
}

bool ca_go_semaphores_read(struct ca_go *go)
{
    int32_t count = go->layout.at[GO_SEMTABLE_COUNT], stride = go->layout.at[GO_SEMTABLE_STRIDE];
    struct semaphore_walk walk = {.go = go};
    bool ok = true;
    if (!go->globals.semtable || count <= 0 || count > BUCKETS_MAX || stride <= 0)
        return true;
    for (int32_t i = 0; i < count && ok; i++)
        ok = walk_bucket(&walk, go->globals.semtable + (uint64_t)i * (uint64_t)stride);
    ca_vec_deinit(&walk.pending);
    ca_map_deinit(&walk.seen);
    return ok;
}
