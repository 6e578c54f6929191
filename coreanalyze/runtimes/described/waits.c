/* What a task waits for: once all tasks are known, so that owners can be told. */
#include <string.h>

#include "runtimes/described/described.h"

enum { CASES = 1024 };

static int64_t number_of(const struct ca_expr *expr, const struct ca_scope *scope)
{
    uint64_t value;
    if (!expr || !expr->bound || !ca_expr_value(expr, scope, &value))
        return CA_UNKNOWN;
    return (int64_t)value == CA_UNKNOWN ? CA_UNKNOWN : (int64_t)value;
}

static uint32_t task_of(const struct ca_described *self, const struct ca_expr *expr,
                        const struct ca_scope *scope)
{
    uint64_t value;
    if (!expr || !expr->bound || !ca_expr_value(expr, scope, &value) || !value)
        return CA_NONE;
    return ca_described_task_of(self, expr, value);
}

static int64_t deadline_of(const struct ca_described *self, const struct ca_expr *expr,
                           const struct ca_scope *scope, bool *given)
{
    int64_t at;
    if (!expr || !expr->bound || !ca_described_time(self, expr, scope, &at))
        return CA_UNKNOWN;
    *given = true;
    int64_t left;
    if (self->now == CA_UNKNOWN || __builtin_sub_overflow(at, self->now, &left))
        return CA_UNKNOWN;
    return left;
}

/* The waited-for object's own fields. */
static void add_object(const struct ca_described *self, const struct ca_object *object,
                       const struct ca_scope *scope, uint64_t address, struct ca_wait *wait)
{
    struct ca_scope own = *scope;
    own.here = address;
    if (wait->kind == CA_WAIT_UNKNOWN && object->kind != CA_UNSET)
        wait->kind = (enum ca_wait_kind)object->kind;
    if (wait->owner == CA_NONE)
        wait->owner = task_of(self, &object->owner, &own);
    if (wait->waiters == CA_UNKNOWN)
        wait->waiters = number_of(&object->waiters, &own);
    if (wait->counter == CA_UNKNOWN)
        wait->counter = number_of(&object->counter, &own);
    if (wait->fd == CA_UNKNOWN)
        wait->fd = number_of(&object->fd, &own);
    if (wait->deadline_ns == CA_UNKNOWN)
        wait->deadline_ns = deadline_of(self, &object->deadline, &own, &wait->ends_by_timer);
}

static void add_channel(const struct ca_object *object, const struct ca_scope *scope,
                        uint64_t address, struct ca_case *channel)
{
    struct ca_scope own = *scope;
    own.here = address;
    channel->capacity = number_of(&object->capacity, &own);
    channel->length = number_of(&object->length, &own);
    channel->senders = number_of(&object->senders, &own);
    channel->receivers = number_of(&object->receivers, &own);
    int64_t closed = number_of(&object->closed, &own);
    channel->closed = closed == CA_UNKNOWN ? -1 : closed != 0;
}

/* ---- cases of a select ------------------------------------------------------------------------
 */

struct gathering {
    struct ca_described *self;
    struct ca_tasks *tasks;
    struct ca_wait *wait;
    const struct ca_known *known;
    const char *reason; /* any-of: the first event's that has one */
    uint32_t count;
};

static bool on_case(void *arg, struct ca_source *source, const struct ca_scope *scope)
{
    struct gathering *g = arg;
    struct ca_known known;
    uint64_t address = 0;
    ca_known_init(&known);
    ca_known_add(&known, &source->as);
    ca_known_rules(&known, source->rules, scope, 0);
    if (g->wait->case_count == CASES || known.exclude)
        return true;
    if (known.object && !ca_expr_address(known.object, scope, &address))
        return true;
    struct ca_case c = ca_case_unknown(address, known.direction);
    const struct ca_object *object =
        known.object
            ? ca_fit_object(&g->self->description, ca_expr_pointee(&g->self->types, known.object))
            : NULL;
    if (object && address)
        add_channel(object, scope, address, &c);
    if (known.deadline) {
        bool given = false;
        deadline_of(g->self, known.deadline, scope, &given);
        c.timer = given;
        g->wait->ends_by_timer = g->wait->ends_by_timer || given;
    }
    if (!ca_waits_add_case(&g->tasks->waits, &c)) {
        g->self->nomem = true;
        return false;
    }
    g->wait->case_count++;
    return true;
}

/* ---- one wait ------------------------------------------------------------------------------ */

static void fill(struct ca_described *self, struct ca_tasks *tasks, const struct ca_known *known,
                 const struct ca_scope *scope, struct ca_wait *wait)
{
    uint64_t address = 0;
    const struct ca_object *object = NULL;
    if (known->kind != CA_UNSET && wait->kind == CA_WAIT_UNKNOWN)
        wait->kind = (enum ca_wait_kind)known->kind;
    if (known->object && ca_expr_address(known->object, scope, &address)) {
        object = ca_fit_object(&self->description, ca_expr_pointee(&self->types, known->object));
    } else if (known->object_ring && known->object_ring->head.bound) {
        struct ca_source *ring = known->object_ring;
        struct ca_scope own = *scope;
        own.outer = scope->here;
        own.here = ca_walk_ring_head(ring, scope, &self->by_address);
        if (own.here && ca_expr_address(&ring->head, &own, &address))
            object = ca_fit_object(&self->description, ca_expr_pointee(&self->types, &ring->head));
    }
    if (!wait->has_address && address) {
        wait->has_address = true;
        wait->channel.address = address;
        wait->channel.direction = known->direction;
        uint8_t byte;
        if (object && ca_target_read(scope->target, address, &byte, 1)) {
            add_object(self, object, scope, address, wait);
            if (wait->kind == CA_WAIT_CHANNEL)
                add_channel(object, scope, address, &wait->channel);
        }
    } else if (known->object && wait->kind == CA_WAIT_CHANNEL) {
        wait->has_address = true; /* a nil channel: address 0 says so */
        wait->channel.direction = known->direction;
    }
    if (wait->owner == CA_NONE)
        wait->owner = task_of(self, known->owner, scope);
    if (wait->waiters == CA_UNKNOWN)
        wait->waiters = number_of(known->waiters, scope);
    if (wait->counter == CA_UNKNOWN)
        wait->counter = number_of(known->counter, scope);
    if (wait->fd == CA_UNKNOWN)
        wait->fd = number_of(known->fd, scope);
    if (wait->deadline_ns == CA_UNKNOWN)
        wait->deadline_ns = deadline_of(self, known->deadline, scope, &wait->ends_by_timer);
    if (known->cases && !wait->case_count) {
        struct gathering g = {.self = self, .tasks = tasks, .wait = wait, .known = known};
        wait->first_case = ca_waits_case_count(&tasks->waits);
        ca_walk(known->cases, scope, on_case, &g);
    }
}

/* An event of a union: each says what it can; the first that names a kind decides. */
static bool on_event(void *arg, struct ca_source *source, const struct ca_scope *scope)
{
    struct gathering *g = arg;
    struct ca_known known;
    ca_known_init(&known);
    ca_known_rules(&known, source->rules, scope, 0);
    ca_known_add(&known, &source->as);
    if (known.exclude)
        return true;
    if (!g->reason)
        g->reason = ca_described_reason(g->self, g->tasks, &known, scope);
    known.any = NULL;
    fill(g->self, g->tasks, &known, scope, g->wait);
    return ++g->count < CASES;
}

static bool says_anything(const struct ca_wait *wait)
{
    return wait->kind != CA_WAIT_UNKNOWN || wait->has_address || wait->owner != CA_NONE ||
           wait->fd != CA_UNKNOWN || wait->case_count || wait->ends_by_timer;
}

static void store(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                  const struct ca_wait *wait)
{
    struct ca_task *task = &tasks->list.data[index];
    if (task->wait != CA_NONE
            ? !ca_waits_set(&tasks->waits, task->wait, wait)
            : says_anything(wait) && !ca_waits_add(&tasks->waits, wait, &task->wait))
        self->nomem = true;
}

void ca_described_wait(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                       const struct ca_known *known, const struct ca_scope *scope)
{
    struct ca_wait wait = ca_wait_unknown(CA_WAIT_UNKNOWN);
    if (tasks->list.data[index].wait != CA_NONE)
        wait = ca_waits_get(&tasks->waits, tasks->list.data[index].wait);
    fill(self, tasks, known, scope, &wait);
    if (known->any) {
        struct gathering g = {.self = self, .tasks = tasks, .wait = &wait, .known = known};
        ca_walk(known->any, scope, on_event, &g);
        if (!tasks->list.data[index].reason)
            tasks->list.data[index].reason = g.reason;
    }
    store(self, tasks, index, &wait);
}

/* ---- waits that are written down elsewhere ------------------------------------------------------
 */

static bool on_side(void *arg, struct ca_source *source, const struct ca_scope *scope)
{
    struct gathering *g = arg;
    struct ca_known known;
    uint32_t index = task_of(g->self, &source->task, scope);
    if (index == CA_NONE)
        return true;
    ca_known_init(&known);
    ca_known_add(&known, &source->as);
    ca_known_rules(&known, source->rules, scope, 0);
    struct ca_task *task = &g->tasks->list.data[index];
    if (known.exclude || task->state == CA_STATE_RUNNING || task->state == CA_STATE_RUNNABLE)
        return true;
    if (!task->reason)
        task->reason = ca_described_reason(g->self, g->tasks, &known, scope);
    ca_described_wait(g->self, g->tasks, index, &known, scope);
    return true;
}

void ca_described_side_waits(struct ca_described *self, struct ca_tasks *tasks)
{
    struct gathering g = {.self = self, .tasks = tasks};
    struct ca_scope scope = ca_described_scope(self, 0);
    for (struct ca_source *s = self->description.waits; s; s = s->next) {
        ca_walk(s, &scope, on_side, &g);
        ca_described_breaks(self, s);
    }
}
