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

struct search {
    struct ca_prover *prover;
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
        visit(search, words[i].value, CA_NONE, 0, &one);
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

static void run(struct search *search)
{
    struct ca_prover *prover = search->prover;
    struct ca_root_sink sink = {.add = visit_root, .arg = search};
    prover->heap->ops->roots(prover->heap, &sink);
    for (size_t i = 0; i < prover->tasks->list.len && search->found == CA_NONE; i++)
        if (prover->tasks->list.data[i].runtime == prover->heap->runtime->index &&
            prover->status[i] == CA_PROVER_ROOT)
            visit_task(search, (uint32_t)i, CA_NONE);
    for (size_t i = 0; i < search->nodes.len && search->found == CA_NONE && !search->failed; i++)
        expand(search, (uint32_t)i);
}

/* ---- the way back ------------------------------------------------------------------------ */

static struct ca_step root_step(struct search *search, const struct root *root)
{
    struct ca_prover *prover = search->prover;
    struct ca_strings *strings = &prover->tasks->strings;
    struct ca_edge_info info = {.offset = CA_UNKNOWN};
    if (prover->heap->ops->describe_root)
        prover->heap->ops->describe_root(prover->heap, strings, &root->root, root->task,
                                         root->address, &info);
    struct ca_step step = {.root = root->via == CA_NONE,
                           .address = root->address,
                           .name = info.name,
                           .type = info.type,
                           .function = info.function,
                           .line = info.line,
                           .offset = info.offset,
                           .task = root->task};
    if (!step.name && root->root.name)
        step.name = ca_strings_printf(strings, "%s", root->root.name);
    return step;
}

static struct ca_step node_step(struct search *search, const struct node *node)
{
    struct ca_heap *heap = search->prover->heap;
    const struct ca_region *region = &heap->regions.data[node->region];
    struct ca_edge_info info = {0};
    if (heap->ops->describe_object)
        heap->ops->describe_object(heap, &search->prover->tasks->strings, region, node->slot,
                                   &info);
    return (struct ca_step){
        .address = region->start + node->slot * region->size,
        .name = info.name,
        .type = info.type,
        .offset = node->parent == CA_NONE ? CA_UNKNOWN : (int64_t)node->from * 8,
        .task = CA_NONE,
    };
}

static bool trace_back(struct search *search, struct ca_steps *ret)
{
    uint32_t at = search->found;
    while (at != CA_NONE) {
        const struct node *node = &search->nodes.data[at];
        if (!ca_vec_push(&ret->list, node_step(search, node)))
            return false;
        at = node->parent;
        if (at != CA_NONE)
            continue;
        const struct root *root = &search->roots.data[node->from];
        if (!ca_vec_push(&ret->list, root_step(search, root)))
            return false;
        at = root->via;
    }
    for (size_t i = 0, j = ret->list.len; i + 1 < j; i++) {
        struct ca_step step = ret->list.data[i];
        ret->list.data[i] = ret->list.data[--j];
        ret->list.data[j] = step;
    }
    return true;
}

/* What it waits for is in no object of the heap: a global, or on a stack. */
static bool outside(struct search *search, struct ca_steps *ret)
{
    for (size_t i = 0; i < search->target_count; i++) {
        struct ca_place place;
        if (ca_mark_find(&search->prover->mark, search->targets[i], &place))
            continue;
        struct root root = {.address = search->targets[i],
                            .root = {.kind = CA_ROOT_GLOBAL, .frame = CA_NONE},
                            .task = CA_NONE,
                            .via = CA_NONE};
        return ca_vec_push(&ret->list, root_step(search, &root));
    }
    return true;
}

struct ca_error *ca_explain_path(struct ca_prover *prover, uint32_t task, struct ca_steps *ret)
{
    struct search search = {.prover = prover, .found = CA_NONE, .task = CA_NONE, .via = CA_NONE};
    struct ca_heap *heap = prover->heap;
    ret->list.len = 0;
    search.targets = malloc(TARGETS_MAX * sizeof(*search.targets));
    search.seen = calloc(heap->slots / 64 + 1, sizeof(uint64_t));
    search.woken = calloc(prover->tasks->list.len + 1, 1);
    search.failed = !search.targets || !search.seen || !search.woken;
    if (!search.failed && prover->tasks->list.data[task].wait != CA_NONE) {
        search.target_count = heap->ops->waits_on(heap, task, search.targets, TARGETS_MAX);
        if (search.target_count == SIZE_MAX)
            search.target_count = 0;
    }
    if (!search.failed && search.target_count > 0) {
        search.failed = !outside(&search, ret);
        /* Its own stack proves nothing. */
        search.woken[task] = 1;
        if (ret->list.len == 0)
            run(&search);
        if (search.found != CA_NONE && !trace_back(&search, ret))
            search.failed = true;
    }
    free(search.targets);
    free(search.seen);
    free(search.woken);
    ca_vec_deinit(&search.nodes);
    ca_vec_deinit(&search.roots);
    return search.failed ? &ca_error_nomem : NULL;
}
