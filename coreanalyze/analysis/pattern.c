#include "analysis/pattern.h"

#include <inttypes.h>

#include "analysis/circle.h"

static const struct ca_task *first_of(const struct ca_group *group, const struct ca_tasks *tasks,
                                      const struct ca_groups *groups)
{
    return &tasks->list.data[groups->members.data[group->first]];
}

/* ---- patterns ---------------------------------------------------------------------------- */

enum pattern {
    NO_PATTERN,
    NIL_CHANNEL,
    N_CAST,
    SENDERS_IN_A_LOOP,
    TIMEOUT_LEAK,
    PREMATURE_RETURN,
    FORGOTTEN_SENDER,
    RANGE_WITHOUT_CLOSE,
    ORPHANED_RECEIVER,
    LOCK_NEVER_RELEASED,
    WAITGROUP_SHORT,
    LOST_SIGNAL,
    DEFERS_IN_A_LOOP,
    DEADLOCK_CYCLE,
    DEADLOCK_SELF,
};

static const struct {
    const char *name, *advice;
} patterns[] = {
    [NIL_CHANNEL] = {"nil-channel", "make the channel before it is used"},
    [N_CAST] = {"n-cast", "give the channel room for every sender, or receive once for each"},
    [SENDERS_IN_A_LOOP] = {"senders-in-a-loop",
                           "select on a context or done channel beside the send, and end it when "
                           "the reader leaves"},
    [TIMEOUT_LEAK] = {"timeout-leak", "give the channel a buffer of 1, or select on a context "
                                      "beside the send"},
    [PREMATURE_RETURN] = {"premature-return", "receive on every way out, or give the channel a "
                                              "buffer of 1"},
    [FORGOTTEN_SENDER] = {"forgotten-sender", "give the channel a buffer of 1 for each sender, or "
                                              "let the senders be cancelled"},
    [RANGE_WITHOUT_CLOSE] = {"range-without-close", "close the channel when all has been sent"},
    [ORPHANED_RECEIVER] = {"orphaned-receiver", "close the channel when its last sender leaves, "
                                                "or select on a context beside the receive"},
    [LOCK_NEVER_RELEASED] = {"lock-never-released", "unlock on every way out: defer the unlock "
                                                    "right after the lock"},
    [WAITGROUP_SHORT] = {"waitgroup-short", "call Done on every way out: defer it first of all"},
    [LOST_SIGNAL] = {"lost-signal", "signal after every change that a waiter may wait for"},
    [DEFERS_IN_A_LOOP] = {"defers-in-a-loop", "move the body of the loop into a function of its "
                                              "own, so that its defers run"},
    [DEADLOCK_CYCLE] = {"deadlock-cycle", "take the locks in one order everywhere"},
    [DEADLOCK_SELF] = {"deadlock-cycle", "lock once, in the outermost function: it waits for what "
                                         "it holds itself"},
};

struct guess {
    enum pattern pattern;
    const char *confidence;
};

/* Several members wait to send on one channel: fewer receives than sends. */
static bool share_channel(const struct ca_group *group, const struct ca_tasks *tasks,
                          const struct ca_groups *groups)
{
    if (group->count < 2)
        return false;
    struct ca_wait rooms[2];
    const struct ca_wait *a = ca_tasks_wait(tasks, first_of(group, tasks, groups), &rooms[0]);
    const struct ca_wait *b =
        ca_tasks_wait(tasks, &tasks->list.data[groups->members.data[group->first + 1]], &rooms[1]);
    return a && b && b->kind == CA_WAIT_CHANNEL && a->channel.address == b->channel.address;
}

static struct guess guess_sender(const struct ca_group *group, const struct ca_tasks *tasks,
                                 const struct ca_groups *groups, uint32_t shape)
{
    if (shape & CA_SHAPE_AGAIN)
        return (struct guess){SENDERS_IN_A_LOOP, "likely"};
    if (share_channel(group, tasks, groups))
        return (struct guess){N_CAST, "likely"};
    if ((shape & CA_SHAPE_MAKER_SELECTS) && (shape & CA_SHAPE_MAKER_TIMES))
        return (struct guess){TIMEOUT_LEAK, "likely"};
    if (shape & CA_SHAPE_MAKER_SELECTS)
        return (struct guess){FORGOTTEN_SENDER, "likely"};
    if (shape & CA_SHAPE_MAKER_RECEIVES)
        return (struct guess){PREMATURE_RETURN, "likely"};
    return (struct guess){FORGOTTEN_SENDER, "possible"};
}

static struct guess guess_channel(const struct ca_group *group, const struct ca_tasks *tasks,
                                  const struct ca_groups *groups, const struct ca_wait *wait,
                                  uint32_t shape)
{
    if (wait->has_address && wait->channel.address == 0)
        return (struct guess){NIL_CHANNEL, "certain"};
    if (wait->channel.direction == CA_DIRECTION_SEND)
        return guess_sender(group, tasks, groups, shape);
    if (wait->channel.direction != CA_DIRECTION_RECEIVE)
        return (struct guess){NO_PATTERN, NULL};
    /* Workers share their channel, and who made them fed it. One alone has lost its sender. */
    if ((shape & CA_SHAPE_RANGES) &&
        ((shape & CA_SHAPE_MAKER_SENDS) || share_channel(group, tasks, groups)))
        return (struct guess){RANGE_WITHOUT_CLOSE, "likely"};
    return (struct guess){ORPHANED_RECEIVER, "likely"};
}

static struct guess guess_lock(const struct ca_tasks *tasks, uint32_t task)
{
    if (ca_circle_owner(tasks, task) == task)
        return (struct guess){DEADLOCK_SELF, "certain"};
    if (ca_circle_ahead(tasks, task))
        return (struct guess){DEADLOCK_CYCLE, "certain"};
    return (struct guess){LOCK_NEVER_RELEASED, "likely"};
}

static struct guess guess(const struct ca_group *group, const struct ca_tasks *tasks,
                          const struct ca_groups *groups, uint32_t shape)
{
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, first_of(group, tasks, groups), &room);
    uint32_t task = (uint32_t)groups->members.data[group->first];
    if (group->rule == CA_RULE_DEEP_DEFERS)
        return (struct guess){DEFERS_IN_A_LOOP, "likely"};
    if (group->proof == CA_PROOF_DEADLOCK)
        return ca_circle_owner(tasks, task) == task ? (struct guess){DEADLOCK_SELF, "certain"}
                                                    : (struct guess){DEADLOCK_CYCLE, "certain"};
    if (group->verdict != CA_VERDICT_LEAKED || !wait)
        return (struct guess){NO_PATTERN, NULL};
    switch (wait->kind) {
    case CA_WAIT_CHANNEL:
        return guess_channel(group, tasks, groups, wait, shape);
    case CA_WAIT_MUTEX:
    case CA_WAIT_RWMUTEX:
        return guess_lock(tasks, task);
    case CA_WAIT_WAITGROUP:
        return (struct guess){WAITGROUP_SHORT, "likely"};
    case CA_WAIT_COND:
        return (struct guess){LOST_SIGNAL, "likely"};
    default:
        return (struct guess){NO_PATTERN, NULL};
    }
}

void ca_pattern_find(struct ca_group *group, const struct ca_tasks *tasks,
                     const struct ca_groups *groups, struct ca_prover *prover)
{
    uint32_t shape = 0;
    if (prover && prover->heap->ops->shape)
        shape =
            prover->heap->ops->shape(prover->heap, (uint32_t)groups->members.data[group->first]);
    struct guess found = guess(group, tasks, groups, shape);
    if (found.pattern == NO_PATTERN)
        return;
    group->pattern = patterns[found.pattern].name;
    group->advice = patterns[found.pattern].advice;
    group->confidence = found.confidence;
}

/* ---- evidence ---------------------------------------------------------------------------- */

static const char *kind_word(enum ca_wait_kind kind)
{
    switch (kind) {
    case CA_WAIT_MUTEX:
        return "mutex";
    case CA_WAIT_RWMUTEX:
        return "read-write mutex";
    case CA_WAIT_WAITGROUP:
        return "wait group";
    case CA_WAIT_COND:
        return "condition";
    case CA_WAIT_JOIN:
        return "end of a task";
    default:
        return "object";
    }
}

static const char *channel_text(struct ca_strings *strings, const struct ca_case *channel)
{
    bool send = channel->direction == CA_DIRECTION_SEND;
    const char *who = send ? "a receiver" : "a sender or a close";
    if (channel->address == 0)
        return ca_strings_printf(strings, "the channel is nil: nothing ever happens on it");
    if (channel->capacity == 0)
        return ca_strings_printf(strings, "waits for %s on an unbuffered channel", who);
    if (channel->capacity != CA_UNKNOWN && channel->length != CA_UNKNOWN)
        return ca_strings_printf(strings,
                                 "waits for %s on a channel that holds %" PRId64 " of %" PRId64,
                                 who, channel->length, channel->capacity);
    return ca_strings_printf(strings, "waits for %s on a channel", who);
}

static const char *wait_text(struct ca_strings *strings, const struct ca_wait *wait)
{
    switch (wait->kind) {
    case CA_WAIT_CHANNEL:
    case CA_WAIT_TIMER:
        return channel_text(strings, &wait->channel);
    case CA_WAIT_SELECT:
        return ca_strings_printf(strings, "waits for any of %u channels", wait->case_count);
    case CA_WAIT_NOTHING:
        return ca_strings_printf(strings, "waits without naming anything: nothing can end that");
    case CA_WAIT_WAITGROUP:
        if (wait->counter != CA_UNKNOWN)
            return ca_strings_printf(strings, "waits for a wait group that is still at %" PRId64,
                                     wait->counter);
        break;
    default:
        break;
    }
    return ca_strings_printf(strings, "waits for a %s", kind_word(wait->kind));
}

static bool add(struct ca_groups *groups, struct ca_group *group, const char *kind,
                const char *text, uint64_t address, uint32_t task)
{
    struct ca_evidence evidence = {
        .kind = kind, .text = text, .has_address = address != 0, .address = address, .task = task};
    if (!text || !ca_vec_push(&groups->evidence, evidence))
        return false;
    group->evidence_count++;
    return true;
}

static bool add_waits(struct ca_groups *groups, struct ca_group *group, struct ca_tasks *tasks,
                      const struct ca_wait *wait, uint32_t task)
{
    uint64_t address = wait->has_address ? wait->channel.address : 0;
    if (!add(groups, group, "waits", wait_text(&tasks->strings, wait), address, task))
        return false;
    for (uint32_t i = 0; wait->kind == CA_WAIT_SELECT && i < wait->case_count && i < 8; i++) {
        struct ca_case one = ca_waits_case(&tasks->waits, wait->first_case + i);
        if (!add(groups, group, "case", channel_text(&tasks->strings, &one), one.address, task))
            return false;
    }
    if (wait->owner != CA_NONE && wait->owner < tasks->list.len)
        return add(groups, group, "owner", ca_strings_printf(&tasks->strings, "held by"), address,
                   wait->owner);
    return true;
}

static bool add_circle(struct ca_groups *groups, struct ca_group *group, struct ca_tasks *tasks,
                       uint32_t task)
{
    struct ca_evidence list[CA_CIRCLE_EVIDENCE];
    size_t count = ca_circle_evidence(tasks, task, list);
    for (size_t i = 0; i < count; i++)
        if (!add(groups, group, list[i].kind, list[i].text, list[i].address, list[i].task))
            return false;
    return count != 0;
}

bool ca_pattern_evidence(struct ca_groups *groups, size_t index, struct ca_tasks *tasks,
                         int64_t shared)
{
    struct ca_group *group = &groups->list.data[index];
    uint32_t task = (uint32_t)groups->members.data[group->first];
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, &tasks->list.data[task], &room);
    struct ca_strings *strings = &tasks->strings;
    group->first_evidence = groups->evidence.len;
    group->evidence_count = 0;
    if (group->verdict != CA_VERDICT_LEAKED || !wait)
        return true;
    if (group->proof == CA_PROOF_DEADLOCK)
        return add_circle(groups, group, tasks, task);
    if (ca_circle_ahead(tasks, task) ? !add_circle(groups, group, tasks, task)
                                     : !add_waits(groups, group, tasks, wait, task))
        return false;
    bool never = wait->kind == CA_WAIT_NOTHING ||
                 (wait->kind == CA_WAIT_CHANNEL && wait->has_address && !wait->channel.address);
    if (!never &&
        !add(groups, group, "unreachable",
             ca_strings_printf(strings, "nothing that can still act reaches it: no task that can "
                                        "run, no timer, I/O, finalizer or global"),
             0, CA_NONE))
        return false;
    if (group->count > 1 && !never &&
        !add(groups, group, "others",
             ca_strings_printf(strings, "only leaked tasks hold it; %zu wait at this place",
                               group->count),
             0, CA_NONE))
        return false;
    return shared == 0 ||
           add(groups, group, "shared",
               ca_strings_printf(strings,
                                 "%" PRId64 " more bytes come back only when all leaked "
                                 "groups that share them are gone",
                                 shared),
               0, CA_NONE);
}
