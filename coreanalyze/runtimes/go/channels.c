/* Channels and the goroutines in their queues. runtime/chan.go: hchan, waitq. */
#include "runtimes/go/go.h"

enum { QUEUE_MAX = 64 << 20 };

/* Walks one queue, remembering each sudog's direction; *short_one: it has one at most. false: no
 * memory. */
static bool walk_queue(struct ca_go *go, uint64_t channel, int field, enum ca_direction direction,
                       int64_t *count, bool *short_one)
{
    uint64_t sudog, next = 0;
    *count = CA_UNKNOWN;
    *short_one = false;
    if (!ca_go_read_u64(go, channel, field, &sudog))
        return true;
    *short_one = !sudog || (ca_go_read_u64(go, sudog, GO_SUDOG_NEXT, &next) && !next);
    int64_t length = 0;
    while (sudog && length < QUEUE_MAX) {
        bool fresh;
        if (!ca_marks_put(&go->seen, sudog, direction, &fresh))
            return false;
        /* A cycle, or a queue that runs into another; or the short one is walked again. */
        if (!fresh && !(*short_one && ca_go_sudog_direction(go, sudog) == direction))
            break;
        length++;
        if (!ca_go_read_u64(go, sudog, GO_SUDOG_NEXT, &sudog)) {
            length = CA_UNKNOWN;
            break;
        }
    }
    *count = length;
    return true;
}

static void read_timer(struct ca_go *go, uint64_t address, struct ca_go_channel *channel)
{
    uint64_t timer, when;
    uint64_t *slot = ca_map_get(&go->timer_by_channel, address);
    if (slot)
        channel->timer_when = go->timers.data[*slot - 1].when;
    else if (ca_go_read_u64(go, address, GO_HCHAN_TIMER, &timer) && timer &&
             ca_go_read_u64(go, timer, GO_TIMER_WHEN, &when) && when)
        channel->timer_when = (int64_t)when;
    channel->facts.timer = channel->timer_when != CA_UNKNOWN;
}

/* *once: it has one waiter at most, and reading it again would cost no more than keeping it. */
static bool read_channel(struct ca_go *go, uint64_t address, struct ca_go_channel *channel,
                         bool *once)
{
    bool short_one, short_other;
    uint64_t length, capacity;
    uint32_t closed;
    *channel = (struct ca_go_channel){.facts = ca_case_unknown(address, CA_DIRECTION_UNKNOWN),
                                      .timer_when = CA_UNKNOWN};
    *once = false;
    if (!address || !ca_go_read_u64(go, address, GO_HCHAN_QCOUNT, &length) ||
        !ca_go_read_u64(go, address, GO_HCHAN_DATAQSIZ, &capacity) ||
        !ca_go_read_u32(go, address, GO_HCHAN_CLOSED, &closed))
        return true;
    channel->facts.length = (int64_t)length;
    channel->facts.capacity = (int64_t)capacity;
    channel->facts.closed = closed != 0;
    read_timer(go, address, channel);
    if (!walk_queue(go, address, GO_HCHAN_RECVQ, CA_DIRECTION_RECEIVE, &channel->facts.receivers,
                    &short_one) ||
        !walk_queue(go, address, GO_HCHAN_SENDQ, CA_DIRECTION_SEND, &channel->facts.senders,
                    &short_other))
        return false;
    *once = short_one && short_other;
    return true;
}

bool ca_go_channel_read(struct ca_go *go, uint64_t address, const struct ca_go_channel **ret)
{
    uint64_t *slot = ca_map_get(&go->channel_index, address);
    if (!slot) {
        bool once;
        *ret = &go->channel;
        if (!read_channel(go, address, &go->channel, &once))
            return false;
        if (once)
            return true;
        slot = ca_map_put(&go->channel_index, address, NULL);
        if (!slot || !ca_vec_push(&go->channels, go->channel))
            return false;
        *slot = go->channels.len;
    }
    *ret = &go->channels.data[*slot - 1];
    return true;
}

enum ca_direction ca_go_sudog_direction(struct ca_go *go, uint64_t sudog)
{
    unsigned mark = ca_marks_get(&go->seen, sudog);
    return mark == CA_GO_SEEN_G ? CA_DIRECTION_UNKNOWN : (enum ca_direction)mark;
}
