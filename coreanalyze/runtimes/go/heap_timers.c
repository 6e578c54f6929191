/* What pending timers will call or send on. */
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
