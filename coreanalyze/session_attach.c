/* A live process is to stand still for as short a time as possible. So everything is done once
 * while it runs: modules are opened, runtimes found, their memory walked. That picture may be torn
 * and is thrown away, but then it is known which memory is wanted, and room for it is there. The
 * process is stopped; that memory is copied again at one go, and the runtimes have loaded what is
 * new since. It runs on, and the analysis works on the copy.
 *
 * What is copied is what the analysis looks at: descriptors and stacks, and for the proof those
 * parts of the heap that may hold pointers, unless they are larger than copy_limit: then nothing is
 * proved, and a gap says so. (Marking while the target stands still would not do with less: it
 * copies the same memory, a little at a time.) Stacks are copied by the page although only a part
 * is in use: a hundred thousand small pieces take as long as the whole pages that they lie in.
 *
 * Should it turn out that something was not copied, the process is stopped again, and this time it
 * stands still until all has been read.
 */
#include "session.h"

#include <string.h>

#include "base/mapped.h"
#include "target/procfs.h"
#include "target/trace.h"

/* While it runs. What fails here for another reason than memory may do so because it runs, and is
 * tried again. */
static struct ca_error *rehearse(struct ca_session *draft)
{
    bool proof = !draft->options.no_proof;
    struct ca_error *error = ca_session_find_runtimes(draft);
    if (!error && !draft->runtimes.len)
        return ca_session_nothing_found(draft);
    if (!error)
        error = ca_session_collect(draft);
    for (size_t i = 0; !error && i < draft->runtimes.len; i++)
        if (draft->runtimes.data[i]->ops->hold)
            error = draft->runtimes.data[i]->ops->hold(draft->runtimes.data[i], proof);
    if (error == &ca_error_nomem)
        return error;
    ca_error_destroy(error);
    return NULL;
}

/* Whether every runtime can work on a copy. */
static bool all_hold(const struct ca_session *draft)
{
    for (size_t i = 0; i < draft->runtimes.len; i++)
        if (!draft->runtimes.data[i]->ops->hold)
            return false;
    return draft->runtimes.len != 0;
}

static struct ca_error *hold_and_release(struct ca_session *draft)
{
    struct ca_error *error = NULL;
    for (size_t i = 0; !error && i < draft->runtimes.len; i++)
        error =
            draft->runtimes.data[i]->ops->hold(draft->runtimes.data[i], !draft->options.no_proof);
    ca_target_release(draft->target);
    return error;
}

/* Other files are mapped than those that were opened. */
static void forget_modules(struct ca_session *session)
{
    session->target->segments.len = 0;
    session->target->near = (struct ca_segment){0};
    ca_modules_destroy(session->modules);
    session->modules = NULL;
    ca_gaps_deinit(&session->gaps);
    memset(&session->gaps, 0, sizeof(session->gaps));
}

/* Stops it, and lets it go again unless something speaks against it. */
static struct ca_error *take(struct ca_session *session, struct ca_session *draft)
{
    bool moved = false;
    struct ca_error *error = ca_target_freeze(session->target, &session->gaps, &moved);
    if (!error && !moved && all_hold(draft))
        error = hold_and_release(draft);
    ca_session_clear(draft);
    if (moved)
        forget_modules(session);
    return error;
}

static struct ca_error *run(struct ca_session *session)
{
    bool moved = false, released = !session->target->release;
    struct ca_error *error = ca_session_run(session);
    if (!released || !session->target->missed || error == &ca_error_nomem)
        return error;
    ca_error_destroy(error);
    ca_session_clear(session);
    forget_modules(session);
    error = ca_target_freeze(session->target, &session->gaps, &moved);
    return error ? error : ca_session_run(session);
}

static struct ca_error *attach(struct ca_session *session, struct ca_session *draft)
{
    struct ca_target *target = session->target;
    struct ca_error *error =
        ca_modules_open(target, &session->options, &session->gaps, &session->modules);
    if (error)
        return error;
    draft->target = target;
    draft->modules = session->modules;
    error = rehearse(draft);
    if (!error)
        error = take(session, draft);
    ca_session_clear(draft);
    return error ? error : run(session);
}

enum { COPY_MAX_GB = 4 }; /* the target stands still for about a second while so much is copied */

static uint64_t copy_limit(const struct ca_options *options)
{
    uint64_t free = ca_procfs_memory_available(), most = (uint64_t)COPY_MAX_GB << 30;
    if (options->copy_limit > 0)
        return (uint64_t)options->copy_limit;
    return free && free / 2 < most ? free / 2 : most;
}

static struct ca_error *attach_and_run(struct ca_session *session, int64_t pid)
{
    const struct ca_options *options = &session->options;
    if (options->no_stop || options->hold || options->check) {
        struct ca_error *error =
            ca_target_attach(pid, !options->no_stop, &session->gaps, &session->target);
        if (!error)
            session->target->copy_limit = copy_limit(options);
        return error ? error : ca_session_run(session);
    }
    struct ca_session *draft = ca_session_create(options);
    if (!draft)
        return &ca_error_nomem;
    struct ca_error *error = ca_target_attach(pid, false, &draft->gaps, &session->target);
    if (!error)
        error = ca_trace_busy(session->target->pid);
    if (!error) {
        session->target->copy_limit = copy_limit(options);
        error = attach(session, draft);
    }
    draft->target = NULL;
    draft->modules = NULL;
    ca_session_destroy(draft);
    /* What cannot be read of a process that is about to end has no better reason. */
    struct ca_error *gone = error && error != &ca_error_nomem && session->target
                                ? ca_trace_gone(session->target->pid)
                                : NULL;
    if (gone)
        ca_error_destroy(error);
    return gone ? gone : error;
}

struct ca_error *ca_session_attach(int64_t pid, const struct ca_options *options,
                                   struct ca_session **ret)
{
    CA_MAPPED_SCOPE;
    struct ca_session *session = ca_session_create(options);
    if (!session)
        return &ca_error_nomem;
    struct ca_error *error = ca_session_check_files(session, attach_and_run(session, pid));
    if (error) {
        ca_session_destroy(session);
        return error;
    }
    *ret = session;
    return NULL;
}
