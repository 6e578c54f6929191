#include "analysis/pattern.h"

#include <inttypes.h>

#include "analysis/circle.h"
#include "analysis/explain.h"

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

enum { GATHERED_MAX = 32 };

/* Have all who would call Done got stuck themselves? Then their leak is the mistake, not this one.
 */
static bool waits_for_stuck(const struct ca_tasks *tasks, uint32_t task, struct ca_prover *prover)
{
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, &tasks->list.data[task], &room);
    size_t stuck = 0;
    if (!prover || prover->gathered >= GATHERED_MAX || !wait || wait->kind != CA_WAIT_WAITGROUP ||
        wait->counter == CA_UNKNOWN)
        return false;
    prover->gathered++;
    struct ca_error *error = ca_explain_stuck(prover, task, &stuck);
    ca_error_destroy(error);
    return !error && wait->counter > 0 && (int64_t)stuck >= wait->counter;
}

/* Is who holds the lock stuck in something else? The stack of the holder shows the unlock that is
 * to come, else it would not be known. A writer that readers wait for waits for the same lock. */
static bool holder_is_stuck(const struct ca_tasks *tasks, uint32_t task)
{
    struct ca_wait rooms[2];
    uint32_t owner = ca_circle_owner(tasks, task);
    if (owner == CA_NONE || owner >= tasks->list.len ||
        tasks->list.data[owner].verdict != CA_VERDICT_LEAKED)
        return false;
    const struct ca_wait *own = ca_tasks_wait(tasks, &tasks->list.data[task], &rooms[0]);
    const struct ca_wait *its = ca_tasks_wait(tasks, &tasks->list.data[owner], &rooms[1]);
    return own && its && own->channel.address != its->channel.address;
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
        return guess_lock(tasks, task);
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
    uint32_t task = (uint32_t)groups->members.data[group->first];
    if (found.pattern == WAITGROUP_SHORT && waits_for_stuck(tasks, task, prover)) {
        group->advice =
            "first mend what the others that hold the wait group are stuck in: they would "
            "have called Done";
        return;
    }
    if (found.pattern == LOCK_NEVER_RELEASED && holder_is_stuck(tasks, task)) {
        group->advice =
            "first mend what the holder of the lock is stuck in: it would have unlocked";
        return;
    }
    if (found.pattern == NO_PATTERN)
        return;
    group->pattern = patterns[found.pattern].name;
    group->advice = patterns[found.pattern].advice;
    group->confidence = found.confidence;
}
