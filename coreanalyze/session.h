/* A session from inside: the tables behind the public calls. Included only by the session's own
 * files, which are the ones that see every room.
 *
 * session.c           open, find runtimes, collect, analyse, close
 * session_attach.c    the same for a live process, which is to stand still for a short time only
 * session_answers.c   the public calls that only look into the tables
 */
#ifndef CA_SESSION_H
#define CA_SESSION_H

#include "analysis/explain.h"
#include "analysis/groups.h"
#include "analysis/proof.h"
#include "analysis/sites.h"
#include "coreanalyze.h"
#include "runtimes/described/check.h"
#include "runtimes/runtime.h"
#include "unwind/locals.h"

struct ca_session {
    struct ca_options options;
    struct ca_gaps gaps;
    struct ca_target *target;
    struct ca_modules *modules;
    CA_VEC(struct ca_runtime *) runtimes; /* by task.runtime */
    struct ca_tasks tasks;
    struct ca_sites sites;
    struct ca_groups groups;
    struct ca_provers provers;

    /* Answers that are borrowed until the next call. */
    CA_VEC(struct ca_frame_info) frames;
    CA_VEC(struct ca_case_info) cases;
    CA_VEC(struct ca_label_info) labels;
    CA_VEC(const char *) notes;
    CA_VEC(size_t) others;
    CA_VEC(struct ca_evidence_info) evidence;
    struct ca_locals locals;
    CA_VEC(struct ca_path_info) path;
    struct ca_checks checks; /* of ca_options.check */
    char build_id[130];
    char signal[32];
};

/* What a call that has read the target's files gives back: error, or, when a file lost bytes in the
 * meantime, that instead. */
struct ca_error *ca_session_check_files(const struct ca_session *session, struct ca_error *error);

/* session.c. An empty session with these options; NULL: no memory. */
struct ca_session *ca_session_create(const struct ca_options *options);
/* Everything that was found goes, but for the target and its modules. */
void ca_session_clear(struct ca_session *session);
struct ca_error *ca_session_find_runtimes(struct ca_session *session);
/* What there is to say of a target without any runtime. */
struct ca_error *ca_session_nothing_found(const struct ca_session *session);
struct ca_error *ca_session_collect(struct ca_session *session);
/* Modules (if not yet open), runtimes, tasks, findings; lets the target go in between. */
struct ca_error *ca_session_run(struct ca_session *session);

/* Formats the id of a task as the contract has it. */
void ca_session_format_id(const struct ca_session *session, const struct ca_task *task,
                          char id[48]);

#endif
