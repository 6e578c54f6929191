#include "session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/rules.h"
#include "base/mapped.h"
#include "output/output.h"

const char *ca_version(void)
{
    return CA_VERSION;
}

enum { THRESHOLD_DEFAULT = 1000 };

struct ca_session *ca_session_create(const struct ca_options *options)
{
    struct ca_session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    if (options && options->size)
        memcpy(&session->options, options,
               options->size < sizeof(session->options) ? options->size : sizeof(session->options));
    if (session->options.threshold <= 0)
        session->options.threshold = THRESHOLD_DEFAULT;
    return session;
}

void ca_session_clear(struct ca_session *session)
{
    ca_proof_deinit(&session->provers);
    for (size_t i = 0; i < session->runtimes.len; i++)
        session->runtimes.data[i]->ops->destroy(session->runtimes.data[i]);
    ca_vec_deinit(&session->runtimes);
    ca_groups_deinit(&session->groups);
    ca_sites_deinit(&session->sites);
    ca_tasks_deinit(&session->tasks);
    memset(&session->groups, 0, sizeof(session->groups));
    memset(&session->sites, 0, sizeof(session->sites));
    memset(&session->tasks, 0, sizeof(session->tasks));
    ca_vec_deinit(&session->checks.list);
}

void ca_session_destroy(struct ca_session *session)
{
    if (!session)
        return;
    CA_MAPPED_SCOPE;
    ca_session_clear(session);
    ca_modules_destroy(session->modules);
    ca_target_destroy(session->target);
    ca_gaps_deinit(&session->gaps);
    ca_vec_deinit(&session->frames);
    ca_vec_deinit(&session->cases);
    ca_vec_deinit(&session->labels);
    ca_vec_deinit(&session->notes);
    ca_vec_deinit(&session->others);
    ca_vec_deinit(&session->evidence);
    ca_locals_deinit(&session->locals);
    ca_vec_deinit(&session->path);
    free(session);
}

static struct ca_error *add_runtimes(struct ca_session *session, struct ca_runtime *first)
{
    struct ca_error *error = NULL;
    while (first) {
        struct ca_runtime *next = first->next;
        first->index = (uint16_t)session->runtimes.len;
        if (error || session->runtimes.len >= UINT16_MAX ||
            !ca_vec_push(&session->runtimes, first)) {
            error = &ca_error_nomem;
            first->ops->destroy(first);
        }
        first = next;
    }
    return error;
}

/* Asks every known runtime. One that is there but unreadable is a gap when another can be read,
 * else the error. */
struct ca_error *ca_session_find_runtimes(struct ca_session *session)
{
    struct ca_context context = {session->target, session->modules, &session->gaps,
                                 &session->options};
    struct ca_error *unreadable = NULL, *error = NULL;
    for (size_t i = 0; ca_runtimes[i] && !error; i++) {
        if (session->options.check && ca_runtimes[i] != &ca_described_ops)
            continue;
        struct ca_runtime *found = NULL;
        struct ca_error *refused = ca_runtimes[i]->probe(&context, &found);
        if (refused == &ca_error_nomem)
            error = refused;
        else if (refused && unreadable)
            ca_gaps_add_error(&session->gaps, "runtime", refused);
        else if (refused)
            unreadable = refused;
        if (!error)
            error = add_runtimes(session, found);
    }
    if (!error && unreadable && !session->runtimes.len)
        return unreadable;
    ca_gaps_add_error(&session->gaps, "runtime", unreadable);
    return error;
}

/* What is known of a target without any runtime. */
struct ca_error *ca_session_nothing_found(const struct ca_session *session)
{
    const struct ca_target *target = session->target;
    const struct ca_module *main = ca_modules_main(session->modules);
    const char *program = target->program[0] ? target->program : "the program";
    if (main && main->name && main->name[0])
        program = main->name;
    const char *why =
        main && !main->file ? "; its executable was not found here: give it by --exe" : "";
    return ca_error_create(
        CA_ERROR_NOT_FOUND,
        "no known coroutine runtime in %s (%s, %zu threads, %zu modules)%s; Go programs and "
        "runtimes with a description (--runtime-file) are known",
        program, ca_arch_name(target->arch) ? ca_arch_name(target->arch) : "unknown machine",
        target->threads.len, session->modules->list.len, why);
}

struct ca_error *ca_session_collect(struct ca_session *session)
{
    for (size_t i = 0; i < session->runtimes.len; i++) {
        struct ca_runtime *runtime = session->runtimes.data[i];
        struct ca_error *error = runtime->ops->collect(runtime, &session->tasks);
        if (!error)
            continue;
        if (error == &ca_error_nomem || (session->runtimes.len == 1 && !session->tasks.list.len &&
                                         error->code != CA_ERROR_CANCELLED))
            return error;
        ca_gaps_add_error(&session->gaps, runtime->name, error);
    }
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        session->runtimes.data[task->runtime]->listed++;
        session->runtimes.data[task->runtime]->system += (task->flags & CA_TASK_SYSTEM) != 0;
    }
    return ca_tasks_sort(&session->tasks) ? NULL : &ca_error_nomem;
}

/* The runtime's own counter against what was listed. */
static void compare_counts(struct ca_session *session)
{
    for (size_t i = 0; i < session->runtimes.len; i++) {
        const struct ca_runtime *runtime = session->runtimes.data[i];
        if (runtime->counted != CA_UNKNOWN && runtime->counted > 0 && runtime->listed == 0)
            ca_gaps_add(&session->gaps, runtime->name, 0,
                        "the runtime counts %" PRId64 " tasks, none could be read",
                        runtime->counted);
    }
}

static struct ca_error *apply_rules(struct ca_session *session)
{
    struct ca_rules rules = {0};
    struct ca_error *error =
        session->options.rules ? ca_rules_load(session->options.rules, &rules) : NULL;
    if (!error && !ca_rules_apply(&rules, session->options.own, &session->tasks, &session->sites))
        error = &ca_error_nomem;
    ca_rules_deinit(&rules);
    return error;
}

/* Is any suspect by a rule that leaves out what a timer releases? */
static bool rules_fired(const struct ca_tasks *tasks)
{
    for (size_t i = 0; i < tasks->list.len; i++)
        if (tasks->list.data[i].rule == CA_RULE_THRESHOLD ||
            tasks->list.data[i].rule == CA_RULE_MIN_AGE)
            return true;
    return false;
}

/* By the rules. What timers will do is looked up only when it makes a difference. */
static struct ca_error *judge(struct ca_session *session)
{
    struct ca_verdict_limits limits = {session->options.threshold, session->options.min_age_ns,
                                       NULL};
    bool any = false;
    if (!ca_verdict_judge(&session->tasks, &session->sites, &limits))
        return &ca_error_nomem;
    if (!rules_fired(&session->tasks))
        return NULL;
    uint8_t *timed = calloc(session->tasks.list.len + 1, 1);
    struct ca_error *error =
        timed ? ca_proof_timed(&session->provers, timed, &any) : &ca_error_nomem;
    limits.timed = timed;
    if (!error && any && !ca_verdict_judge(&session->tasks, &session->sites, &limits))
        error = &ca_error_nomem;
    free(timed);
    return error;
}

static struct ca_error *analyse(struct ca_session *session)
{
    struct ca_error *error =
        ca_sites_name(&session->sites, &session->tasks, session->runtimes.data);
    if (!error)
        error = judge(session);
    if (error)
        return error;
    error = ca_proof_run(&session->provers, session->runtimes.data, session->runtimes.len,
                         &session->tasks, &session->options);
    if (!error)
        error = apply_rules(session);
    if (error)
        return error;
    if (!ca_groups_make(&session->groups, &session->tasks, &session->sites))
        return &ca_error_nomem;
    return ca_proof_groups(&session->provers, &session->tasks, &session->groups);
}

/* A core that is not finished yet: what was read is right, but there will be more. */
static void note_changed(struct ca_session *session)
{
    struct ca_target *target = session->target;
    uint64_t before, now;
    if (!target->changed || !target->changed(target, &before, &now))
        return;
    target->complete = false;
    ca_gaps_add(&session->gaps, "the core", 0,
                "it was written to while it was being read (%" PRIu64 " bytes then, %" PRIu64
                " now): ask again when it is finished",
                before, now);
}

struct ca_error *ca_session_run(struct ca_session *session)
{
    struct ca_error *error = NULL;
    if (!session->modules)
        error =
            ca_modules_open(session->target, &session->options, &session->gaps, &session->modules);
    if (!error)
        error = ca_session_find_runtimes(session);
    if (!error && !session->runtimes.len)
        error = ca_session_nothing_found(session);
    if (!error)
        error = ca_session_collect(session);
    if (!error)
        error = ca_proof_prepare(&session->provers, session->runtimes.data, session->runtimes.len,
                                 &session->tasks, &session->options, &session->gaps);
    if (!error && !session->options.hold)
        ca_target_release(session->target);
    if (!error)
        error = analyse(session);
    if (!error) {
        compare_counts(session);
        note_changed(session);
        if (session->options.check && session->runtimes.len)
            error = ca_checks_make(session->runtimes.data[0], &session->checks);
        ca_gaps_close(&session->gaps);
    }
    return error;
}

struct ca_error *ca_session_check_files(const struct ca_session *session, struct ca_error *error)
{
    struct ca_error *lost = NULL;
    if (!ca_mapped_any_lost())
        return error;
    if (session->target && session->target->check)
        lost = session->target->check(session->target);
    if (!lost && session->modules)
        lost = ca_modules_check(session->modules);
    if (!lost)
        return error;
    ca_error_destroy(error);
    return lost;
}

/* Takes over: opens what the target holds, or destroys everything. */
static struct ca_error *finish(struct ca_session *session, struct ca_error *error,
                               struct ca_session **ret)
{
    if (!error)
        error = ca_session_run(session);
    error = ca_session_check_files(session, error);
    if (error) {
        ca_session_destroy(session);
        return error;
    }
    *ret = session;
    return NULL;
}

struct ca_error *ca_session_open_core(const char *path, const struct ca_options *options,
                                      struct ca_session **ret)
{
    CA_MAPPED_SCOPE;
    struct ca_session *session = ca_session_create(options);
    if (!session)
        return &ca_error_nomem;
    return finish(session, ca_target_open_core(path, &session->gaps, &session->target), ret);
}

struct ca_error *ca_session_from_ops(const struct ca_target_ops *ops, void *arg,
                                     const struct ca_options *options, struct ca_session **ret)
{
    CA_MAPPED_SCOPE;
    struct ca_session *session = ca_session_create(options);
    if (!session)
        return &ca_error_nomem;
    return finish(session, ca_target_from_ops(ops, arg, &session->gaps, &session->target), ret);
}

struct ca_error *ca_session_write(struct ca_session *session, const struct ca_request *request,
                                  ca_sink_fn *sink, void *arg, int *status)
{
    CA_MAPPED_SCOPE;
    return ca_session_check_files(session, ca_output_write(session, request, sink, arg, status));
}
