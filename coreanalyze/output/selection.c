#include "output/selection.h"

#include <stdlib.h>
#include <string.h>

const char *const ca_shown_verdicts[CA_SHOWN_VERDICTS] = {"leaked", "suspect", "waiting", "active",
                                                          "system"};

enum ca_shown_verdict ca_shown_verdict(const char *word)
{
    for (unsigned i = 0; word && i < CA_SHOWN_VERDICTS; i++)
        if (!strcmp(word, ca_shown_verdicts[i]))
            return (enum ca_shown_verdict)i;
    return CA_SHOWN_VERDICTS;
}

struct ca_error *ca_verdicts_parse(const char *words, unsigned *ret)
{
    *ret = (1u << CA_SHOWN_VERDICTS) - 1;
    if (!words)
        return NULL;
    *ret = 0;
    for (const char *at = words;; at++) {
        size_t size = strcspn(at, ",");
        unsigned i = 0;
        while (i < CA_SHOWN_VERDICTS && (strlen(ca_shown_verdicts[i]) != size ||
                                         memcmp(ca_shown_verdicts[i], at, size) != 0))
            i++;
        if (i == CA_SHOWN_VERDICTS)
            return ca_error_create(CA_ERROR_INVALID,
                                   "--verdict: there is no verdict \"%.*s\"; there are leaked, "
                                   "suspect, waiting, active and system",
                                   (int)(size < 40 ? size : 40), at);
        *ret |= 1u << i;
        at += size;
        if (!*at)
            return NULL;
    }
}

void ca_selection_deinit(struct ca_selection *selection)
{
    ca_vec_deinit(&selection->picked);
}

int64_t ca_group_retained(const struct ca_group_info *group, int64_t *known)
{
    *known = 0;
    bool whole = true;
    const int64_t parts[] = {group->stack_bytes, group->heap_bytes};
    for (size_t i = 0; i < 2; i++)
        if (parts[i] == CA_UNKNOWN || __builtin_add_overflow(*known, parts[i], known))
            whole = false;
    return whole ? *known : CA_UNKNOWN;
}

/* ---- order ---- */

struct keyed {
    size_t index;
    int64_t key;
};

/* Largest first, not known (the smallest number) last, else in the session's own order. */
static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

enum order { ORDER_OWN, ORDER_COUNT, ORDER_AGE, ORDER_RETAINED };

static struct ca_error *order_parse(const char *word, enum order *ret)
{
    static const char *const names[] = {NULL, "count", "age", "retained"};
    *ret = ORDER_OWN;
    if (!word)
        return NULL;
    for (unsigned i = ORDER_COUNT; i <= ORDER_RETAINED; i++)
        if (!strcmp(word, names[i])) {
            *ret = (enum order)i;
            return NULL;
        }
    return ca_error_create(CA_ERROR_INVALID,
                           "--sort: cannot sort by \"%.40s\"; by count, age or retained", word);
}

typedef CA_VEC(struct keyed) keyed_vec;

/* Sorts, cuts and hands over the indexes. */
static struct ca_error *take(keyed_vec *from, bool sort, size_t limit, struct ca_selection *ret)
{
    struct ca_error *error = NULL;
    if (sort && from->len)
        qsort(from->data, from->len, sizeof(from->data[0]), by_key);
    ret->total = from->len;
    ret->shown = from->len < limit ? from->len : limit;
    if (!ca_vec_reserve(&ret->picked, ret->shown))
        error = &ca_error_nomem;
    for (size_t i = 0; !error && i < ret->shown; i++)
        ret->picked.data[ret->picked.len++] = from->data[i].index;
    ca_vec_deinit(from);
    return error;
}

static size_t limit_of(const struct ca_request *request, int64_t default_limit)
{
    int64_t limit = request->limit == CA_UNKNOWN ? default_limit : request->limit;
    return limit <= 0 ? SIZE_MAX : (size_t)limit;
}

static int64_t group_key(const struct ca_group_info *group, enum order order)
{
    int64_t known;
    switch (order) {
    case ORDER_COUNT:
        return (int64_t)group->count;
    case ORDER_AGE:
        return group->oldest_ns;
    case ORDER_RETAINED:
        /* What is known of it orders better than nothing at all. */
        ca_group_retained(group, &known);
        return known;
    default:
        return 0;
    }
}

/* A task's share of what its group holds; the task's own age. */
static int64_t task_key(const struct ca_session *session, const struct ca_task_info *task,
                        enum order order)
{
    struct ca_group_info group;
    if (order == ORDER_AGE)
        return task->since_ns;
    if (order == ORDER_OWN || task->group == SIZE_MAX ||
        !ca_session_group(session, task->group, &group) || !group.count)
        return CA_UNKNOWN;
    int64_t key = group_key(&group, order);
    return order == ORDER_RETAINED ? key / (int64_t)group.count : key;
}

/* ---- tasks and groups ---- */

struct ca_error *ca_selection_tasks(struct ca_session *session, const struct ca_request *request,
                                    int64_t default_limit, struct ca_selection *ret)
{
    unsigned verdicts;
    enum order order;
    struct ca_error *error = ca_verdicts_parse(request->verdict, &verdicts);
    if (!error)
        error = order_parse(request->sort, &order);
    if (error)
        return error;
    size_t limit = limit_of(request, default_limit);
    size_t count = ca_session_task_count(session);
    if (!request->verdict && order == ORDER_OWN) {
        ret->all = true;
        ret->total = count;
        ret->shown = count < limit ? count : limit;
        return NULL;
    }
    keyed_vec found = {0};
    for (size_t i = 0; i < count && !error; i++) {
        struct ca_task_info task;
        error = ca_session_task(session, i, &task);
        if (error || (request->verdict && !(verdicts >> ca_shown_verdict(task.verdict) & 1)))
            continue;
        struct keyed one = {i, task_key(session, &task, order)};
        if (!ca_vec_push(&found, one))
            error = &ca_error_nomem;
    }
    if (!error)
        return take(&found, order != ORDER_OWN, limit, ret);
    ca_vec_deinit(&found);
    return error;
}

struct ca_error *ca_selection_groups(struct ca_session *session, const struct ca_request *request,
                                     unsigned default_verdicts, int64_t default_limit,
                                     struct ca_selection *ret)
{
    unsigned verdicts;
    enum order order;
    struct ca_error *error = ca_verdicts_parse(request->verdict, &verdicts);
    if (!error)
        error = order_parse(request->sort, &order);
    if (error)
        return error;
    if (!request->verdict)
        verdicts = default_verdicts;
    keyed_vec found = {0};
    struct ca_group_info group;
    for (size_t i = 0; ca_session_group(session, i, &group); i++) {
        if (!(verdicts >> ca_shown_verdict(group.verdict) & 1))
            continue;
        struct keyed one = {i, group_key(&group, order)};
        if (!ca_vec_push(&found, one)) {
            ca_vec_deinit(&found);
            return &ca_error_nomem;
        }
    }
    return take(&found, order != ORDER_OWN, limit_of(request, default_limit), ret);
}

static void add_retained(struct ca_summary *summary, const struct ca_group_info *group)
{
    int64_t known, whole = ca_group_retained(group, &known);
    if (__builtin_add_overflow(summary->leaked_known, known, &summary->leaked_known))
        summary->leaked_known = INT64_MAX;
    summary->retained =
        whole == CA_UNKNOWN || summary->retained == CA_UNKNOWN ? CA_UNKNOWN : summary->leaked_known;
}

struct ca_error *ca_summary_make(struct ca_session *session, struct ca_summary *ret)
{
    *ret = (struct ca_summary){0};
    struct ca_group_info group;
    for (size_t i = 0; ca_session_group(session, i, &group); i++) {
        enum ca_shown_verdict verdict = ca_shown_verdict(group.verdict);
        if (verdict == CA_SHOWN_VERDICTS)
            return ca_error_create(CA_ERROR_INVALID, "a group without a verdict");
        ret->tasks[verdict] += (int64_t)group.count;
        ret->groups[verdict]++;
        if (verdict == CA_SHOWN_LEAKED)
            add_retained(ret, &group);
    }
    return NULL;
}
