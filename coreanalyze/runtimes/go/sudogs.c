/* By which queue entries goroutines wait. runtime/runtime2.go: g.waiting, sudog. */
#include "runtimes/go/go.h"

enum { SUDOGS_MAX = 65536 }; /* of one goroutine: as many cases as a select can have */

static uint64_t pack(uint64_t first, uint64_t count, unsigned flags)
{
    return (uint64_t)flags << 56 | count << 32 | first;
}

bool ca_go_sudogs_keep(struct ca_go *go, struct ca_task *task, const struct ca_go_g *g)
{
    size_t first = go->sudogs.len;
    uint64_t sudog = ca_go_u64(go, g->bytes, GO_G_WAITING), owner, seen = 0;
    bool ends = false;
    /* Memory that lies may make a chain of another's sudogs, or a circle of its own. */
    for (size_t i = 0; first < UINT32_MAX - SUDOGS_MAX && i < SUDOGS_MAX; i++) {
        if (!(ends = sudog == 0)) {
            if (sudog == seen || !ca_go_read_u64(go, sudog, GO_SUDOG_G, &owner) ||
                owner != g->address)
                break;
            if (!ca_vec_push(&go->sudogs, sudog))
                return false;
            if ((i & (i + 1)) == 0)
                seen = sudog;
        }
        if (ends || !ca_go_read_u64(go, sudog, GO_SUDOG_WAITLINK, &sudog))
            break;
    }
    task->detail[0] = pack(first, go->sudogs.len - first, ends ? CA_GO_TASK_QUEUED : 0);
    return true;
}

static unsigned stack_flags(const struct ca_go *go, const struct ca_go_g *g)
{
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS);
    unsigned flags = 0;
    if ((status & CA_GO_SCAN) || status == CA_GO_COPYSTACK)
        flags |= CA_GO_TASK_WHOLE;
    if (ca_go_u64(go, g->bytes, GO_G_BUBBLE))
        flags |= CA_GO_TASK_BUBBLE;
    return flags;
}

bool ca_go_sudogs_finish(struct ca_go *go, struct ca_task *task, const struct ca_go_g *g)
{
    size_t count, first = (uint32_t)task->detail[0];
    const uint64_t *sudogs = ca_go_task_sudogs(go, task, &count);
    unsigned flags = ca_go_task_flags(task) | stack_flags(go, g);
    for (size_t i = 0; i < count && (flags & CA_GO_TASK_QUEUED); i++)
        if (ca_go_sudog_direction(go, sudogs[i]) == CA_DIRECTION_UNKNOWN)
            flags &= ~(unsigned)CA_GO_TASK_QUEUED;
    const uint64_t *known =
        count == 0 && task->wait != CA_NONE ? ca_map_get(&go->semaphores.by_g, g->address) : NULL;
    if (known) {
        if (!ca_vec_push(&go->sudogs, go->semaphores.list.data[*known - 1].sudog))
            return false;
        count = 1;
        flags &= ~(unsigned)CA_GO_TASK_QUEUED;
    }
    task->detail[0] = pack(first, count, flags);
    return true;
}
