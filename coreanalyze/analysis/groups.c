#include "analysis/groups.h"

#include <string.h>

void ca_groups_deinit(struct ca_groups *groups)
{
    ca_vec_deinit(&groups->list);
    ca_vec_deinit(&groups->members);
    ca_vec_deinit(&groups->evidence);
}

static uint64_t group_key(const struct ca_task *task, uint32_t site)
{
    uint64_t key = (uint64_t)site << 32 | task->created;
    key = ca_hash_u64(key) ^ (uintptr_t)task->reason;
    return ca_hash_u64(key + ((uint64_t)task->verdict << 16 | (uint64_t)task->rule << 8 |
                              task->proof | (uint64_t)task->runtime << 24));
}

static void add_member(struct ca_group *group, const struct ca_task *task)
{
    group->count++;
    if (task->since_ns != CA_UNKNOWN && task->since_ns > group->oldest_ns)
        group->oldest_ns = task->since_ns;
    /* Of a broken target these may be anything. */
    if (task->stack_high > task->stack_low &&
        __builtin_add_overflow(group->stack_bytes, task->stack_high - task->stack_low,
                               &group->stack_bytes))
        group->stack_bytes = INT64_MAX;
}

static bool assign(struct ca_groups *groups, struct ca_tasks *tasks, const struct ca_sites *sites,
                   struct ca_map *index)
{
    for (size_t i = 0; i < tasks->list.len; i++) {
        struct ca_task *task = &tasks->list.data[i];
        uint32_t site = ca_sites_key(sites, task);
        uint64_t *slot = ca_map_put(index, group_key(task, site), NULL);
        if (!slot)
            return false;
        if (!*slot) {
            struct ca_group group = {.verdict = task->verdict,
                                     .rule = task->rule,
                                     .proof = task->proof,
                                     .reason = task->reason,
                                     .site_key = site,
                                     .created = task->created,
                                     .oldest_ns = CA_UNKNOWN,
                                     .heap_bytes = CA_UNKNOWN};
            if (!ca_vec_push(&groups->list, group))
                return false;
            *slot = groups->list.len;
        }
        task->group = (uint32_t)*slot - 1;
        add_member(&groups->list.data[task->group], task);
    }
    return true;
}

/* Worst verdict first, then largest, then by the number of the first member: never by chance. */
static int compare(const void *a, const void *b, void *arg)
{
    const struct ca_group *list = ((const struct ca_groups *)arg)->list.data;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    if (list[i].verdict != list[j].verdict)
        return list[i].verdict < list[j].verdict ? -1 : 1;
    if (list[i].count != list[j].count)
        return list[i].count > list[j].count ? -1 : 1;
    return i < j ? -1 : i > j; /* groups are made in the order of their first member */
}

static bool order(struct ca_groups *groups, struct ca_tasks *tasks)
{
    size_t count = groups->list.len;
    uint32_t *by_rank = malloc((count + 1) * sizeof(*by_rank));
    uint32_t *rank = malloc((count + 1) * sizeof(*rank));
    struct ca_group *moved = malloc((count + 1) * sizeof(*moved));
    bool ok = by_rank && rank && moved;
    if (ok) {
        for (size_t i = 0; i < count; i++)
            by_rank[i] = (uint32_t)i;
        qsort_r(by_rank, count, sizeof(*by_rank), compare, groups);
        for (size_t i = 0; i < count; i++) {
            rank[by_rank[i]] = (uint32_t)i;
            moved[i] = groups->list.data[by_rank[i]];
        }
        if (count)
            memcpy(groups->list.data, moved, count * sizeof(*moved));
        for (size_t i = 0; i < tasks->list.len; i++)
            tasks->list.data[i].group = rank[tasks->list.data[i].group];
    }
    free(by_rank);
    free(rank);
    free(moved);
    return ok;
}

static bool list_members(struct ca_groups *groups, const struct ca_tasks *tasks)
{
    if (tasks->list.len && !ca_vec_reserve(&groups->members, tasks->list.len))
        return false;
    size_t first = 0;
    for (size_t i = 0; i < groups->list.len; i++) {
        groups->list.data[i].first = first;
        first += groups->list.data[i].count;
        groups->list.data[i].count = 0;
    }
    for (size_t i = 0; i < tasks->list.len; i++) {
        struct ca_group *group = &groups->list.data[tasks->list.data[i].group];
        groups->members.data[group->first + group->count++] = i;
    }
    groups->members.len = tasks->list.len;
    return true;
}

static uint64_t site_rule(const struct ca_group *group)
{
    return (uint64_t)group->site_key << 8 | group->rule;
}

static bool count_sites(struct ca_groups *groups)
{
    struct ca_map counts = {0};
    bool ok = true;
    for (size_t i = 0; i < groups->list.len && ok; i++) {
        uint64_t *count = ca_map_put(&counts, site_rule(&groups->list.data[i]), NULL);
        if ((ok = count != NULL))
            *count += groups->list.data[i].count;
    }
    for (size_t i = 0; i < groups->list.len && ok; i++)
        groups->list.data[i].at_site = *ca_map_get(&counts, site_rule(&groups->list.data[i]));
    ca_map_deinit(&counts);
    return ok;
}

bool ca_groups_make(struct ca_groups *groups, struct ca_tasks *tasks, const struct ca_sites *sites)
{
    struct ca_map index = {0};
    groups->list.len = groups->members.len = groups->evidence.len = 0;
    bool ok = assign(groups, tasks, sites, &index) && order(groups, tasks) &&
              list_members(groups, tasks) && count_sites(groups);
    ca_map_deinit(&index);
    return ok;
}
