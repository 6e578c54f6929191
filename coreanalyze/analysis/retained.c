/* What comes back when leaked tasks are gone: slots that only they reach.
 *
 * Dead slots get a number each (by rank in the bitmap), and a label: the group that reaches them,
 * or SHARED. A slot is visited at most twice, so this is linear in the dead memory.
 */
#include "analysis/proof.h"

#include <string.h>

#define SHARED UINT32_MAX

struct retained {
    struct ca_prover *prover;
    uint64_t *ranks;  /* dead slots before each word of the bitmap */
    uint32_t *labels; /* group + 1, by rank */
    CA_VEC(struct ca_place) work;
    uint32_t label;
    uint8_t *sharing; /* by group: it reaches what others reach too */
    bool failed;
};

static uint64_t dead_word(const struct retained *retained, size_t i)
{
    return retained->prover->all[i] & ~retained->prover->mark.bits[i];
}

static bool make_ranks(struct retained *retained)
{
    size_t words = retained->prover->heap->slots / 64 + 1;
    retained->ranks = malloc(words * sizeof(uint64_t));
    if (!retained->ranks)
        return false;
    uint64_t count = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t dead = dead_word(retained, i);
        retained->ranks[i] = count;
        count += dead ? (uint64_t)__builtin_popcountll(dead) : 0;
    }
    retained->labels = calloc(count + 1, sizeof(uint32_t));
    return retained->labels != NULL;
}

/* The label of a dead slot; NULL: it is not dead. */
static uint32_t *label_of(struct retained *retained, uint64_t number)
{
    size_t word = number / 64;
    uint64_t dead = dead_word(retained, word), bit = (uint64_t)1 << (number % 64);
    if (!(dead & bit))
        return NULL;
    uint64_t before = (uint64_t)__builtin_popcountll(dead & (bit - 1));
    return &retained->labels[retained->ranks[word] + before];
}

static void reach(struct retained *retained, uint64_t address)
{
    struct ca_place place;
    if (!ca_mark_find(&retained->prover->mark, address, &place))
        return;
    uint32_t *label = label_of(retained, ca_mark_number(&retained->prover->mark, &place));
    if (label && *label != 0 && *label != retained->label) {
        if (*label != SHARED)
            retained->sharing[*label - 1] = 1;
        if (retained->label != SHARED)
            retained->sharing[retained->label - 1] = 1;
    }
    if (!label || *label == retained->label || *label == SHARED)
        return;
    *label = *label == 0 ? retained->label : SHARED;
    if (!retained->prover->heap->regions.data[place.region].no_scan &&
        !ca_vec_push(&retained->work, place))
        retained->failed = true;
}

static void reach_root(void *arg, const struct ca_root *root, const struct ca_word *words,
                       size_t count)
{
    (void)root;
    for (size_t i = 0; i < count; i++)
        reach(arg, words[i].value);
}

/* What the task has in its hands, and its queue entries. */
static void reach_task(struct retained *retained, uint32_t task)
{
    struct ca_heap *heap = retained->prover->heap;
    struct ca_root_sink sink = {.add = reach_root, .arg = retained};
    const uint32_t *words;
    uint64_t objects[256], base;
    size_t held =
        heap->ops->task_holds ? heap->ops->task_holds(heap, task, &words, &base) : SIZE_MAX;
    if (held == SIZE_MAX)
        heap->ops->task_roots(heap, task, &sink);
    else
        for (size_t i = 0; i < held; i++)
            reach(retained, base + (uint64_t)(words[i] / 2) * 8);
    size_t count = heap->ops->task_objects(heap, task, objects, 256);
    for (size_t i = 0; i < count; i++)
        reach(retained, objects[i]);
}

static void drain(struct retained *retained)
{
    struct ca_heap *heap = retained->prover->heap;
    uint32_t own = retained->label;
    while (retained->work.len > 0 && !retained->failed) {
        struct ca_place place = retained->work.data[--retained->work.len];
        const struct ca_region *region = &heap->regions.data[place.region];
        const uint32_t *label = label_of(retained, region->first + place.slot);
        uint64_t values[256], from = 0;
        bool exact = true;
        retained->label = label ? *label : own; /* what a shared slot reaches is shared */
        while (from < region->size) {
            uint64_t before = from;
            size_t n = heap->ops->scan(heap, region, place.slot, &from, values, NULL, 256, &exact);
            for (size_t i = 0; i < n; i++)
                reach(retained, values[i]);
            if (from <= before)
                break;
        }
        retained->label = own;
    }
}

static void add_up(struct retained *retained, size_t groups, int64_t *bytes)
{
    const struct ca_heap *heap = retained->prover->heap;
    for (size_t i = 0; i < heap->regions.len; i++) {
        const struct ca_region *region = &heap->regions.data[i];
        for (uint32_t slot = 0; slot < region->count; slot++) {
            uint64_t number = region->first + slot;
            if (number % 64 == 0 && !dead_word(retained, number / 64)) {
                slot += 63;
                continue;
            }
            const uint32_t *label = label_of(retained, number);
            if (!label || *label == 0)
                continue;
            size_t at = *label == SHARED ? groups : *label - 1;
            if (at <= groups)
                bytes[at] += (int64_t)region->size;
        }
    }
}

struct ca_error *ca_retained_run(struct ca_prover *prover, size_t groups, int64_t *bytes,
                                 int64_t *shared)
{
    struct retained retained = {.prover = prover};
    struct ca_error *error = ca_prover_rest(prover);
    if (error)
        return error;
    if (!make_ranks(&retained)) {
        retained.failed = true;
        goto out;
    }
    int64_t *sums = calloc(groups + 1, sizeof(*sums));
    retained.sharing = calloc(groups + 1, 1);
    if (!sums || !retained.sharing) {
        free(sums);
        retained.failed = true;
        goto out;
    }
    for (size_t i = 0; i < prover->tasks->list.len; i++) {
        const struct ca_task *task = &prover->tasks->list.data[i];
        if (prover->status[i] != CA_PROVER_CANDIDATE || task->group >= groups)
            continue;
        retained.label = task->group + 1;
        reach_task(&retained, (uint32_t)i);
        drain(&retained);
    }
    add_up(&retained, groups, sums);
    for (size_t i = 0; i < groups; i++) {
        bytes[i] += sums[i];
        shared[i] = retained.sharing[i] ? sums[groups] : 0;
    }
    free(sums);
out:
    free(retained.sharing);
    free(retained.ranks);
    free(retained.labels);
    ca_vec_deinit(&retained.work);
    return retained.failed ? &ca_error_nomem : NULL;
}
