/* Circles of owners, where the runtime records who owns what. Each task waits for one owner at
 * most, so this is a graph of single arrows: following them once over all tasks is linear.
 */
#include "analysis/proof.h"

enum colour {
    NEW,
    ON_PATH,
    FREE, /* somebody outside the circles can release it */
    STUCK,
};

struct deadlock {
    struct ca_runtime *const *runtimes;
    size_t count;
    struct ca_tasks *tasks;
    uint8_t *colours;
};

/* The task that alone can release what this one waits for, or CA_NONE. */
static uint32_t owner_of(const struct deadlock *deadlock, uint32_t index)
{
    const struct ca_task *task = &deadlock->tasks->list.data[index];
    if (task->state != CA_STATE_WAITING || task->runtime >= deadlock->count ||
        !deadlock->runtimes[task->runtime]->owners ||
        (task->flags & (CA_TASK_SYSTEM | CA_TASK_PROOF_ROOT)))
        return CA_NONE;
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(deadlock->tasks, task, &room);
    if (!wait)
        return CA_NONE;
    bool owned =
        wait->kind == CA_WAIT_MUTEX || wait->kind == CA_WAIT_RWMUTEX || wait->kind == CA_WAIT_JOIN;
    if (!owned || wait->ends_by_timer || wait->deadline_ns != CA_UNKNOWN ||
        wait->owner >= deadlock->tasks->list.len ||
        deadlock->tasks->list.data[wait->owner].runtime != task->runtime)
        return CA_NONE;
    return wait->owner;
}

static uint8_t end_of(const struct deadlock *deadlock, uint32_t task)
{
    return deadlock->tasks->list.data[task].verdict == CA_VERDICT_LEAKED ? STUCK : FREE;
}

/* Follows the owners from start until something known, then colours the way back. */
static void follow(struct deadlock *deadlock, uint32_t start)
{
    uint32_t at = start;
    uint8_t end;
    for (;;) {
        if (deadlock->colours[at] != NEW) {
            end = deadlock->colours[at] == ON_PATH ? STUCK : deadlock->colours[at];
            break;
        }
        uint32_t owner = owner_of(deadlock, at);
        if (owner == CA_NONE) {
            end = deadlock->colours[at] = end_of(deadlock, at);
            break;
        }
        deadlock->colours[at] = ON_PATH;
        at = owner;
    }
    for (at = start; deadlock->colours[at] == ON_PATH; at = owner_of(deadlock, at))
        deadlock->colours[at] = end;
}

bool ca_deadlock_run(struct ca_runtime *const *runtimes, size_t count, struct ca_tasks *tasks)
{
    struct deadlock deadlock = {.runtimes = runtimes, .count = count, .tasks = tasks};
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= runtimes[i]->owners;
    if (!any)
        return true;
    deadlock.colours = calloc(tasks->list.len + 1, 1);
    if (!deadlock.colours)
        return false;
    for (size_t i = 0; i < tasks->list.len; i++)
        follow(&deadlock, (uint32_t)i);
    for (size_t i = 0; i < tasks->list.len; i++) {
        struct ca_task *task = &tasks->list.data[i];
        if (deadlock.colours[i] != STUCK || task->verdict == CA_VERDICT_LEAKED)
            continue;
        task->verdict = CA_VERDICT_LEAKED;
        task->proof = CA_PROOF_DEADLOCK;
        task->rule = CA_RULE_NONE;
    }
    free(deadlock.colours);
    return true;
}
