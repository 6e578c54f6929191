/* How many tasks the runtime itself says it has. */
#include <inttypes.h>

#include "runtimes/described/described.h"

static int64_t listed(const struct ca_described *self, const struct ca_tasks *tasks)
{
    int64_t count = 0;
    for (size_t i = self->first; i < tasks->list.len; i++)
        count += !(tasks->list.data[i].flags & CA_TASK_SYSTEM);
    return count;
}

static bool add(int64_t *sum, uint64_t value)
{
    return value <= INT64_MAX && !__builtin_add_overflow(*sum, (int64_t)value, sum);
}

/* What is thread-local is summed over the threads. */
static bool add_count(struct ca_described *self, struct ca_count *count, int64_t *sum)
{
    struct ca_target *target = self->base.context.target;
    struct ca_scope scope = ca_described_scope(self, 0);
    uint64_t value;
    for (size_t i = 0; i < (count->per_thread ? target->threads.len : 1); i++) {
        if (count->per_thread)
            scope.thread_pointer = target->threads.data[i].tls;
        if (!ca_tests_hold(count->when, &scope, false))
            continue;
        bool read = ca_expr_value(&count->path, &scope, &value);
        if (read ? !add(sum, value) : !count->per_thread)
            return false;
    }
    return true;
}

/* What the items of walks say. false: some could not be told. */
static bool add_walks(const struct ca_source *source, int64_t *sum, bool *any)
{
    for (; source; source = source->next) {
        *any |= source->counted.text != NULL;
        if (source->counted.text && !source->skipped &&
            (!source->counted.bound || source->uncounted || !add(sum, source->counted_sum)))
            return false;
        if (!source->skipped && !add_walks(source->each, sum, any))
            return false;
    }
    return true;
}

void ca_described_count(struct ca_described *self, const struct ca_tasks *tasks)
{
    const struct ca_description *d = &self->description;
    int64_t sum = 0, found = self->listed = listed(self, tasks);
    bool any = d->counts != NULL;
    self->base.counted = CA_UNKNOWN;
    for (struct ca_count *count = d->counts; count; count = count->next)
        if (!count->path.bound || !add_count(self, count, &sum))
            return;
    if (!add_walks(d->tasks, &sum, &any) || !any)
        return;
    self->base.counted = sum;
    if (found != sum)
        ca_gaps_add(self->base.context.gaps, self->base.name, 0,
                    "%" PRId64 " %ss were found, its own counter says %" PRId64, found,
                    self->base.task_noun, sum);
}
