/* Tasks that a timer will release: rules do not count them. */
#include "analysis/proof.h"

static bool is_in(const struct ca_map *channels, const struct ca_case *one)
{
    return one->direction == CA_DIRECTION_RECEIVE && one->address &&
           ca_map_get(channels, one->address);
}

static bool is_timed(const struct ca_tasks *tasks, const struct ca_task *task,
                     const struct ca_map *channels)
{
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, task, &room);
    if (!wait || (wait->kind != CA_WAIT_CHANNEL && wait->kind != CA_WAIT_SELECT))
        return false;
    if (wait->kind == CA_WAIT_CHANNEL)
        return is_in(channels, &wait->channel);
    for (uint32_t i = 0; i < wait->case_count; i++) {
        struct ca_case one = ca_waits_case(&tasks->waits, wait->first_case + i);
        if (is_in(channels, &one))
            return true;
    }
    return false;
}

static struct ca_error *look(const struct ca_prover *prover, uint8_t *timed, bool *any)
{
    const struct ca_tasks *tasks = prover->tasks;
    struct ca_map channels = {0};
    bool ok = prover->heap->ops->timed(prover->heap, &channels);
    for (size_t i = 0; i < tasks->list.len && ok; i++)
        if (tasks->list.data[i].runtime == prover->heap->runtime->index &&
            is_timed(tasks, &tasks->list.data[i], &channels))
            timed[i] = *any = true;
    ca_map_deinit(&channels);
    return ok ? NULL : &ca_error_nomem;
}

struct ca_error *ca_proof_timed(const struct ca_provers *provers, uint8_t *timed, bool *any)
{
    struct ca_error *error = NULL;
    *any = false;
    for (size_t i = 0; i < provers->list.len && !error; i++)
        if (provers->list.data[i].proved && provers->list.data[i].heap->ops->timed)
            error = look(&provers->list.data[i], timed, any);
    return error;
}
