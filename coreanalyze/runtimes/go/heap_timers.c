/* What pending timers will call, send on or close. */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    /* runtime/time.go until 1.22: waiting, running, modified to earlier or later. The others are
     * deleted, removed, or not in a heap. */
    PENDING = 1 << 1 | 1 << 2 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9,
};

/* Since 1.23 a stopped one has no time (runtime/time.go: timer.stop), before it has a status. */
static bool is_pending(struct ca_go *go, uint64_t timer, int64_t *when)
{
    uint64_t at;
    uint32_t status;
    if (!ca_go_read_u64(go, timer, GO_TIMER_WHEN, &at) || at == 0)
        return false;
    *when = (int64_t)at;
    return !ca_go_read_u32(go, timer, GO_TIMER_STATUS, &status) ||
           (status < 32 && PENDING >> status & 1);
}

static bool give_timer(void *arg, struct ca_go *go, uint64_t timer)
{
    const struct ca_root_sink *sink = arg;
    struct ca_root root = {.kind = CA_ROOT_TIMER, .name = "timer", .frame = CA_NONE, .exact = true};
    uint64_t at = timer + (uint64_t)go->layout.at[GO_TIMER_ARG] + 8;
    struct ca_word word = {.address = at};
    if (timer && is_pending(go, timer, &root.detail) &&
        ca_target_read_u64(go->target, at, &word.value) && ca_root_sink_wants(sink, word.value))
        sink->add(sink->arg, &root, &word, 1);
    return true;
}

void ca_go_heap_timers(struct ca_heap *base, const struct ca_root_sink *sink)
{
    ca_go_timers_each(ca_go_heap_of(base)->go, give_timer, (void *)sink);
}

/* ---- what they will close ------------------------------------------------------------------ */

enum {
    /* context/context.go: cancelCtx, the same 1.19 to 1.27: an interface, a mutex, done (an
     * atomic.Value, which is an interface), children (a map). */
    CONTEXT_DONE = 32,
    CONTEXT_CHILDREN = 40,
    CONTEXTS_MAX = 1 << 24,
    BUCKET = 144, /* of its keys, until 1.23: 8 bytes, 8 interfaces, and the overflow */
    BUCKET_OVERFLOW = 136,
    TABLES_MAX = 1 << 20,
    BATCH = 128,
    STEPS_MAX = 1 << 26,
};

struct timed {
    struct ca_go_heap *heap;
    struct ca_map *channels; /* what is found */
    struct ca_map seen;
    CA_VEC(uint64_t) contexts; /* still to be looked at */
    size_t steps;              /* pointers followed: what lies may make them many */
    bool failed;
};

static void add_channel(struct timed *timed, uint64_t address)
{
    uint64_t *slot = address ? ca_map_put(timed->channels, address, NULL) : NULL;
    if (slot)
        *slot = 1;
    timed->failed |= address && !slot;
}

static bool is_new(struct timed *timed, uint64_t address)
{
    bool fresh = false;
    uint64_t *slot = ca_map_put(&timed->seen, address, &fresh);
    timed->failed |= !slot;
    if (slot)
        *slot = 1;
    return slot && fresh;
}

static void add_context(struct timed *timed, uint64_t address)
{
    if (timed->contexts.len < CONTEXTS_MAX && is_new(timed, address) &&
        !ca_vec_push(&timed->contexts, address))
        timed->failed = true;
}

/* The pointers of an object, with their offsets. */
typedef void pointer_fn(struct timed *timed, uint64_t offset, uint64_t value);
static void each_pointer(struct timed *timed, uint64_t address, pointer_fn *fn)
{
    struct ca_go_heap *heap = timed->heap;
    const struct ca_region *region = address ? ca_go_heap_region(heap, address) : NULL;
    uint64_t values[BATCH], from = 0;
    uint32_t offsets[BATCH];
    bool exact = true;
    if (!region || region->no_scan)
        return;
    uint32_t slot = (uint32_t)((address - region->start) / region->size);
    while (from < region->size && timed->steps < STEPS_MAX) {
        uint64_t before = from;
        size_t count =
            ca_go_heap_scan(&heap->heap, region, slot, &from, values, offsets, BATCH, &exact);
        timed->steps += count + 1;
        for (size_t i = 0; i < count; i++)
            fn(timed, 8 * (uint64_t)offsets[i], values[i]);
        if (from <= before)
            break;
    }
}

static void add_groups(struct timed *timed, uint64_t address);

/* Its types are pointers to no object; they lead to nothing here. */
static void add_key(struct timed *timed, uint64_t offset, uint64_t value)
{
    bool buckets = timed->heap->go->layout.at[GO_MAP_DIRPTR] == CA_LAYOUT_ABSENT;
    if (buckets && offset % BUCKET == BUCKET_OVERFLOW)
        add_groups(timed, value);
    else if (ca_go_heap_region(timed->heap, value))
        add_context(timed, value);
}

static void add_groups(struct timed *timed, uint64_t address)
{
    if (address && is_new(timed, address))
        each_pointer(timed, address, add_key);
}

/* The keys of a map are the children. */
static void add_children(struct timed *timed, uint64_t map)
{
    struct ca_go *go = timed->heap->go;
    uint64_t place, count = 0, table;
    if (!ca_go_heap_region(timed->heap, map) || !is_new(timed, map))
        return;
    if (ca_go_read_u64(go, map, GO_HMAP_BUCKETS, &place))
        add_groups(timed, place);
    if (ca_go_read_u64(go, map, GO_HMAP_OLDBUCKETS, &place))
        add_groups(timed, place);
    if (!ca_go_read_u64(go, map, GO_MAP_DIRPTR, &place) ||
        !ca_go_read_u64(go, map, GO_MAP_DIRLEN, &count))
        return;
    if (count == 0)
        add_groups(timed, place);
    for (uint64_t i = 0; i < count && i < TABLES_MAX && timed->steps++ < STEPS_MAX; i++) {
        uint64_t groups;
        if (!ca_target_read_u64(timed->heap->target, place + i * 8, &table) ||
            !ca_go_read_u64(go, table, GO_TABLE_GROUPS, &groups))
            break;
        add_groups(timed, groups);
    }
}

static void drain_contexts(struct timed *timed)
{
    struct ca_target *target = timed->heap->target;
    while (timed->contexts.len > 0 && !timed->failed) {
        uint64_t context = timed->contexts.data[--timed->contexts.len], value;
        /* 1.20's timerCtx begins with a pointer to its cancelCtx; others with an interface's type.
         */
        if (ca_target_read_u64(target, context, &value) && ca_go_heap_region(timed->heap, value))
            add_context(timed, value);
        if (ca_target_read_u64(target, context + CONTEXT_DONE, &value))
            add_channel(timed, value);
        if (ca_target_read_u64(target, context + CONTEXT_CHILDREN, &value))
            add_children(timed, value);
    }
}

/* What the function uses: a channel, or a variable that holds one. */
static void add_captured(struct timed *timed, uint64_t offset, uint64_t value)
{
    const struct ca_region *region = ca_go_heap_region(timed->heap, value);
    (void)offset;
    add_channel(timed, value);
    if (region && region->size == 8 && ca_target_read_u64(timed->heap->target, value, &value))
        add_channel(timed, value);
}

static void add_captured_context(struct timed *timed, uint64_t offset, uint64_t value)
{
    (void)offset;
    if (ca_go_heap_region(timed->heap, value))
        add_context(timed, value);
}

/* Method values end in -fm (cmd/compile/internal/ir/func.go: MethodSym): they use a receiver. */
static bool is_method_value(const char *name)
{
    size_t size = strlen(name);
    return size > 3 && !strcmp(name + size - 3, "-fm");
}

/* A function that a timer calls: one of package context cancels the context that it uses, and its
 * children with it. What others may reach further on says nothing of what they will do. */
static void add_timer(void *arg, const struct ca_root *root, const struct ca_word *words,
                      size_t count)
{
    struct timed *timed = arg;
    struct ca_go_func func;
    uint64_t entry;
    (void)root, (void)count;
    if (!words->value || !is_new(timed, words->value))
        return;
    if (!ca_target_read_u64(timed->heap->target, words->value, &entry) ||
        !ca_go_func_find(&timed->heap->go->tables, entry, &func) || func.entry != entry)
        add_channel(timed, words->value);
    else if (!strncmp(ca_go_func_name(&func), "context.", strlen("context.")))
        each_pointer(timed, words->value, add_captured_context);
    else if (!is_method_value(ca_go_func_name(&func)))
        each_pointer(timed, words->value, add_captured);
}

bool ca_go_heap_timed(struct ca_heap *base, struct ca_map *ret)
{
    struct timed timed = {.heap = ca_go_heap_of(base), .channels = ret};
    struct ca_root_sink sink = {.add = add_timer, .arg = &timed};
    ca_go_heap_timers(base, &sink);
    drain_contexts(&timed);
    ca_map_deinit(&timed.seen);
    ca_vec_deinit(&timed.contexts);
    return !timed.failed;
}
