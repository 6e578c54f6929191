#include "analysis/explain.h"

#include <inttypes.h>
#include <string.h>

enum { TARGETS_MAX = 65536, VALUES = 256 };

/* An object that was reached. */
struct node {
    uint32_t region, slot;
    uint32_t parent; /* node, or CA_NONE: from a root */
    uint32_t from;   /* word in the parent, or index in roots */
};

/* A word outside the heap that led to an object. */
struct root {
    uint64_t address;
    struct ca_root root;
    uint32_t task; /* CA_NONE: of no task */
    uint32_t via;  /* node by which that task was woken; CA_NONE */
    bool special;
};

/* A word that only looks like a pointer: it may be stale, so that whatever else leads there says
 * more to a person. */
struct doubt {
    uint64_t value;
    struct root root;
};

struct search {
    struct ca_prover *prover;
    CA_VEC(struct doubt) doubts;
    uint64_t *seen;
    CA_VEC(struct node) nodes;
    CA_VEC(struct root) roots;
    uint64_t *targets;
    size_t target_count;
    uint8_t *woken; /* by task */
    uint32_t task, via;
    bool special;
    uint32_t found; /* node */
    bool failed;
};

static bool is_target(const struct search *search, const struct ca_place *place)
{
    for (size_t i = 0; i < search->target_count; i++) {
        struct ca_place at;
        if (ca_mark_find(&search->prover->mark, search->targets[i], &at) &&
            at.region == place->region && at.slot == place->slot)
            return true;
    }
    return false;
}

static bool is_opaque(const struct search *search, uint64_t number)
{
    return ca_mark_bit(search->prover->mark.opaque, number);
}

/* Takes an object into the search, once. */
static void visit(struct search *search, uint64_t address, uint32_t parent, uint32_t from,
                  const struct root *root)
{
    const struct ca_mark *mark = &search->prover->mark;
    struct ca_place place;
    if (search->found != CA_NONE || !ca_mark_find(mark, address, &place))
        return;
    uint64_t number = ca_mark_number(mark, &place), bit = (uint64_t)1 << (number % 64);
    const struct ca_region *region = &mark->heap->regions.data[place.region];
    if (search->seen[number / 64] & bit || (region->watched && is_opaque(search, number)))
        return;
    search->seen[number / 64] |= bit;
    if (root) {
        from = (uint32_t)search->roots.len;
        if (!ca_vec_push(&search->roots, *root))
            search->failed = true;
    }
    if (search->nodes.len >= CA_NONE - 1 ||
        !ca_vec_push(&search->nodes, (struct node){.region = place.region,
                                                   .slot = place.slot,
                                                   .parent = parent,
                                                   .from = from}))
        search->failed = true;
    else if (is_target(search, &place))
        search->found = (uint32_t)search->nodes.len - 1;
}

static void visit_root(void *arg, const struct ca_root *root, const struct ca_word *words,
                       size_t count)
{
    struct search *search = arg;
    for (size_t i = 0; i < count; i++) {
        struct root one = {.address = words[i].address,
                           .root = *root,
                           .task = search->task,
                           .via = search->via,
                           .special = search->special};
        if (!ca_root_is_guess(root))
            visit(search, words[i].value, CA_NONE, 0, &one);
        else if (search->found == CA_NONE &&
                 ca_mark_find(&search->prover->mark, words[i].value, &(struct ca_place){0}) &&
                 !ca_vec_push(&search->doubts, (struct doubt){words[i].value, one}))
            search->failed = true;
    }
}

static void visit_task(struct search *search, uint32_t task, uint32_t via)
{
    struct ca_root_sink sink = {.add = visit_root, .arg = search};
    if (search->woken[task])
        return;
    search->woken[task] = 1;
    search->task = task;
    search->via = via;
    search->prover->heap->ops->task_roots(search->prover->heap, task, &sink);
    search->task = search->via = CA_NONE;
}

static void visit_special(struct search *search, const struct ca_special *special, uint32_t via)
{
    struct ca_root root = {.kind = CA_ROOT_RUNTIME,
                           .name = special->kind == CA_SPECIAL_WEAK ? "weak pointer"
                                                                    : "finalizer or cleanup"};
    search->via = via;
    search->special = true;
    for (size_t i = 0; i < 3; i++)
        if (special->values[i])
            visit_root(search, &root, &(struct ca_word){special->object, special->values[i]}, 1);
    search->via = CA_NONE;
    search->special = false;
}

/* Who is told when this object is reached? */
static void hear(struct search *search, uint32_t index)
{
    const struct ca_mark *mark = &search->prover->mark;
    const struct node *node = &search->nodes.data[index];
    const struct ca_region *region = &mark->heap->regions.data[node->region];
    if (!region->watched)
        return;
    const struct ca_watch *watch = NULL;
    uint64_t number = region->first + node->slot;
    while ((watch = ca_mark_watches(mark, number, watch)))
        if (watch->is_special)
            visit_special(search, &mark->heap->specials.data[watch->index], index);
        else
            visit_task(search, watch->index, index);
}

static void expand(struct search *search, uint32_t index)
{
    struct ca_heap *heap = search->prover->heap;
    struct node node = search->nodes.data[index];
    const struct ca_region *region = &heap->regions.data[node.region];
    uint64_t values[VALUES], from = 0;
    uint32_t offsets[VALUES];
    bool exact = true;
    while (!region->no_scan && from < region->size && search->found == CA_NONE) {
        uint64_t before = from;
        size_t n = heap->ops->scan(heap, region, node.slot, &from, values, offsets, VALUES, &exact);
        for (size_t i = 0; i < n; i++)
            visit(search, values[i], index, offsets[i], NULL);
        if (from <= before)
            break;
    }
    hear(search, index);
}

/* From what was visited first, nearest first; then from the words that may be stale. */
static void expand_all(struct search *search)
{
    size_t i = 0, doubt = 0;
    do {
        for (; i < search->nodes.len && search->found == CA_NONE && !search->failed; i++)
            expand(search, (uint32_t)i);
        for (; doubt < search->doubts.len && search->found == CA_NONE; doubt++) {
            const struct doubt one = search->doubts.data[doubt];
            visit(search, one.value, CA_NONE, 0, &one.root);
        }
    } while (i < search->nodes.len && search->found == CA_NONE && !search->failed);
}

static void run(struct search *search)
{
    struct ca_prover *prover = search->prover;
    struct ca_root_sink sink = {.add = visit_root, .arg = search};
    /* They are reached through globals of the runtime, which say nothing to a person. */
    if (prover->heap->ops->timers)
        prover->heap->ops->timers(prover->heap, &sink);
    prover->heap->ops->roots(prover->heap, &sink);
    for (size_t i = 0; i < prover->tasks->list.len && search->found == CA_NONE; i++)
        if (prover->tasks->list.data[i].runtime == prover->heap->runtime->index &&
            prover->status[i] == CA_PROVER_ROOT)
            visit_task(search, (uint32_t)i, CA_NONE);
    expand_all(search);
}

/* ---- the way back ------------------------------------------------------------------------ */

typedef CA_VEC(struct ca_hop) hops;

static struct ca_hop hop_of(const struct search *search, const struct node *node)
{
    const struct ca_region *regions = search->prover->heap->regions.data;
    struct ca_hop hop = {.region = &regions[node->region],
                         .slot = node->slot,
                         .task = CA_NONE,
                         .offset = CA_UNKNOWN};
    if (node->parent == CA_NONE) {
        const struct root *root = &search->roots.data[node->from];
        hop.root = &root->root;
        hop.task = root->task;
        hop.address = root->address;
        return hop;
    }
    const struct node *parent = &search->nodes.data[node->parent];
    const struct ca_region *region = &regions[parent->region];
    hop.offset = (int64_t)node->from * 8;
    hop.address = region->start + parent->slot * region->size + (uint64_t)hop.offset;
    return hop;
}

/* From what was found to the root, then turned round. */
static bool collect(const struct search *search, hops *ret)
{
    uint32_t at = search->found;
    while (at != CA_NONE) {
        const struct node *node = &search->nodes.data[at];
        if (!ca_vec_push(ret, hop_of(search, node)))
            return false;
        at = node->parent == CA_NONE ? search->roots.data[node->from].via : node->parent;
    }
    for (size_t i = 0, j = ret->len; i + 1 < j; i++) {
        struct ca_hop hop = ret->data[i];
        ret->data[i] = ret->data[--j];
        ret->data[j] = hop;
    }
    return true;
}

/* The address that it waits for in this object. */
static uint64_t waits_in(const struct search *search, const struct ca_hop *hop)
{
    for (size_t i = 0; i < search->target_count; i++) {
        struct ca_place place;
        if (ca_mark_find(&search->prover->mark, search->targets[i], &place) &&
            &search->prover->heap->regions.data[place.region] == hop->region &&
            place.slot == hop->slot)
            return search->targets[i];
    }
    return 0;
}

static uint64_t object_of(const struct ca_hop *hop)
{
    return hop->region ? hop->region->start + hop->slot * hop->region->size + hop->header : 0;
}

/* A hop is a step, a root's two: the word, and the object that it leads to. */
static bool add_steps(const hops *list, struct ca_steps *ret)
{
    for (size_t i = 0; i < list->len; i++) {
        const struct ca_hop *hop = &list->data[i];
        struct ca_step step = {.address = hop->root ? hop->address : object_of(hop),
                               .name = hop->name,
                               .type = hop->type,
                               .function = hop->function,
                               .line = hop->line,
                               .offset = hop->offset,
                               .root = i == 0,
                               .task = hop->task};
        if (hop->root && !hop->address)
            step.address = hop->waits;
        if (!hop->root && !hop->type)
            step.type = hop->object;
        if (i > 0 && list->data[i - 1].inner) /* of an object that is not shown */
            step.offset = CA_UNKNOWN;
        else if (!hop->root)
            step.offset -= list->data[i - 1].header;
        if (!hop->inner && !ca_vec_push(&ret->list, step))
            return false;
        struct ca_step object = {
            .address = object_of(hop), .type = hop->object, .offset = CA_UNKNOWN, .task = CA_NONE};
        if (hop->root && hop->region && !ca_vec_push(&ret->list, object))
            return false;
        struct ca_step part = {.address = hop->waits,
                               .name = hop->part,
                               .type = hop->part_type,
                               .offset = (int64_t)(hop->waits - object_of(hop)),
                               .task = CA_NONE};
        if (hop->part_type && !ca_vec_push(&ret->list, part))
            return false;
    }
    return true;
}

static bool is_channel(const struct search *search, uint32_t task)
{
    const struct ca_tasks *tasks = search->prover->tasks;
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, &tasks->list.data[task], &room);
    enum ca_wait_kind kind = wait ? wait->kind : CA_WAIT_UNKNOWN;
    return kind == CA_WAIT_CHANNEL || kind == CA_WAIT_SELECT || kind == CA_WAIT_TIMER;
}

static bool describe(const struct search *search, uint32_t task, hops *list, struct ca_steps *ret)
{
    struct ca_heap *heap = search->prover->heap;
    struct ca_hop *last = list->len ? &list->data[list->len - 1] : NULL;
    if (!last)
        return true;
    if (last->region)
        last->waits = waits_in(search, last);
    last->channel = is_channel(search, task);
    if (heap->ops->describe_route)
        heap->ops->describe_route(heap, &search->prover->tasks->strings, list->data, list->len);
    return add_steps(list, ret);
}

/* What it waits for is in no object of the heap: a global, or on a stack. */
static bool outside(const struct search *search, hops *ret)
{
    static const struct ca_root global = {.kind = CA_ROOT_GLOBAL, .frame = CA_NONE, .exact = true};
    for (size_t i = 0; i < search->target_count; i++) {
        struct ca_place place;
        struct ca_hop hop = {
            .root = &global, .waits = search->targets[i], .task = CA_NONE, .offset = CA_UNKNOWN};
        if (!ca_mark_find(&search->prover->mark, search->targets[i], &place))
            return ca_vec_push(ret, hop);
    }
    return true;
}

static bool open_search(struct search *search, struct ca_prover *prover, uint32_t task)
{
    struct ca_heap *heap = prover->heap;
    *search = (struct search){.prover = prover, .found = CA_NONE, .task = CA_NONE, .via = CA_NONE};
    search->targets = malloc(TARGETS_MAX * sizeof(*search->targets));
    search->seen = calloc(heap->slots / 64 + 1, sizeof(uint64_t));
    search->woken = calloc(prover->tasks->list.len + 1, 1);
    search->failed = !search->targets || !search->seen || !search->woken;
    if (!search->failed && prover->tasks->list.data[task].wait != CA_NONE) {
        search->target_count = heap->ops->waits_on(heap, task, search->targets, TARGETS_MAX);
        if (search->target_count == SIZE_MAX)
            search->target_count = 0;
    }
    /* Its own stack proves nothing. */
    if (!search->failed)
        search->woken[task] = 1;
    return !search->failed && search->target_count > 0;
}

static struct ca_error *close_search(struct search *search)
{
    free(search->targets);
    free(search->seen);
    free(search->woken);
    ca_vec_deinit(&search->nodes);
    ca_vec_deinit(&search->roots);
    ca_vec_deinit(&search->doubts);
    return search->failed ? &ca_error_nomem : NULL;
}

struct ca_error *ca_explain_path(struct ca_prover *prover, uint32_t task, struct ca_steps *ret)
{
    struct search search;
    hops list = {0};
    ret->list.len = 0;
    if (open_search(&search, prover, task)) {
        search.failed = !outside(&search, &list);
        if (list.len == 0)
            run(&search);
        search.failed =
            search.failed || !collect(&search, &list) || !describe(&search, task, &list, ret);
    }
    ca_vec_deinit(&list);
    return close_search(&search);
}

/* ---- who holds it, too ------------------------------------------------------------------- */

struct holding {
    struct search *search;
    bool holds;
};

static void look_at(void *arg, const struct ca_root *root, const struct ca_word *words,
                    size_t count)
{
    struct holding *holding = arg;
    const struct ca_mark *mark = &holding->search->prover->mark;
    (void)root;
    for (size_t i = 0; i < count && !holding->holds; i++) {
        struct ca_place place;
        holding->holds =
            ca_mark_find(mark, words[i].value, &place) && is_target(holding->search, &place);
    }
}

/* Does a task wait for what is searched? */
static bool is_fellow(const struct search *search, uint32_t task, uint64_t *objects)
{
    struct ca_heap *heap = search->prover->heap;
    size_t count = heap->ops->waits_on(heap, task, objects, TARGETS_MAX);
    for (size_t i = 0; count != SIZE_MAX && i < count; i++)
        for (size_t j = 0; j < search->target_count; j++)
            if (objects[i] == search->targets[j])
                return true;
    return false;
}

static bool find_direct(struct search *search, uint32_t task, struct ca_holders *ret,
                        size_t *fellows)
{
    struct ca_prover *prover = search->prover;
    uint64_t *objects = malloc(TARGETS_MAX * sizeof(*objects));
    bool ok = objects != NULL;
    for (uint32_t i = 0; ok && i < prover->tasks->list.len; i++) {
        struct holding holding = {.search = search};
        struct ca_root_sink sink = {.add = look_at, .arg = &holding};
        if (i == task || prover->status[i] != CA_PROVER_CANDIDATE)
            continue;
        bool fellow = is_fellow(search, i, objects);
        if (!fellow)
            prover->heap->ops->task_roots(prover->heap, i, &sink);
        if (fellow || holding.holds)
            ok = ca_vec_push(&ret->list, (struct ca_holder){i, 0, fellow});
        *fellows += fellow;
    }
    free(objects);
    return ok;
}

/* One that reaches it through other objects. */
static bool find_indirect(struct search *search, struct ca_holders *ret)
{
    struct ca_prover *prover = search->prover;
    uint32_t distance = 0;
    for (uint32_t i = 0; i < prover->tasks->list.len && search->found == CA_NONE; i++)
        if (prover->status[i] == CA_PROVER_CANDIDATE)
            visit_task(search, i, CA_NONE);
    expand_all(search);
    if (search->found == CA_NONE)
        return true;
    const struct node *node = &search->nodes.data[search->found];
    for (; node->parent != CA_NONE; distance++)
        node = &search->nodes.data[node->parent];
    uint32_t task = search->roots.data[node->from].task;
    return task == CA_NONE || ca_vec_push(&ret->list, (struct ca_holder){task, distance, false});
}

struct ca_error *ca_explain_holders(struct ca_prover *prover, uint32_t task, struct ca_holders *ret)
{
    struct search search;
    size_t fellows = 0;
    ret->list.len = 0;
    if (open_search(&search, prover, task)) {
        search.failed = !find_direct(&search, task, ret, &fellows);
        for (size_t i = 0; i < ret->list.len && !search.failed; i++)
            search.woken[ret->list.data[i].task] = 1;
        if (!search.failed && fellows == ret->list.len)
            search.failed |= !find_indirect(&search, ret);
    }
    return close_search(&search);
}

struct ca_error *ca_explain_stuck(struct ca_prover *prover, uint32_t task, size_t *ret)
{
    struct search search;
    struct ca_holders holders = {0};
    size_t fellows = 0;
    if (open_search(&search, prover, task))
        search.failed = !find_direct(&search, task, &holders, &fellows);
    *ret = holders.list.len - fellows;
    ca_vec_deinit(&holders.list);
    return close_search(&search);
}
