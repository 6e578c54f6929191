#include "analysis/verdict.h"

const char *ca_verdict_name(enum ca_verdict verdict)
{
    static const char *const names[] = {"leaked", "suspect", "waiting", "active", "system"};
    return (unsigned)verdict < CA_VERDICT_COUNT ? names[verdict] : NULL;
}

const char *ca_rule_name(enum ca_rule rule)
{
    static const char *const names[] = {NULL, "threshold", "min-age", "io-no-deadline",
                                        "deep-defers"};
    return (size_t)rule < sizeof(names) / sizeof(names[0]) ? names[rule] : NULL;
}

const char *ca_proof_name(enum ca_proof proof)
{
    static const char *const names[] = {NULL, "unreachable", "deadlock"};
    return (size_t)proof < sizeof(names) / sizeof(names[0]) ? names[proof] : NULL;
}

/* Waits for nothing, or for a nil channel: nothing in any program can end that. The main task may
 * have chosen to wait for ever by select {}. */
static bool never_ends(const struct ca_task *task, const struct ca_wait *wait)
{
    if (!wait || task->state != CA_STATE_WAITING)
        return false;
    if (wait->kind == CA_WAIT_NOTHING)
        return !(task->flags & CA_TASK_MAIN);
    return wait->kind == CA_WAIT_CHANNEL && wait->has_address && !wait->channel.address;
}

/* Before the rules. */
static enum ca_verdict first_verdict(const struct ca_task *task, const struct ca_wait *wait)
{
    if (task->flags & CA_TASK_SYSTEM)
        return CA_VERDICT_SYSTEM;
    if (task->state != CA_STATE_WAITING)
        return CA_VERDICT_ACTIVE;
    if (wait && (wait->kind == CA_WAIT_SLEEP || wait->kind == CA_WAIT_IO))
        return CA_VERDICT_ACTIVE;
    return CA_VERDICT_WAITING;
}

/* Does this task count towards the threshold of its site? */
static bool counts(const struct ca_task *task, const struct ca_wait *wait, bool timed)
{
    if (timed || task->state != CA_STATE_WAITING || (task->flags & (CA_TASK_SYSTEM | CA_TASK_MAIN)))
        return false;
    return !wait || !(wait->ends_by_timer || wait->kind == CA_WAIT_SLEEP);
}

static bool old(const struct ca_task *task, const struct ca_verdict_limits *limits)
{
    return limits->min_age_ns > 0 && task->since_ns != CA_UNKNOWN &&
           task->since_ns >= limits->min_age_ns;
}

static enum ca_rule rule_of(const struct ca_task *task, const struct ca_wait *wait,
                            uint64_t at_site, bool timed, const struct ca_verdict_limits *limits)
{
    if (task->flags & CA_TASK_SYSTEM)
        return CA_RULE_NONE;
    if (task->defers >= CA_DEFERS_MANY)
        return CA_RULE_DEEP_DEFERS;
    if (!counts(task, wait, timed))
        return CA_RULE_NONE;
    bool many = (int64_t)at_site >= limits->threshold;
    if (wait && wait->kind == CA_WAIT_IO)
        return many || old(task, limits) ? CA_RULE_IO_NO_DEADLINE : CA_RULE_NONE;
    if (many)
        return CA_RULE_THRESHOLD;
    return old(task, limits) ? CA_RULE_MIN_AGE : CA_RULE_NONE;
}

static void judge(struct ca_task *task, const struct ca_wait *wait, uint64_t at_site, bool timed,
                  const struct ca_verdict_limits *limits)
{
    task->verdict = (uint8_t)first_verdict(task, wait);
    task->rule = CA_RULE_NONE;
    task->proof = CA_PROOF_NONE;
    if (task->verdict == CA_VERDICT_SYSTEM)
        return;
    if (never_ends(task, wait)) {
        task->verdict = CA_VERDICT_LEAKED;
        task->proof = CA_PROOF_UNREACHABLE;
        return;
    }
    task->rule = (uint8_t)rule_of(task, wait, at_site, timed, limits);
    if (task->rule != CA_RULE_NONE)
        task->verdict = CA_VERDICT_SUSPECT;
}

static bool is_timed(const struct ca_verdict_limits *limits, size_t task)
{
    return limits->timed && limits->timed[task];
}

bool ca_verdict_judge(struct ca_tasks *tasks, const struct ca_sites *sites,
                      const struct ca_verdict_limits *limits)
{
    uint64_t *at_site = calloc(sites->keys.len + 1, sizeof(*at_site));
    if (!at_site)
        return false;
    for (size_t i = 0; i < tasks->list.len; i++) {
        const struct ca_task *task = &tasks->list.data[i];
        uint32_t key = ca_sites_key(sites, task);
        struct ca_wait room;
        if (key != CA_NONE && counts(task, ca_tasks_wait(tasks, task, &room), is_timed(limits, i)))
            at_site[key]++;
    }
    for (size_t i = 0; i < tasks->list.len; i++) {
        struct ca_task *task = &tasks->list.data[i];
        uint32_t key = ca_sites_key(sites, task);
        struct ca_wait room;
        judge(task, ca_tasks_wait(tasks, task, &room), key == CA_NONE ? 0 : at_site[key],
              is_timed(limits, i), limits);
    }
    free(at_site);
    return true;
}
