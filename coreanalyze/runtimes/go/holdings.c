/* What parked goroutines point at. The proof asks for it after all goroutines were read, and
 * reading a hundred thousand cold stacks and records again would be most of what it costs.
 *
 * Four bytes for each pointer into the heap: an object begins at a multiple of 8, so that (value -
 * base) / 8 finds it, and one bit says whether the word is a pointer for certain. What does not fit
 * (a heap that spans more than 16 GB) or cannot be read is not noted; the proof then reads it.
 */
#include "runtimes/go/heap.h"

#define SPAN_MAX (UINT64_C(1) << 34) /* 31 bits of 8 bytes */

enum { WORDS_MAX = 1024, SAME_MAX = 16 };

struct notes {
    uint64_t base;
    uint32_t words[WORDS_MAX];
    size_t count;
    bool full;
};

static void add(void *arg, const struct ca_root *root, const struct ca_word *words, size_t count)
{
    struct notes *notes = arg;
    for (size_t i = 0; i < count; i++) {
        uint32_t word = (uint32_t)((words[i].value - notes->base) / 8 * 2) | root->exact;
        size_t from = notes->count < SAME_MAX ? 0 : notes->count - SAME_MAX, at = from;
        while (at < notes->count && notes->words[at] != word)
            at++;
        if (at < notes->count)
            continue;
        if (notes->count == WORDS_MAX) {
            notes->full = true;
            return;
        }
        notes->words[notes->count++] = word;
    }
}

bool ca_go_holdings_begin(struct ca_go *go, struct ca_tasks *tasks)
{
    const struct ca_options *options = go->runtime.context.options;
    ca_go_heap_destroy(go->heap);
    go->heap = NULL;
    /* How much of a live target may be read is asked later. */
    if (options->no_proof || options->no_stop || !go->target->complete ||
        go->target->kind == CA_TARGET_LIVE)
        return true;
    if (!ca_go_heap_begin(go, tasks, &go->heap))
        return false;
    if (!go->heap)
        return true;
    const struct ca_region *first = &go->heap->heap.regions.data[0];
    const struct ca_region *last = first + go->heap->heap.regions.len - 1;
    go->heap->bounds = (struct ca_go_range){first->start, last->start + last->size * last->count};
    go->holdings_base = first->start;
    return true;
}

bool ca_go_holdings_note(struct ca_go *go, struct ca_tasks *tasks, uint32_t task)
{
    struct ca_go_heap *heap = go->heap;
    struct ca_task *at = &tasks->list.data[task];
    struct notes notes;
    if (!heap || heap->bounds.end - heap->bounds.start > SPAN_MAX ||
        at->state != CA_STATE_WAITING || at->stack == CA_STACK_NONE)
        return true;
    notes.base = go->holdings_base;
    notes.count = 0;
    notes.full = false;
    struct ca_root_sink sink = {
        .add = add, .arg = &notes, .low = heap->bounds.start, .high = heap->bounds.end};
    heap->quiet = true;
    ca_go_heap_task_roots(&heap->heap, task, &sink);
    bool whole = !heap->heap.broken && !notes.full;
    heap->heap.broken = heap->quiet = false;
    if (heap->failed)
        return false;
    if (!whole)
        return true;
    if (!ca_vec_reserve(&go->holdings, notes.count))
        return false;
    at->detail[1] = (uint64_t)go->holdings.len << 16 | notes.count << 1 | CA_GO_TASK_NOTED;
    for (size_t i = 0; i < notes.count; i++)
        go->holdings.data[go->holdings.len++] = notes.words[i];
    return true;
}

size_t ca_go_heap_task_holds(const struct ca_heap *base, uint32_t task, const uint32_t **words,
                             uint64_t *start)
{
    const struct ca_go *go = ca_go_of(base->runtime);
    uint64_t detail = base->tasks->list.data[task].detail[1];
    if (!(detail & CA_GO_TASK_NOTED))
        return SIZE_MAX;
    *words = go->holdings.data + (detail >> 16);
    *start = go->holdings_base;
    return detail >> 1 & 0x7fff;
}
