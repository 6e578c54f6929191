#include "analysis/sites.h"

#include <string.h>

void ca_sites_deinit(struct ca_sites *sites)
{
    ca_vec_deinit(&sites->frames.list);
    ca_vec_deinit(&sites->stacks);
    ca_map_deinit(&sites->keys);
}

/* Text is interned, so equal text is one pointer. */
static uint64_t site_hash(const struct ca_frame *frame)
{
    if (!frame->function)
        return ca_hash_u64(frame->pc);
    return ca_hash_u64((uintptr_t)frame->function) * 31 +
           ca_hash_u64((uintptr_t)frame->file + frame->line);
}

static uint32_t choose_site(const struct ca_frames *frames, size_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!frames->list.data[first + i].runtime)
            return (uint32_t)(first + i);
    return count ? (uint32_t)first : CA_NONE;
}

static struct ca_error *name_one(struct ca_sites *sites, struct ca_tasks *tasks,
                                 struct ca_runtime *runtime, uint32_t index)
{
    const struct ca_stack *stack = &tasks->stacks.list.data[index];
    struct ca_stack_names *names = &sites->stacks.data[index];
    names->first = sites->frames.list.len;
    struct ca_error *error = runtime->ops->name_stack(
        runtime, tasks, tasks->stacks.frames.data + stack->first, stack->count, &sites->frames);
    if (error)
        return error;
    names->count = (uint32_t)(sites->frames.list.len - names->first);
    names->site = choose_site(&sites->frames, names->first, names->count);
    if (names->site == CA_NONE)
        return NULL;
    uint64_t *slot =
        ca_map_put(&sites->keys, site_hash(&sites->frames.list.data[names->site]), NULL);
    if (!slot)
        return &ca_error_nomem;
    if (!*slot)
        *slot = sites->keys.len;
    names->key = (uint32_t)*slot;
    return NULL;
}

struct ca_error *ca_sites_name(struct ca_sites *sites, struct ca_tasks *tasks,
                               struct ca_runtime *const *runtimes)
{
    size_t count = tasks->stacks.list.len;
    if (count && !ca_vec_reserve(&sites->stacks, count))
        return &ca_error_nomem;
    for (size_t i = 0; i < count; i++)
        sites->stacks.data[i] = (struct ca_stack_names){.site = CA_NONE, .key = CA_NONE};
    sites->stacks.len = count;
    for (size_t i = 0; i < tasks->list.len; i++) {
        const struct ca_task *task = &tasks->list.data[i];
        if (task->stack == CA_STACK_NONE || sites->stacks.data[task->stack].count)
            continue;
        struct ca_error *error = name_one(sites, tasks, runtimes[task->runtime], task->stack);
        if (error)
            return error;
    }
    return NULL;
}

const struct ca_frame *ca_sites_frame(const struct ca_sites *sites, const struct ca_task *task)
{
    if (task->stack >= sites->stacks.len || sites->stacks.data[task->stack].site == CA_NONE)
        return NULL;
    return &sites->frames.list.data[sites->stacks.data[task->stack].site];
}
