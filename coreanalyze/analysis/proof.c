#include "analysis/proof.h"

#include "analysis/evidence.h"
#include "analysis/pattern.h"

#include <inttypes.h>
#include <string.h>

enum {
    WAITS_MAX = 65536,
    AHEAD = 8, /* tasks whose memory is asked for before their roots are */
};

/* ---- watching ---------------------------------------------------------------------------- */

/* Only waiting for what somebody must hold can be proved endless. */
static bool may_be_candidate(const struct ca_task *task)
{
    return task->state == CA_STATE_WAITING &&
           !(task->flags & (CA_TASK_SYSTEM | CA_TASK_PROOF_ROOT)) && task->wait != CA_NONE;
}

/* A candidate is told when any of its objects is reached; one that is outside all objects (a
 * global, a stack) is reached from the start. */
static void watch_task(struct ca_prover *prover, uint32_t task, uint64_t *objects)
{
    const struct ca_heap_ops *ops = prover->heap->ops;
    if (!may_be_candidate(&prover->tasks->list.data[task]))
        return;
    size_t count = ops->waits_on(prover->heap, task, objects, WAITS_MAX);
    if (count == SIZE_MAX)
        return;
    prover->status[task] = CA_PROVER_CANDIDATE;
    for (size_t i = 0; i < count; i++)
        if (!ca_mark_watch(&prover->mark, objects[i], CA_WATCH_TASK, task) &&
            !ca_vec_push(&prover->mark.tasks, task))
            prover->mark.failed = true;
}

static struct ca_error *watch_all(struct ca_prover *prover)
{
    uint64_t *objects = malloc(WAITS_MAX * sizeof(*objects));
    if (!objects)
        return &ca_error_nomem;
    for (size_t i = 0; i < prover->heap->opaque.len; i++)
        ca_mark_opaque(&prover->mark, prover->heap->opaque.data[i]);
    ca_vec_deinit(&prover->heap->opaque); /* a bit for each is enough from here on */
    for (size_t i = 0; i < prover->tasks->list.len; i++)
        if (prover->tasks->list.data[i].runtime == prover->heap->runtime->index)
            watch_task(prover, (uint32_t)i, objects);
    free(objects);
    for (size_t i = 0; i < prover->heap->specials.len; i++) {
        uint64_t object = prover->heap->specials.data[i].object;
        if (!ca_mark_watch(&prover->mark, object, CA_WATCH_SPECIAL, (uint32_t)i))
            ca_mark_values(&prover->mark, &object, 1, true); /* of what is free: damage */
    }
    return prover->mark.failed ? &ca_error_nomem : NULL;
}

/* ---- the fixpoint ------------------------------------------------------------------------ */

static void expect_task(const struct ca_prover *prover, uint32_t task)
{
    if (prover->heap->ops->expect_task)
        prover->heap->ops->expect_task(prover->heap, task);
}

static void mark_task(struct ca_prover *prover, uint32_t task)
{
    struct ca_root_sink sink = ca_mark_sink(&prover->mark);
    const struct ca_heap_ops *ops = prover->heap->ops;
    const uint32_t *words;
    uint64_t objects[256], base;
    size_t held = ops->task_holds ? ops->task_holds(prover->heap, task, &words, &base) : SIZE_MAX;
    if (held != SIZE_MAX)
        ca_mark_holdings(&prover->mark, base, words, held);
    else
        ops->task_roots(prover->heap, task, &sink);
    size_t count = prover->heap->ops->task_objects(prover->heap, task, objects, 256);
    for (size_t i = 0; i < count; i++)
        ca_mark_only(&prover->mark, objects[i]);
}

static void mark_special(struct ca_prover *prover, const struct ca_special *special)
{
    if (special->kind == CA_SPECIAL_WEAK && special->unsure)
        ca_mark_keep(&prover->mark, special->values[0]);
    else
        ca_mark_values(&prover->mark, special->values, 3, true);
}

/* Marks until nobody wakes any more. */
static void settle(struct ca_prover *prover)
{
    struct ca_mark *mark = &prover->mark;
    for (;;) {
        ca_mark_drain(mark);
        if (mark->failed || mark->cancelled)
            return;
        if (mark->specials.len > 0) {
            mark_special(prover,
                         &prover->heap->specials.data[mark->specials.data[--mark->specials.len]]);
        } else if (mark->tasks.len > 0) {
            uint32_t task = mark->tasks.data[--mark->tasks.len];
            if (prover->status[task] != CA_PROVER_CANDIDATE)
                continue;
            if (mark->tasks.len > AHEAD)
                expect_task(prover, mark->tasks.data[mark->tasks.len - AHEAD]);
            prover->status[task] = CA_PROVER_WOKEN;
            mark_task(prover, task);
        } else if (!ca_mark_doubtful(mark)) {
            return;
        }
    }
}

static void mark_roots(struct ca_prover *prover)
{
    struct ca_root_sink sink = ca_mark_sink(&prover->mark);
    prover->heap->ops->roots(prover->heap, &sink);
    for (size_t i = 0; i < prover->tasks->list.len; i++)
        if (prover->tasks->list.data[i].runtime == prover->heap->runtime->index &&
            prover->status[i] == CA_PROVER_ROOT) {
            if (i + AHEAD < prover->tasks->list.len)
                expect_task(prover, (uint32_t)(i + AHEAD));
            mark_task(prover, (uint32_t)i);
            ca_mark_drain(&prover->mark);
        }
}

/* Does a lost object wait for its finalizer or cleanup, so that it matters by whom it is lost? */
static bool some_special_is_lost(const struct ca_prover *prover)
{
    for (size_t i = 0; i < prover->heap->specials.len; i++) {
        const struct ca_special *special = &prover->heap->specials.data[i];
        if (special->kind != CA_SPECIAL_WEAK && !ca_mark_reached(&prover->mark, special->object))
            return true;
    }
    return false;
}

/* Nothing but words that may be stale keeps these objects: what hangs on them may run. */
static void find_doomed(struct ca_prover *prover)
{
    const struct ca_mark *mark = &prover->mark;
    for (size_t i = 0; i < prover->heap->specials.len; i++) {
        struct ca_special *special = &prover->heap->specials.data[i];
        struct ca_place place;
        special->doomed = special->kind != CA_SPECIAL_WEAK &&
                          ca_mark_find(mark, special->object, &place) &&
                          !ca_mark_bit(prover->all, ca_mark_number(mark, &place));
    }
}

/* Goes on marking from the leaked tasks, in a copy: what an ordinary collection keeps. Finalizers
 * are its roots (with all that the object reaches), whatever becomes of the object. */
static struct ca_error *mark_the_rest(struct ca_prover *prover)
{
    struct ca_mark *mark = &prover->mark;
    size_t size = (prover->heap->slots / 64 + 1) * sizeof(uint64_t);
    uint64_t *live = mark->bits, marked = mark->marked;
    bool doubting = mark->doubting;
    if (!prover->all && !(prover->all = malloc(size)))
        return &ca_error_nomem;
    /* The tasks' own records never come back: they count as live. */
    for (size_t i = 0; i < prover->tasks->list.len; i++)
        if (prover->tasks->list.data[i].runtime == prover->heap->runtime->index)
            ca_mark_only(mark, prover->tasks->list.data[i].address);
    memcpy(prover->all, live, size);
    mark->bits = prover->all;
    mark->deaf = true;
    mark->doubting = false;
    for (size_t i = 0; i < prover->heap->specials.len; i++) {
        const struct ca_special *special = &prover->heap->specials.data[i];
        struct ca_place place;
        if (special->kind != CA_SPECIAL_FINALIZER || !ca_mark_find(mark, special->object, &place) ||
            ca_mark_bit(live, ca_mark_number(mark, &place)))
            continue;
        ca_mark_follow(mark, special->object);
        mark_special(prover, special);
    }
    ca_mark_drain(mark);
    for (size_t i = 0; i < prover->tasks->list.len; i++)
        if (prover->status[i] == CA_PROVER_CANDIDATE) {
            mark_task(prover, (uint32_t)i);
            ca_mark_drain(mark);
        }
    find_doomed(prover);
    if (ca_mark_doubtful(mark))
        ca_mark_drain(mark);
    mark->doubting = doubting;
    mark->deaf = false;
    mark->bits = live;
    mark->marked = marked;
    return mark->failed ? &ca_error_nomem : NULL;
}

/* What will run: the finalizers and cleanups of objects that even an ordinary collection loses. */
static void mark_doomed(struct ca_prover *prover)
{
    struct ca_mark *mark = &prover->mark;
    for (size_t i = 0; i < prover->heap->specials.len; i++) {
        const struct ca_special *special = &prover->heap->specials.data[i];
        if (!special->doomed)
            continue;
        mark_special(prover, special);
        if (special->kind == CA_SPECIAL_FINALIZER)
            ca_mark_values(mark, &special->object, 1, true);
    }
}

struct ca_error *ca_prover_rest(struct ca_prover *prover)
{
    return prover->all ? NULL : mark_the_rest(prover);
}

/* ---- verdicts ---------------------------------------------------------------------------- */

static bool trustworthy(struct ca_prover *prover)
{
    const struct ca_mark *mark = &prover->mark;
    if (mark->cancelled) {
        ca_gaps_add(prover->gaps, "proof", 0, "marking was stopped on request: nothing is proved");
        return false;
    }
    if (prover->heap->broken) {
        ca_gaps_add(prover->gaps, "proof", 0,
                    "not all memory that may hold a pointer can be read: nothing is proved");
        return false;
    }
    if (mark->astray > 0) {
        ca_gaps_add(prover->gaps, "proof", mark->astray_at,
                    "%" PRIu64 " pointers lead to freed memory: damaged, so nothing is proved",
                    mark->astray);
        return false;
    }
    return true;
}

/* select {} in the main task is how a program says that others do the work. */
static bool waits_on_purpose(const struct ca_tasks *tasks, const struct ca_task *task)
{
    return (task->flags & CA_TASK_MAIN) &&
           ca_waits_get(&tasks->waits, task->wait).kind == CA_WAIT_NOTHING;
}

static void set_verdicts(struct ca_prover *prover)
{
    for (size_t i = 0; i < prover->tasks->list.len; i++) {
        struct ca_task *task = &prover->tasks->list.data[i];
        if (prover->status[i] != CA_PROVER_CANDIDATE || waits_on_purpose(prover->tasks, task))
            continue;
        task->verdict = CA_VERDICT_LEAKED;
        task->proof = CA_PROOF_UNREACHABLE;
        task->rule = CA_RULE_NONE;
        prover->leaked++;
    }
}

static struct ca_error *prove(struct ca_prover *prover, const struct ca_options *options)
{
    if (!prover->heap->broken && !ca_heap_number(prover->heap)) {
        ca_gaps_add(prover->gaps, "heap", 0, "parts of it overlap: it is damaged");
        prover->heap->broken = true;
    }
    if (prover->heap->broken) {
        trustworthy(prover);
        return NULL;
    }
    struct ca_error *error = ca_mark_init(&prover->mark, prover->heap);
    if (error)
        return error;
    prover->ready = true;
    prover->mark.progress = options->progress;
    prover->mark.progress_arg = options->progress_arg;
    prover->status = calloc(prover->tasks->list.len + 1, 1);
    if (!prover->status)
        return &ca_error_nomem;
    if ((error = watch_all(prover)))
        return error;
    mark_roots(prover);
    settle(prover);
    if (!prover->mark.failed && some_special_is_lost(prover)) {
        if ((error = mark_the_rest(prover)))
            return error;
        mark_doomed(prover);
        settle(prover);
    }
    if (prover->mark.failed)
        return &ca_error_nomem;
    prover->proved = trustworthy(prover);
    return NULL;
}

/* ---- making ------------------------------------------------------------------------------ */

static struct ca_error *prepare_one(struct ca_provers *provers, struct ca_runtime *runtime,
                                    struct ca_tasks *tasks, const struct ca_options *options,
                                    struct ca_gaps *gaps)
{
    struct ca_prover prover = {.tasks = tasks, .gaps = gaps};
    struct ca_error *error = runtime->ops->heap->prepare(runtime, tasks, &prover.heap);
    if (error)
        return error;
    if (!prover.heap)
        return NULL;
    if (!ca_vec_push(&provers->list, prover)) {
        prover.heap->ops->destroy(prover.heap);
        return &ca_error_nomem;
    }
    return prove(&provers->list.data[provers->list.len - 1], options);
}

struct ca_error *ca_proof_prepare(struct ca_provers *provers, struct ca_runtime *const *runtimes,
                                  size_t count, struct ca_tasks *tasks,
                                  const struct ca_options *options, struct ca_gaps *gaps)
{
    struct ca_error *error = NULL;
    for (size_t i = 0; i < count && !error && !options->no_proof; i++)
        if (runtimes[i]->ops->heap)
            error = prepare_one(provers, runtimes[i], tasks, options, gaps);
    return error;
}

static void prover_deinit(struct ca_prover *prover)
{
    if (prover->ready)
        ca_mark_deinit(&prover->mark);
    free(prover->status);
    free(prover->all);
    prover->heap->ops->destroy(prover->heap);
}

void ca_proof_deinit(struct ca_provers *provers)
{
    for (size_t i = 0; i < provers->list.len; i++)
        prover_deinit(&provers->list.data[i]);
    ca_vec_deinit(&provers->list);
}

struct ca_prover *ca_proof_of(struct ca_provers *provers, const struct ca_task *task)
{
    for (size_t i = 0; i < provers->list.len; i++)
        if (provers->list.data[i].heap->runtime->index == task->runtime)
            return provers->list.data[i].proved ? &provers->list.data[i] : NULL;
    return NULL;
}

struct ca_error *ca_proof_run(struct ca_provers *provers, struct ca_runtime *const *runtimes,
                              size_t count, struct ca_tasks *tasks,
                              const struct ca_options *options)
{
    for (size_t i = 0; i < provers->list.len; i++)
        if (provers->list.data[i].proved)
            set_verdicts(&provers->list.data[i]);
    if (!options->no_proof && !ca_deadlock_run(runtimes, count, tasks))
        return &ca_error_nomem;
    return NULL;
}

struct ca_error *ca_proof_groups(struct ca_provers *provers, struct ca_tasks *tasks,
                                 struct ca_groups *groups)
{
    int64_t *bytes = calloc(2 * groups->list.len + 2, sizeof(*bytes));
    int64_t *shared = bytes ? bytes + groups->list.len + 1 : NULL;
    struct ca_error *error = bytes ? NULL : &ca_error_nomem;
    for (size_t i = 0; i < provers->list.len && !error; i++) {
        struct ca_prover *prover = &provers->list.data[i];
        if (!prover->proved || prover->leaked == 0)
            continue;
        error = ca_retained_run(prover, groups->list.len, bytes, shared);
        for (size_t g = 0; g < groups->list.len && !error; g++)
            if (groups->list.data[g].proof == CA_PROOF_UNREACHABLE)
                groups->list.data[g].heap_bytes = bytes[g];
    }
    for (size_t g = 0; g < groups->list.len && !error; g++) {
        struct ca_group *group = &groups->list.data[g];
        const struct ca_task *first = &tasks->list.data[groups->members.data[group->first]];
        int64_t more = group->heap_bytes == CA_UNKNOWN ? 0 : shared[g];
        ca_pattern_find(group, tasks, groups, ca_proof_of(provers, first));
        if (!ca_evidence_of_group(groups, g, tasks, more))
            error = &ca_error_nomem;
    }
    free(bytes);
    return error;
}
