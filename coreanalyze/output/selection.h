/* What a request leaves to show: --verdict, --sort and --limit, the same for text and JSON. */
#ifndef CA_OUTPUT_SELECTION_H
#define CA_OUTPUT_SELECTION_H

#include "base/vec.h"
#include "coreanalyze.h"

enum ca_shown_verdict {
    CA_SHOWN_LEAKED,
    CA_SHOWN_SUSPECT,
    CA_SHOWN_WAITING,
    CA_SHOWN_ACTIVE,
    CA_SHOWN_SYSTEM,
    CA_SHOWN_VERDICTS
};
extern const char *const ca_shown_verdicts[CA_SHOWN_VERDICTS];

/* CA_SHOWN_VERDICTS when the word is none of them, or NULL. */
enum ca_shown_verdict ca_shown_verdict(const char *word);

/* Bit n: verdict n. NULL means all. */
struct ca_error *ca_verdicts_parse(const char *words, unsigned *ret);

struct ca_selection {
    CA_VEC(size_t) picked; /* indexes, when not all are wanted in their own order */
    bool all;              /* the first `shown` of the session's own order; picked is empty */
    size_t total;          /* that passed the filter */
    size_t shown;          /* of these, after the limit */
};

void ca_selection_deinit(struct ca_selection *selection);

/* Tasks, or groups. default_limit: for a request that names none; 0: no limit. */
struct ca_error *ca_selection_tasks(struct ca_session *session, const struct ca_request *request,
                                    int64_t default_limit, struct ca_selection *ret);
struct ca_error *ca_selection_groups(struct ca_session *session, const struct ca_request *request,
                                     unsigned default_verdicts, int64_t default_limit,
                                     struct ca_selection *ret);

/* The i-th index to show, i < shown. */
static inline size_t ca_selection_at(const struct ca_selection *selection, size_t i)
{
    return selection->all ? i : selection->picked.data[i];
}

/* Tasks and groups by verdict. */
struct ca_summary {
    int64_t tasks[CA_SHOWN_VERDICTS], groups[CA_SHOWN_VERDICTS];
    int64_t retained;     /* what the leaked ones hold; CA_UNKNOWN when any part is not known */
    int64_t leaked_known; /* the parts of it that are known */
};
struct ca_error *ca_summary_make(struct ca_session *session, struct ca_summary *ret);

/* Stack and heap of a group together, CA_UNKNOWN when either is; *known: what is known of it. */
int64_t ca_group_retained(const struct ca_group_info *group, int64_t *known);

#endif
