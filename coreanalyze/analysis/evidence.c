#include "analysis/evidence.h"

#include <inttypes.h>
#include <string.h>

#include "analysis/circle.h"
#include "analysis/explain.h"
#include "base/buf.h"

enum { CASES_TOLD = 8, HOLDERS_TOLD = 4 };

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

static bool add(ca_evidence_list *list, const char *kind, const char *text, uint64_t address,
                uint32_t task)
{
    struct ca_evidence evidence = {
        .kind = kind, .text = text, .has_address = address != 0, .address = address, .task = task};
    return text && ca_vec_push(list, evidence);
}

/* "7 wait at this place", with before and after around the number. */
static const char *counted(struct ca_strings *strings, const char *before, int64_t n,
                           const char *after)
{
    struct ca_buf number = {0};
    if (!after)
        return NULL;
    ca_buf_number(&number, n);
    const char *text = number.data && !number.failed
                           ? ca_strings_printf(strings, "%s%s%s", before, number.data, after)
                           : NULL;
    ca_buf_deinit(&number);
    return text;
}

static bool add_waits(ca_evidence_list *list, struct ca_tasks *tasks, const struct ca_wait *wait,
                      uint32_t task)
{
    uint64_t address = wait->has_address ? wait->channel.address : 0;
    if (!add(list, "waits", wait_text(&tasks->strings, wait), address, task))
        return false;
    for (uint32_t i = 0; wait->kind == CA_WAIT_SELECT && i < wait->case_count && i < CASES_TOLD;
         i++) {
        struct ca_case one = ca_waits_case(&tasks->waits, wait->first_case + i);
        if (!add(list, "case", channel_text(&tasks->strings, &one), one.address, task))
            return false;
    }
    if (wait->owner != CA_NONE && wait->owner < tasks->list.len)
        return add(list, "owner", ca_strings_printf(&tasks->strings, "held by"), address,
                   wait->owner);
    return true;
}

static bool add_circle(ca_evidence_list *list, struct ca_tasks *tasks, uint32_t task)
{
    struct ca_evidence circle[CA_CIRCLE_EVIDENCE];
    size_t count = ca_circle_evidence(tasks, task, circle);
    for (size_t i = 0; i < count; i++)
        if (!ca_vec_push(list, circle[i]))
            return false;
    return count != 0;
}

/* Nothing in any program ends this. */
static bool is_endless(const struct ca_wait *wait)
{
    return wait->kind == CA_WAIT_NOTHING ||
           (wait->kind == CA_WAIT_CHANNEL && wait->has_address && !wait->channel.address);
}

/* What a leaked task waits for, and that nothing reaches it. */
static bool add_proof(ca_evidence_list *list, struct ca_tasks *tasks, const struct ca_wait *wait,
                      uint32_t task)
{
    if (tasks->list.data[task].proof == CA_PROOF_DEADLOCK)
        return add_circle(list, tasks, task);
    if (ca_circle_ahead(tasks, task) ? !add_circle(list, tasks, task)
                                     : !add_waits(list, tasks, wait, task))
        return false;
    return is_endless(wait) ||
           add(list, "unreachable",
               ca_strings_printf(&tasks->strings,
                                 "nothing that can still act reaches it: no task that can run, no "
                                 "timer, I/O, finalizer or global"),
               0, CA_NONE);
}

/* ---- groups ------------------------------------------------------------------------------ */

/* The runtime's own note says where. */
static const char *defers_text(struct ca_tasks *tasks, uint32_t task)
{
    const char *place = "";
    for (size_t i = ca_first_of_task(&tasks->notes, task);
         i < tasks->notes.len && tasks->notes.data[i].task == task; i++) {
        const char *mark = strstr(tasks->notes.data[i].text, "deferred calls piled up");
        const char *colon = mark ? strchr(mark, ':') : NULL;
        if (colon)
            place = colon;
    }
    return counted(
        &tasks->strings, "", tasks->list.data[task].defers,
        ca_strings_printf(&tasks->strings, " deferred calls of one line are pending%s", place));
}

static bool add_rule(struct ca_groups *groups, const struct ca_group *group, struct ca_tasks *tasks,
                     uint32_t task)
{
    struct ca_strings *strings = &tasks->strings;
    const char *text = NULL;
    switch (group->rule) {
    case CA_RULE_THRESHOLD:
        text = counted(strings, "", (int64_t)group->at_site,
                       " wait at this place, none with a known time limit");
        break;
    case CA_RULE_MIN_AGE:
        text = ca_strings_printf(strings, "waits for longer than --min-age allows, without a "
                                          "known time limit");
        break;
    case CA_RULE_IO_NO_DEADLINE:
        text = counted(strings, "", (int64_t)group->at_site,
                       " wait for input or output here without a deadline");
        break;
    case CA_RULE_DEEP_DEFERS:
        text = defers_text(tasks, task);
        break;
    default:
        return true;
    }
    return add(&groups->evidence, "rule", text, 0, task);
}

static bool add_group(struct ca_groups *groups, const struct ca_group *group,
                      struct ca_tasks *tasks, int64_t shared)
{
    uint32_t task = (uint32_t)groups->members.data[group->first];
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, &tasks->list.data[task], &room);
    ca_evidence_list *list = &groups->evidence;
    if (group->verdict == CA_VERDICT_SUSPECT)
        return add_rule(groups, group, tasks, task);
    if (group->verdict != CA_VERDICT_LEAKED || !wait)
        return true;
    if (!add_proof(list, tasks, wait, task))
        return false;
    if (group->proof == CA_PROOF_DEADLOCK)
        return true;
    if (group->count > 1 && !is_endless(wait) &&
        !add(list, "others",
             counted(&tasks->strings, "only leaked tasks hold it; ", (int64_t)group->count,
                     " wait at this place"),
             0, CA_NONE))
        return false;
    return shared == 0 || add(list, "shared",
                              counted(&tasks->strings, "", shared,
                                      " more bytes come back only when all leaked groups that "
                                      "share them are gone"),
                              0, CA_NONE);
}

bool ca_evidence_of_group(struct ca_groups *groups, size_t index, struct ca_tasks *tasks,
                          int64_t shared)
{
    struct ca_group *group = &groups->list.data[index];
    group->first_evidence = groups->evidence.len;
    bool ok = add_group(groups, group, tasks, shared);
    group->evidence_count = groups->evidence.len - group->first_evidence;
    return ok;
}

/* ---- one task ---------------------------------------------------------------------------- */

struct telling {
    struct ca_prover *prover;
    struct ca_tasks *tasks;
    const struct ca_sites *sites;
    ca_evidence_list *list;
    const char *noun;
};

static const char *name_of(const struct telling *t, uint32_t task)
{
    return ca_strings_printf(&t->tasks->strings, "%s %" PRIu64, t->noun,
                             t->tasks->list.data[task].number);
}

/* Who started it, and could have kept what it waits for. */
static bool add_creator(const struct telling *t, uint32_t task)
{
    const struct ca_tasks *tasks = t->tasks;
    uint64_t number = tasks->list.data[task].created_by;
    uint32_t creator = CA_NONE;
    const char *fate = "has ended";
    if (number == 0)
        return true;
    for (size_t i = 0; i < tasks->list.len && creator == CA_NONE; i++)
        if (tasks->list.data[i].number == number &&
            tasks->list.data[i].runtime == tasks->list.data[task].runtime)
            creator = (uint32_t)i;
    if (creator != CA_NONE)
        fate = t->prover->status[creator] == CA_PROVER_CANDIDATE
                   ? "will never run again either"
                   : "lives, and does not reach it any more";
    return add(t->list, "creator",
               ca_strings_printf(&t->tasks->strings, "%s %" PRIu64 ", which started this one, %s",
                                 t->noun, number, fate),
               0, creator);
}

static const char *place_of(const struct telling *t, uint32_t task)
{
    const struct ca_frame *frame = ca_sites_frame(t->sites, &t->tasks->list.data[task]);
    const char *slash = frame && frame->file ? strrchr(frame->file, '/') : NULL;
    if (!frame || !frame->function)
        return "";
    return ca_strings_printf(&t->tasks->strings, ", at %s %s:%u", frame->function,
                             slash ? slash + 1 : "?", frame->line);
}

static bool add_holder(const struct telling *t, const struct ca_holder *holder)
{
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(t->tasks, &t->tasks->list.data[holder->task], &room);
    const char *name = name_of(t, holder->task), *place = place_of(t, holder->task);
    const char *what = wait ? wait_text(&t->tasks->strings, wait) : "waits";
    const char *through = "";
    if (holder->distance > 0)
        through = counted(&t->tasks->strings, " through ", holder->distance,
                          holder->distance == 1 ? " object" : " objects");
    if (!name || !place || !what || !through)
        return false;
    return add(t->list, "holder",
               ca_strings_printf(&t->tasks->strings,
                                 "also held by %s%s, which will never run again either: %s%s", name,
                                 through, what, place),
               0, holder->task);
}

static bool add_holders(const struct telling *t, const struct ca_holders *holders)
{
    struct ca_strings *strings = &t->tasks->strings;
    int64_t fellows = 0, told = 0, more = 0;
    for (size_t i = 0; i < holders->list.len; i++) {
        const struct ca_holder *holder = &holders->list.data[i];
        if (holder->fellow)
            fellows++;
        else if (told == HOLDERS_TOLD)
            more++;
        else if (told++, !add_holder(t, holder))
            return false;
    }
    const char *plural = fellows == 1 ? " other waits for the same" : " others wait for the same";
    if (fellows > 0 && !add(t->list, "fellows", counted(strings, "", fellows, plural), 0, CA_NONE))
        return false;
    if (more > 0 &&
        !add(t->list, "holders",
             counted(strings, "and by ", more, " more that will never run again"), 0, CA_NONE))
        return false;
    return fellows < (int64_t)holders->list.len ||
           add(t->list, "holders", ca_strings_printf(strings, "no other %s holds it", t->noun), 0,
               CA_NONE);
}

struct ca_error *ca_evidence_of_task(struct ca_prover *prover, struct ca_tasks *tasks,
                                     const struct ca_sites *sites, uint32_t task,
                                     ca_evidence_list *ret)
{
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, &tasks->list.data[task], &room);
    ret->len = 0;
    if (!wait)
        return NULL;
    if (!add_proof(ret, tasks, wait, task))
        return &ca_error_nomem;
    if (!prover || is_endless(wait) || tasks->list.data[task].proof == CA_PROOF_DEADLOCK)
        return NULL;
    const char *noun = prover->heap->runtime->task_noun;
    struct telling t = {prover, tasks, sites, ret, noun ? noun : "task"};
    struct ca_holders holders = {0};
    struct ca_error *error = ca_explain_holders(prover, task, &holders);
    if (!error && (!add_creator(&t, task) || !add_holders(&t, &holders)))
        error = &ca_error_nomem;
    ca_vec_deinit(&holders.list);
    return error;
}
