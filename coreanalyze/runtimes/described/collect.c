#include <inttypes.h>
#include <string.h>

#include "runtimes/described/ahead.h"
#include "runtimes/described/context.h"

void ca_known_init(struct ca_known *known)
{
    memset(known, 0, sizeof(*known));
    known->state = known->kind = CA_UNSET;
}

static void keep(const struct ca_expr **slot, const struct ca_expr *expr)
{
    if (!*slot && expr->bound)
        *slot = expr;
}

void ca_known_add(struct ca_known *known, const struct ca_outcome *outcome)
{
    if (known->state == CA_UNSET)
        known->state = outcome->state;
    if (known->kind == CA_UNSET)
        known->kind = outcome->kind;
    if (!known->reason && !known->reason_from)
        known->reason = outcome->reason;
    if (!known->exclude)
        known->exclude = outcome->exclude;
    known->system = known->system || outcome->system;
    known->main = known->main || outcome->main;
    if (known->direction == CA_DIRECTION_UNKNOWN)
        known->direction = outcome->direction;
    if (!known->reason)
        keep(&known->reason_from, &outcome->reason_from);
    keep(&known->object, &outcome->object);
    keep(&known->owner, &outcome->owner);
    keep(&known->waiters, &outcome->waiters);
    keep(&known->counter, &outcome->counter);
    keep(&known->fd, &outcome->fd);
    keep(&known->deadline, &outcome->deadline);
    if (!known->cases)
        known->cases = outcome->cases;
    if (!known->any)
        known->any = outcome->any;
    if (!known->object_ring)
        known->object_ring = outcome->object_ring;
}

void ca_known_rules(struct ca_known *known, struct ca_when *rules, const struct ca_scope *scope,
                    uint64_t marks)
{
    for (struct ca_when *rule = rules; rule; rule = rule->next) {
        if (rule->frame && !(marks >> rule->frame_bit & 1))
            continue;
        if (!ca_tests_hold(rule->when, scope, false))
            continue;
        rule->hits += !known->again || rule->frame;
        ca_known_add(known, &rule->outcome);
    }
}

struct ca_scope ca_described_scope(struct ca_described *self, uint64_t here)
{
    return (struct ca_scope){.target = self->base.context.target,
                             .tls = &self->tls,
                             .here = here,
                             .budget = &self->budget};
}

void ca_described_exclude(struct ca_described *self, const char *word)
{
    for (size_t i = 0; i < self->excluded_words.len; i++) {
        if (strcmp(self->excluded_words.data[i].word, word) == 0) {
            self->excluded_words.data[i].count++;
            return;
        }
    }
    if (self->excluded_words.len < 64)
        (void)ca_vec_push(&self->excluded_words, (struct ca_excluded){word, 1});
}

/* ---- time --------------------------------------------------------------------------------- */

static bool scaled(uint64_t value, int64_t factor, int64_t *ret)
{
    return value <= INT64_MAX && !__builtin_mul_overflow((int64_t)value, factor, ret);
}

bool ca_described_time(const struct ca_described *self, const struct ca_expr *expr,
                       const struct ca_scope *scope, int64_t *ret)
{
    static const int64_t factors[] = {1, 1000, 1000000, 1000000000, 1, 1000};
    enum ca_time_unit unit = self->description.unit;
    uint64_t value, words[2];
    int64_t seconds, rest;
    if (!ca_expr_value(expr, scope, &value) || !value || value == UINT64_MAX)
        return false;
    if (unit < CA_TIME_TIMESPEC)
        return scaled(value, factors[unit], ret) && *ret != INT64_MAX;
    return ca_target_read(scope->target, value, words, sizeof(words)) &&
           scaled(words[0], 1000000000, &seconds) && scaled(words[1], factors[unit], &rest) &&
           !__builtin_add_overflow(seconds, rest, ret) && *ret;
}

static int64_t now_of(struct ca_described *self)
{
    struct ca_scope scope = ca_described_scope(self, 0);
    int64_t now;
    if (self->description.now.bound &&
        ca_described_time(self, &self->description.now, &scope, &now))
        return now;
    const struct ca_target *target = self->base.context.target;
    return self->description.clock == CA_CLOCK_REALTIME ? target->wall_ns : target->now_ns;
}

/* ---- finding ------------------------------------------------------------------------------- */

static bool on_item(void *arg, struct ca_source *source, const struct ca_scope *scope)
{
    struct ca_described *self = arg;
    bool fresh;
    if (source->as.exclude) {
        if (!ca_map_put(&self->excluded, scope->here, &fresh))
            return false;
        if (fresh)
            ca_described_exclude(self, source->as.exclude);
        return true;
    }
    uint64_t *slot = ca_map_put(&self->by_address, scope->here, &fresh);
    if (!slot)
        return false;
    if (!fresh)
        return true; /* on two lists: the first one's word counts */
    if (self->found.len == CA_DESCRIBED_TASKS) {
        ca_gaps_add(self->base.context.gaps, self->base.name, 0,
                    "more than %d tasks: the rest is left out", CA_DESCRIBED_TASKS);
        self->budget = 0;
        return true;
    }
    return ca_vec_push(&self->found, (struct ca_found){scope->here, source, CA_NONE});
}

void ca_described_breaks(struct ca_described *self, const struct ca_source *source)
{
    if (source->breaks)
        ca_gaps_add(self->base.context.gaps, self->base.name, source->broke_at,
                    "the %s of line %u broke after %" PRIu64 " elements: %s", source->word,
                    source->line, source->found, source->broke_why);
    for (const struct ca_source *each = source->each; each; each = each->next)
        ca_described_breaks(self, each);
}

static bool find(struct ca_described *self)
{
    struct ca_scope scope = ca_described_scope(self, 0);
    bool ok = true;
    for (struct ca_source *s = self->description.tasks; ok && s; s = s->next) {
        ok = ca_walk(s, &scope, on_item, self);
        ca_described_breaks(self, s);
    }
    return ok;
}

/* ---- which task a thread runs -----------------------------------------------------------------
 */

/* The thread that stands on the stack on which a task was parked last: in the same mapping. */
static bool on_its_stack(struct ca_described *self, uint64_t task, size_t *ret)
{
    struct ca_target *target = self->base.context.target;
    struct ca_scope scope = ca_described_scope(self, task);
    struct ca_regs regs;
    const char *why;
    uint64_t sp;
    scope.quiet = true;
    if (!ca_context_registers(&self->description.context, &scope, &regs, &why) ||
        !ca_target_sp(target->arch, &regs, &sp))
        return false;
    const struct ca_mapping *mapping = ca_target_mapping(target, sp);
    for (size_t i = 0; mapping && i < target->threads.len; i++)
        if (ca_target_sp(target->arch, &target->threads.data[i].regs, &sp) &&
            ca_target_mapping(target, sp) == mapping) {
            *ret = i;
            return true;
        }
    return false;
}

/* `current` is one value for each thread when it is thread-local; a plain global belongs to the
 * only thread, to the one on that task's stack, or else to the main one. */
static void find_current(struct ca_described *self)
{
    struct ca_target *target = self->base.context.target;
    const struct ca_expr *expr = &self->description.current;
    if (!expr->bound)
        return;
    for (size_t i = 0; i < target->threads.len; i++) {
        struct ca_scope scope = ca_described_scope(self, 0);
        uint64_t address;
        scope.thread_pointer = target->threads.data[i].tls;
        bool main = target->threads.len == 1 || target->threads.data[i].tid == target->pid;
        if ((!expr->per_thread && !main) || !ca_expr_address(expr, &scope, &address) || !address)
            continue;
        size_t thread = i;
        if (!expr->per_thread && target->threads.len > 1)
            on_its_stack(self, address, &thread);
        uint64_t *slot = ca_map_put(&self->current, address, NULL);
        if (slot && !*slot)
            *slot = thread + 1;
    }
}

struct bounds {
    uint64_t low, high;
    uint32_t task;
};

static int compare_bounds(const void *a, const void *b)
{
    const struct bounds *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

static int compare_words(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Of sorted words, whether one is in [low, high). */
static bool any_within(const uint64_t *words, size_t count, uint64_t low, uint64_t high)
{
    size_t from = 0, to = count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (words[middle] < low)
            from = middle + 1;
        else
            to = middle;
    }
    return from < count && words[from] < high;
}

/* A thread whose stack pointer is inside a task's stack runs that task, whatever else says. */
static void find_on_stacks(struct ca_described *self, struct ca_tasks *tasks)
{
    struct ca_target *target = self->base.context.target;
    CA_VEC(struct bounds) all = {0};
    CA_VEC(uint64_t) sps = {0};
    for (size_t t = 0; t < target->threads.len; t++) {
        uint64_t sp;
        if (ca_target_sp(target->arch, &target->threads.data[t].regs, &sp) &&
            !ca_vec_push(&sps, sp))
            break;
    }
    if (sps.len)
        qsort(sps.data, sps.len, sizeof(*sps.data), compare_words);
    for (size_t i = self->first; i < tasks->list.len; i++) {
        const struct ca_task *task = &tasks->list.data[i];
        if (any_within(sps.data, sps.len, task->stack_low, task->stack_high) &&
            !ca_vec_push(&all, (struct bounds){task->stack_low, task->stack_high, (uint32_t)i}))
            break;
    }
    if (all.len)
        qsort(all.data, all.len, sizeof(*all.data), compare_bounds);
    for (size_t t = 0; all.len && t < target->threads.len; t++) {
        uint64_t sp;
        size_t low = 0, high = all.len;
        if (!ca_target_sp(target->arch, &target->threads.data[t].regs, &sp))
            continue;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (all.data[middle].low <= sp)
                low = middle + 1;
            else
                high = middle;
        }
        if (!low || sp >= all.data[low - 1].high)
            continue;
        /* A stack that several tasks share says nothing: then `current` must know. */
        if (low > 1 && all.data[low - 2].low == all.data[low - 1].low)
            continue;
        struct ca_task *task = &tasks->list.data[all.data[low - 1].task];
        task->state = CA_STATE_RUNNING;
        task->thread = target->threads.data[t].tid;
        task->reason = NULL;
        uint64_t *slot = ca_map_put(&self->current, task->address, NULL);
        if (slot)
            *slot = t + 1;
    }
    ca_vec_deinit(&sps);
    ca_vec_deinit(&all);
}

/* ---- reading ------------------------------------------------------------------------------- */

const char *ca_described_reason(struct ca_described *self, struct ca_tasks *tasks,
                                const struct ca_known *known, const struct ca_scope *scope)
{
    uint64_t value;
    if (known->reason)
        return ca_strings_intern(&tasks->strings, known->reason, strlen(known->reason));
    const struct ca_expr *expr = known->reason_from;
    if (!expr)
        return NULL;
    if (expr->type && expr->type->kind == CA_CTYPE_ENUM) {
        const char *name = ca_expr_value(expr, scope, &value)
                               ? ca_types_enum_name(&self->types, expr->type, value)
                               : NULL;
        return name ? ca_strings_intern(&tasks->strings, name, strlen(name)) : NULL;
    }
    const char *text = ca_expr_string(expr, scope, &tasks->strings);
    return text && *text ? text : NULL;
}

static struct ca_task blank(const struct ca_described *self, uint64_t address)
{
    return (struct ca_task){.number = address,
                            .address = address,
                            .runtime = self->base.index,
                            .state = CA_STATE_WAITING,
                            .since_ns = CA_UNKNOWN,
                            .thread = CA_UNKNOWN,
                            .wait = CA_NONE,
                            .stack = CA_STACK_NONE,
                            .entry = CA_NONE,
                            .created = CA_NONE,
                            .group = CA_NONE};
}

enum { KNOWNS_MOST = 4096 };

/* The place of equal ones; CA_NONE: not kept, it must be worked out again. */
static uint32_t keep_known(struct ca_described *self, const struct ca_known *known)
{
    bool fresh;
    uint64_t hash = ca_hash_bytes(known, sizeof(*known));
    if (self->knowns.len >= KNOWNS_MOST && !ca_map_get(&self->known_index, hash))
        return CA_NONE;
    uint64_t *slot = ca_map_put(&self->known_index, hash, &fresh);
    if (!slot)
        return CA_NONE;
    if (*slot && memcmp(&self->knowns.data[*slot - 1], known, sizeof(*known)) == 0)
        return (uint32_t)*slot - 1;
    if (*slot || !ca_vec_push(&self->knowns, *known))
        return CA_NONE;
    memcpy(&self->knowns.data[self->knowns.len - 1], known, sizeof(*known)); /* its padding too */
    *slot = self->knowns.len;
    return (uint32_t)*slot - 1;
}

/* Reads what is in the struct. false: not a task after all. */
static bool read_task(struct ca_described *self, struct ca_tasks *tasks, struct ca_found *found)
{
    struct ca_known known_here, *known = &known_here;
    struct ca_scope scope = ca_described_scope(self, found->address);
    uint8_t byte;
    if (ca_map_get(&self->excluded, found->address))
        return false;
    if (!ca_target_read(scope.target, found->address, &byte, 1)) {
        ca_gaps_add(self->base.context.gaps, self->base.name, found->address,
                    "a task's struct is not in memory");
        return false;
    }
    ca_known_init(known);
    ca_known_add(known, &found->source->as);
    ca_known_rules(known, self->description.rules, &scope, 0);
    if (known->exclude || known->state == CA_STATE_DEAD) {
        ca_described_exclude(self, known->exclude ? known->exclude : "dead");
        return false;
    }
    struct ca_task task = blank(self, found->address);
    if (known->state != CA_UNSET)
        task.state = (uint8_t)known->state;
    task.flags = (known->system ? CA_TASK_SYSTEM : 0) | (known->main ? CA_TASK_MAIN : 0);
    task.reason = ca_described_reason(self, tasks, known, &scope);
    ca_described_identify(self, tasks, &task, &scope);
    const uint64_t *thread = ca_map_get(&self->current, found->address);
    if (thread) {
        task.state = CA_STATE_RUNNING;
        task.thread = scope.target->threads.data[*thread - 1].tid;
        task.reason = NULL;
    }
    if (!self->description.frame_rules)
        found->known = keep_known(self, known);
    return ca_vec_push(&tasks->list, task);
}

static bool progress(struct ca_described *self, uint64_t done, uint64_t total)
{
    const struct ca_options *options = self->base.context.options;
    return !options || !options->progress ||
           options->progress(options->progress_arg, "reading tasks", done, total);
}

/* The rules once more, now that the frames are there. */
static void know_again(struct ca_described *self, const struct ca_found *found,
                       const struct ca_scope *scope, uint64_t marks, struct ca_known *ret)
{
    ca_known_init(ret);
    ret->again = true;
    ca_known_add(ret, &found->source->as);
    ca_known_rules(ret, self->description.rules, scope, marks);
}

/* What a task is known for is needed twice: for its struct, and, once every task is known, for what
 * it waits for. */
static void finish_task(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                        const struct ca_found *found)
{
    struct ca_scope scope = ca_described_scope(self, tasks->list.data[index].address);
    struct ca_known again;
    const struct ca_known *known = &again;
    uint64_t marks = 0;
    ca_described_created(self, tasks, &tasks->list.data[index], &scope);
    ca_described_stack(self, tasks, index, &scope);
    ca_described_labels(self, tasks, index, &scope);
    if (self->description.frame_rules)
        marks = ca_described_marks(self, tasks, tasks->list.data[index].stack);
    if (found->known != CA_NONE)
        known = &self->knowns.data[found->known];
    else
        know_again(self, found, &scope, marks, &again);
    if (marks && tasks->list.data[index].state != CA_STATE_RUNNING)
        tasks->list.data[index].reason = ca_described_reason(self, tasks, known, &scope);
    if (tasks->list.data[index].state != CA_STATE_RUNNING &&
        tasks->list.data[index].state != CA_STATE_RUNNABLE)
        ca_described_wait(self, tasks, index, known, &scope);
}

/* Several tasks with one id: it names none of them, and addresses are the ids of all. */
static void use_addresses(struct ca_described *self, struct ca_tasks *tasks, uint64_t twice,
                          uint64_t example)
{
    ca_gaps_add(self->base.context.gaps, self->base.name, 0,
                "%" PRIu64 " %ss have an id that another has too (%" PRIu64
                ", for example): addresses are shown instead",
                twice, self->base.task_noun, example);
    self->base.address_ids = true;
    for (size_t i = self->first; i < tasks->list.len; i++)
        tasks->list.data[i].number = tasks->list.data[i].address;
}

static bool number_tasks(struct ca_described *self, struct ca_tasks *tasks)
{
    uint64_t twice = 0, example = 0;
    ca_map_expect(&self->by_number, tasks->list.len - self->first);
    for (size_t i = self->first; i < tasks->list.len; i++) {
        const struct ca_task *task = &tasks->list.data[i];
        bool fresh;
        uint64_t *by_address = ca_map_put(&self->by_address, task->address, NULL);
        if (by_address)
            *by_address = i + 1;
        uint64_t *by_number = ca_map_put(&self->by_number, task->number, &fresh);
        if (!by_address || !by_number)
            return false;
        if (!fresh && !twice++)
            example = task->number;
        *by_number = fresh ? i + 1 : CA_AMBIGUOUS;
    }
    if (twice)
        use_addresses(self, tasks, twice, example);
    return true;
}

uint32_t ca_described_task_of(const struct ca_described *self, const struct ca_expr *expr,
                              uint64_t value)
{
    const struct ca_ctype *type = expr->type;
    bool pointer = expr->lvalue || !type || type->kind == CA_CTYPE_POINTER;
    const uint64_t *slot = ca_map_get(pointer ? &self->by_address : &self->by_number, value);
    return slot && *slot && *slot != CA_AMBIGUOUS ? (uint32_t)*slot - 1 : CA_NONE;
}

static void set_ages(struct ca_described *self, struct ca_tasks *tasks)
{
    int64_t now = self->now;
    for (size_t i = self->first; i < tasks->list.len; i++) {
        struct ca_task *task = &tasks->list.data[i];
        int64_t since = task->since_ns; /* a point in time until here */
        if (since == CA_UNKNOWN)
            continue;
        if (now == CA_UNKNOWN || since > now || __builtin_sub_overflow(now, since, &task->since_ns))
            task->since_ns = CA_UNKNOWN;
    }
}

static void say_left_out(struct ca_described *self)
{
    char *text = NULL;
    for (size_t i = 0; i < self->excluded_words.len; i++) {
        const struct ca_excluded *e = &self->excluded_words.data[i];
        text = ca_arena_printf(&self->arena, "%s%s%" PRIu64 " %s", text ? text : "",
                               text ? ", " : "", e->count, e->word);
        if (!text)
            break;
    }
    self->base.left_out = text;
}

struct ca_error *ca_described_collect(struct ca_runtime *runtime, struct ca_tasks *tasks)
{
    struct ca_described *self = (struct ca_described *)runtime;
    if (self->misfit)
        return NULL;
    self->budget = CA_DESCRIBED_BUDGET;
    self->first = (uint32_t)tasks->list.len;
    self->latest = CA_UNKNOWN;
    self->now = now_of(self);
    if (!find(self))
        return &ca_error_nomem;
    find_current(self);
    size_t kept = 0;
    for (size_t i = 0; i < self->found.len; i++) {
        size_t before = tasks->list.len;
        if (!(i % 4096) && !progress(self, i, self->found.len)) {
            ca_gaps_add(runtime->context.gaps, runtime->name, 0,
                        "cancelled: the tasks are not complete");
            break;
        }
        if (read_task(self, tasks, &self->found.data[i]) && tasks->list.len > before)
            self->found.data[kept++] = self->found.data[i];
    }
    self->found.len = kept;
    if (!number_tasks(self, tasks))
        return &ca_error_nomem;
    find_on_stacks(self, tasks);
    /* A core was taken soon after what it tells of; a process may have stood still for long. */
    if (self->now == CA_UNKNOWN && self->description.now_latest &&
        runtime->context.target->kind == CA_TARGET_CORE)
        self->now = self->latest;
    struct ca_described_ahead *ahead = ca_described_ahead_start(self);
    for (size_t i = 0; i < kept; i++) {
        ca_described_ahead_tell(ahead, i);
        finish_task(self, tasks, self->first + (uint32_t)i, &self->found.data[i]);
    }
    ca_described_ahead_stop(ahead);
    ca_described_side_waits(self, tasks);
    set_ages(self, tasks);
    ca_described_count(self, tasks);
    say_left_out(self);
    ca_vec_deinit(&self->found);
    return self->nomem ? &ca_error_nomem : NULL;
}
