/* Channels that a timer will end, and what time it was when the target stopped. */
#include "runtimes/go/go.h"

#include <string.h>

enum {
    PROCS_MAX = 65536,
    TIMERS_MAX = 16 << 20,
};

static bool add(struct ca_go *go, uint64_t channel, int64_t when)
{
    uint64_t *slot = ca_map_put(&go->timer_by_channel, channel, NULL);
    if (!slot)
        return false;
    if (*slot)
        return true;
    if (!ca_vec_push(&go->timers, (struct ca_go_timer_channel){channel, when}))
        return false;
    *slot = go->timers.len;
    return true;
}

static bool is_send_time(struct ca_go *go, uint64_t closure)
{
    uint64_t entry;
    struct ca_go_func func;
    return closure && ca_target_read_u64(go->target, closure, &entry) &&
           ca_go_func_find(&go->tables, entry, &func) &&
           !strcmp(ca_go_func_name(&func), "time.sendTime");
}

/* A timer whose function is time.sendTime sends on the channel that is its argument. */
static bool read_timer(void *arg, struct ca_go *go, uint64_t timer)
{
    (void)arg;
    uint64_t closure, channel, when;
    if (!timer || !ca_go_read_u64(go, timer, GO_TIMER_F, &closure) || !is_send_time(go, closure) ||
        !ca_go_read_u64(go, timer, GO_TIMER_WHEN, &when) ||
        !ca_target_read_u64(go->target, timer + (uint64_t)go->layout.at[GO_TIMER_ARG] + 8,
                            &channel))
        return true;
    return add(go, channel, (int64_t)when);
}

/* One p's heap: []*timer to 1.22, []timerWhen since. */
static bool read_heap(struct ca_go *go, uint64_t p, ca_go_timer_fn *fn, void *arg)
{
    const int32_t *at = go->layout.at;
    uint64_t slice[2];
    uint64_t stride =
        at[GO_TIMERWHEN_SIZE] != CA_LAYOUT_ABSENT ? (uint64_t)at[GO_TIMERWHEN_SIZE] : 8;
    uint64_t place =
        at[GO_TIMERWHEN_TIMER] != CA_LAYOUT_ABSENT ? (uint64_t)at[GO_TIMERWHEN_TIMER] : 0;
    if (!ca_target_read(go->target, p + (uint64_t)at[GO_P_TIMERS], slice, 16))
        return true;
    for (uint64_t i = 0; i < slice[1] && i < TIMERS_MAX; i++) {
        uint64_t timer;
        if (!ca_target_read_u64(go->target, slice[0] + i * stride + place, &timer))
            break;
        if (!fn(arg, go, timer))
            return false;
    }
    return true;
}

static uint64_t proc_at(struct ca_go *go, uint64_t i)
{
    uint64_t slice[2], p = 0;
    if (!go->globals.allp || !ca_target_read(go->target, go->globals.allp, slice, 16) ||
        i >= slice[1] || i >= PROCS_MAX || !ca_target_read_u64(go->target, slice[0] + i * 8, &p))
        return 0;
    return p;
}

bool ca_go_timers_each(struct ca_go *go, ca_go_timer_fn *fn, void *arg)
{
    uint64_t p;
    for (uint64_t i = 0; (p = proc_at(go, i)); i++)
        if (!read_heap(go, p, fn, arg))
            return false;
    return true;
}

bool ca_go_timers_read(struct ca_go *go)
{
    return ca_go_timers_each(go, read_timer, NULL);
}

/* The latest time that the scheduler wrote down: the snapshot was not earlier. */
static int64_t latest_seen(struct ca_go *go)
{
    uint64_t value, p;
    int64_t latest = CA_UNKNOWN;
    if (go->globals.sched && ca_go_read_u64(go, go->globals.sched, GO_SCHED_LASTPOLL, &value) &&
        value)
        latest = (int64_t)value;
    for (uint64_t i = 0; (p = proc_at(go, i)); i++)
        if (ca_go_read_u64(go, p, GO_P_SYSMON_WHEN, &value) && value && (int64_t)value > latest)
            latest = (int64_t)value;
    return latest;
}

int64_t ca_go_clock(struct ca_go *go)
{
    /* A core's time can be told from what is in it; a process's stops being true. */
    if (go->target->now_ns != CA_UNKNOWN || go->target->kind != CA_TARGET_CORE)
        return go->target->now_ns;
    uint64_t unix_ns = 0, nano = 0;
    int64_t latest = latest_seen(go);
    if (go->globals.memstats && go->target->wall_ns != CA_UNKNOWN &&
        ca_go_read_u64(go, go->globals.memstats, GO_MSTATS_LAST_GC_UNIX, &unix_ns) &&
        ca_go_read_u64(go, go->globals.memstats, GO_MSTATS_LAST_GC_NANO, &nano) && unix_ns &&
        nano) {
        int64_t passed, now;
        if (!__builtin_sub_overflow(go->target->wall_ns, (int64_t)unix_ns, &passed) &&
            !__builtin_add_overflow((int64_t)nano, passed, &now) && now > latest)
            return now;
    }
    return latest;
}
