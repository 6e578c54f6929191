#include "runtimes/tasks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

void ca_tasks_deinit(struct ca_tasks *tasks)
{
    ca_vec_deinit(&tasks->list);
    ca_waits_deinit(&tasks->waits);
    ca_vec_deinit(&tasks->sites);
    ca_vec_deinit(&tasks->labels);
    ca_vec_deinit(&tasks->notes);
    ca_vec_deinit(&tasks->regs);
    ca_vec_deinit(&tasks->reg_values);
    ca_stacks_deinit(&tasks->stacks);
    ca_strings_deinit(&tasks->strings);
    ca_map_deinit(&tasks->site_index);
}

uint32_t ca_tasks_site(struct ca_tasks *tasks, const struct ca_site *site)
{
    uint64_t key = site->pc;
    if (!key)
        key = ca_hash_u64((uintptr_t)site->function) ^ ca_hash_u64((uintptr_t)site->file + 1) ^
              site->line;
    uint64_t *slot = ca_map_put(&tasks->site_index, key, NULL);
    if (!slot)
        return CA_NONE;
    if (!*slot) {
        if (tasks->sites.len >= CA_NONE - 1 || !ca_vec_push(&tasks->sites, *site))
            return CA_NONE;
        *slot = tasks->sites.len;
    }
    return (uint32_t)*slot - 1;
}

bool ca_tasks_note(struct ca_tasks *tasks, uint32_t task, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *interned = ca_strings_intern(&tasks->strings, text, sizeof(text));
    return interned && ca_vec_push(&tasks->notes, (struct ca_note){task, interned});
}

bool ca_tasks_save_regs(struct ca_tasks *tasks, uint32_t task, const struct ca_regs *regs)
{
    struct ca_saved_regs saved = {task, regs->known, tasks->reg_values.len};
    if (!ca_vec_reserve(&tasks->reg_values, CA_REGS_MAX))
        return false;
    uint64_t *to = tasks->reg_values.data + saved.first;
    for (unsigned i = 0; i < CA_REGS_MAX && regs->known >> i; i++)
        if (regs->known >> i & 1)
            *to++ = regs->value[i];
    tasks->reg_values.len = (size_t)(to - tasks->reg_values.data);
    return ca_vec_push(&tasks->regs, saved);
}

static int compare_regs(const void *a, const void *b)
{
    const struct ca_saved_regs *x = a, *y = b;
    return x->task < y->task ? -1 : x->task > y->task;
}

bool ca_tasks_saved_regs(const struct ca_tasks *tasks, uint32_t task, struct ca_regs *ret)
{
    memset(ret, 0, sizeof(*ret));
    struct ca_saved_regs key = {.task = task};
    const struct ca_saved_regs *saved = NULL;
    if (tasks->regs.len)
        saved = bsearch(&key, tasks->regs.data, tasks->regs.len, sizeof(*tasks->regs.data),
                        compare_regs);
    if (!saved)
        return false;
    ret->known = saved->known;
    size_t next = saved->first;
    for (unsigned i = 0; i < CA_REGS_MAX; i++)
        if (saved->known >> i & 1)
            ret->value[i] = tasks->reg_values.data[next++];
    return true;
}

/* What a task is sorted by, and where it was. */
struct order {
    uint64_t number;
    uint32_t runtime, index;
};

static int compare(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->runtime != y->runtime)
        return x->runtime < y->runtime ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int compare_note(const void *a, const void *b, void *arg)
{
    (void)arg;
    const struct ca_note *x = a, *y = b;
    return x->task < y->task ? -1 : x->task > y->task;
}

static int compare_label(const void *a, const void *b, void *arg)
{
    (void)arg;
    const struct ca_label *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* Runtimes list their tasks almost in order: inserting is then cheaper than sorting. false: it was
 * not almost in order. */
static bool insert_all(struct order *order, size_t count)
{
    size_t moves = count * 4;
    for (size_t i = 1; i < count; i++) {
        struct order one = order[i];
        size_t at = i;
        for (; at && compare(&one, &order[at - 1]) < 0; at--) {
            if (!moves--) {
                order[at] = one;
                return false;
            }
            order[at] = order[at - 1];
        }
        order[at] = one;
    }
    return true;
}

/* Moves every task to its place, along the cycles of the permutation. Uses up the order. */
static void move_all(struct ca_task *list, struct order *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (order[i].index == i)
            continue;
        struct ca_task first = list[i];
        size_t at = i, from;
        while ((from = order[at].index) != i) {
            list[at] = list[from];
            order[at].index = (uint32_t)at;
            at = from;
        }
        list[at] = first;
        order[at].index = (uint32_t)at;
    }
}

static void renumber(struct ca_tasks *tasks, const uint32_t *place)
{
    for (size_t i = 0; i < tasks->notes.len; i++)
        tasks->notes.data[i].task = place[tasks->notes.data[i].task];
    for (size_t i = 0; i < tasks->labels.len; i++)
        tasks->labels.data[i].task = place[tasks->labels.data[i].task];
    for (size_t i = 0; i < tasks->regs.len; i++)
        tasks->regs.data[i].task = place[tasks->regs.data[i].task];
    ca_waits_renumber(&tasks->waits, place);
}

static bool reorder(struct ca_tasks *tasks)
{
    size_t count = tasks->list.len;
    struct order *order = malloc(count * sizeof(*order));
    uint32_t *place = malloc(count * sizeof(*place));
    bool ok = order && place;
    if (ok) {
        for (size_t i = 0; i < count; i++)
            order[i] = (struct order){tasks->list.data[i].number, tasks->list.data[i].runtime,
                                      (uint32_t)i};
        /* Lists at whose front new tasks are put. */
        if (compare(&order[0], &order[count - 1]) > 0)
            for (size_t i = 0; i < count / 2; i++) {
                struct order swap = order[i];
                order[i] = order[count - 1 - i];
                order[count - 1 - i] = swap;
            }
        if (!insert_all(order, count))
            qsort(order, count, sizeof(*order), compare);
        for (size_t i = 0; i < count; i++)
            place[order[i].index] = (uint32_t)i;
        renumber(tasks, place);
        move_all(tasks->list.data, order, count);
    }
    free(order);
    free(place);
    return ok;
}

static bool sorted(const struct ca_tasks *tasks)
{
    for (size_t i = 1; i < tasks->list.len; i++) {
        const struct ca_task *x = &tasks->list.data[i - 1], *y = x + 1;
        if (x->runtime > y->runtime || (x->runtime == y->runtime && x->number > y->number))
            return false;
    }
    return true;
}

/* They were saved in the order in which the tasks were found: often that of the ids or its reverse.
 */
static void sort_regs(struct ca_tasks *tasks)
{
    struct ca_saved_regs *data = tasks->regs.data;
    size_t count = tasks->regs.len;
    bool up = true;
    if (count && data[0].task > data[count - 1].task)
        for (size_t i = 0; i < count / 2; i++) {
            struct ca_saved_regs swap = data[i];
            data[i] = data[count - 1 - i];
            data[count - 1 - i] = swap;
        }
    for (size_t i = 1; i < count && up; i++)
        up = data[i - 1].task <= data[i].task;
    if (!up)
        qsort(data, count, sizeof(*data), compare_regs);
}

void ca_tasks_sort_notes(struct ca_tasks *tasks)
{
    if (tasks->notes.len)
        qsort_r(tasks->notes.data, tasks->notes.len, sizeof(struct ca_note), compare_note, NULL);
}

bool ca_tasks_sort(struct ca_tasks *tasks)
{
    if (tasks->list.len && !sorted(tasks) && !reorder(tasks))
        return false;
    ca_tasks_sort_notes(tasks);
    if (tasks->labels.len)
        qsort_r(tasks->labels.data, tasks->labels.len, sizeof(struct ca_label), compare_label,
                NULL);
    sort_regs(tasks);
    return true;
}
