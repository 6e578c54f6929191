/* The figures of the whole process: memory, processors, the last collection. */
#include "runtimes/go/go.h"

enum { GENERATIONS_MAX = 16, PROCS_MAX = 1 << 16 };

/* The sum of one field over the generations of memstats.heapStats. They are differences: only
 * together they are a figure. runtime/mstats.go: consistentHeapStats, 1.16 and later. */
static int64_t sum_heap_stats(struct ca_go *go, int field)
{
    const int32_t *at = go->layout.at;
    int64_t sum = 0;
    uint64_t value;
    if (!go->globals.memstats || at[GO_MSTATS_HEAPSTATS_COUNT] > GENERATIONS_MAX)
        return CA_UNKNOWN;
    uint64_t stats = go->globals.memstats + (uint64_t)at[GO_MSTATS_HEAPSTATS];
    for (int i = 0; i < at[GO_MSTATS_HEAPSTATS_COUNT]; i++)
        if (!ca_go_read_u64(go, stats + (uint64_t)i * (uint64_t)at[GO_HEAPSTATS_SIZE], field,
                            &value) ||
            __builtin_add_overflow(sum, (int64_t)value, &sum))
            return CA_UNKNOWN;
    return sum < 0 ? CA_UNKNOWN : sum;
}

/* allp is cut to GOMAXPROCS whenever that changes. runtime/proc.go: procresize. */
static int64_t procs(struct ca_go *go)
{
    uint32_t value;
    uint64_t length;
    if (go->globals.gomaxprocs && ca_target_read_u32(go->target, go->globals.gomaxprocs, &value))
        return value;
    if (go->globals.allp && ca_target_read_u64(go->target, go->globals.allp + 8, &length) &&
        length <= PROCS_MAX)
        return (int64_t)length;
    return CA_UNKNOWN;
}

void ca_go_facts_read(struct ca_go *go)
{
    uint64_t last;
    uint32_t value;
    go->facts.heap_in_use = sum_heap_stats(go, GO_HEAPSTATS_IN_HEAP);
    go->facts.stacks_in_use = sum_heap_stats(go, GO_HEAPSTATS_IN_STACKS);
    go->facts.procs = procs(go);
    go->facts.cpus = CA_UNKNOWN;
    go->facts.last_gc_ns = CA_UNKNOWN;
    if (go->globals.ncpu && ca_target_read_u32(go->target, go->globals.ncpu, &value))
        go->facts.cpus = value;
    if (go->globals.memstats && go->now != CA_UNKNOWN &&
        ca_go_read_u64(go, go->globals.memstats, GO_MSTATS_LAST_GC_NANO, &last) && last &&
        (int64_t)last > 0 && (int64_t)last <= go->now)
        go->facts.last_gc_ns = go->now - (int64_t)last;
}
