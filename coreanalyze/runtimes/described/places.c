#include "runtimes/described/places.h"

/* What a walk is for: its items are tasks, name tasks, are cases of a select, events that may end a
 * wait, or links of an object's queue. */
enum role { ROLE_TASKS, ROLE_WAITS, ROLE_CASES, ROLE_EVENTS, ROLE_RING };

#define ROLE(role) (1u << ROLE_##role)
#define WAITING (ROLE(TASKS) | ROLE(WAITS) | ROLE(EVENTS))

static const char *const role_names[] = {"a walk of \"tasks\"", "a walk of \"waits\"", "\"cases\"",
                                         "\"any-of\"", "\"object-ring\""};

static struct ca_error *misplaced(unsigned line, const char *key, const char *in, const char *hint)
{
    return ca_error_create(CA_ERROR_FORMAT, "line %u: \"%s\" has no meaning in %s%s", line, key, in,
                           hint);
}

/* The first key of an outcome that is given though it has no meaning there; NULL: none. */
static const char *without_meaning(const struct ca_outcome *o, unsigned role)
{
    const struct {
        const char *key;
        bool given;
        unsigned roles;
    } keys[] = {
        {"state", o->state != CA_UNSET, ROLE(TASKS)},
        {"system", o->system, ROLE(TASKS)},
        {"main", o->main, ROLE(TASKS)},
        {"exclude", o->exclude, WAITING | ROLE(CASES)},
        {"reason", o->reason, WAITING},
        {"reason-from", o->reason_from.text, WAITING},
        {"wait", o->kind != CA_UNSET, WAITING},
        {"object", o->object.text, WAITING | ROLE(CASES)},
        {"direction", o->direction != CA_DIRECTION_UNKNOWN, WAITING | ROLE(CASES)},
        {"deadline", o->deadline.text, WAITING | ROLE(CASES)},
        {"owner", o->owner.text, WAITING},
        {"waiters", o->waiters.text, WAITING},
        {"counter", o->counter.text, WAITING},
        {"fd", o->fd.text, WAITING},
        {"cases", o->cases, WAITING},
        {"any-of", o->any, ROLE(TASKS) | ROLE(WAITS)},
        {"object-ring", o->object_ring, WAITING},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (keys[i].given && !(keys[i].roles & role))
            return keys[i].key;
    return NULL;
}

static struct ca_error *check_walk(const struct ca_source *source, enum role role);

static struct ca_error *check_outcome(const struct ca_outcome *outcome, unsigned line,
                                      enum role role)
{
    struct ca_error *error = NULL;
    const char *key = without_meaning(outcome, 1u << role);
    if (key)
        return misplaced(line, key, role_names[role], "");
    if (outcome->cases)
        error = check_walk(outcome->cases, ROLE_CASES);
    if (!error && outcome->any)
        error = check_walk(outcome->any, ROLE_EVENTS);
    if (!error && outcome->object_ring)
        error = check_walk(outcome->object_ring, ROLE_RING);
    return error;
}

static struct ca_error *check_rules(const struct ca_when *rules, enum role role, bool of_walk)
{
    struct ca_error *error = NULL;
    for (const struct ca_when *rule = rules; !error && rule; rule = rule->next) {
        if (of_walk && rule->frame)
            return misplaced(rule->line, "frame", role_names[role],
                             ": only tasks have frames, say it in the \"rules\" of the top level");
        error = check_outcome(&rule->outcome, rule->line, role);
    }
    return error;
}

/* Keys that only some kinds of walks look at. */
static struct ca_error *check_kind(const struct ca_source *s)
{
    const unsigned links = 1u << CA_SOURCE_RING | 1u << CA_SOURCE_CYCLE | 1u << CA_SOURCE_LIST;
    const struct {
        const struct ca_expr *expr;
        unsigned kinds;
    } keys[] = {
        {&s->next_link, links},
        {&s->left, 1u << CA_SOURCE_TREE},
        {&s->right, 1u << CA_SOURCE_TREE},
        {&s->count, 1u << CA_SOURCE_ARRAY},
        {&s->end, 1u << CA_SOURCE_LIST | 1u << CA_SOURCE_TREE | 1u << CA_SOURCE_VECTOR},
        {&s->item, ~(1u << CA_SOURCE_SCAN)},
    };
    char in[32];
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        if (!keys[i].expr->text || keys[i].kinds >> s->kind & 1)
            continue;
        snprintf(in, sizeof(in), "the walk \"%s\"", s->word);
        return misplaced(keys[i].expr->line, keys[i].expr->key, in, "");
    }
    return NULL;
}

/* What is said of the items themselves: only the innermost walks find any. */
static struct ca_error *check_leaf(const struct ca_source *s, enum role role)
{
    const char *missing = NULL;
    if (s->task.text && role != ROLE_WAITS)
        return misplaced(s->task.line, "task", role_names[role], "");
    if (s->head.text && role != ROLE_RING)
        return misplaced(s->head.line, "head", role_names[role], "");
    if (s->rules && (role == ROLE_TASKS || role == ROLE_RING))
        return misplaced(s->rules->line, "rules", role_names[role],
                         role == ROLE_TASKS ? ": say them at the top level" : "");
    if (role == ROLE_WAITS && !s->task.text)
        missing = "task";
    if (role == ROLE_RING && !s->head.text)
        missing = "head";
    if (role == ROLE_RING && !s->item.text)
        missing = "item";
    if (role == ROLE_RING && s->kind != CA_SOURCE_RING)
        missing = "ring";
    if (missing)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: %s needs \"%s\"", s->line,
                               role_names[role], missing);
    struct ca_error *error = check_outcome(&s->as, s->line, role);
    return error ? error : check_rules(s->rules, role, true);
}

static struct ca_error *check_walk(const struct ca_source *s, enum role role)
{
    static const char in[] = "a walk with \"each\"", hint[] = ": say it where the items are found";
    struct ca_error *error = check_kind(s);
    if (s->counted.text && role != ROLE_TASKS)
        return misplaced(s->counted.line, "counted", role_names[role], "");
    if (error || !s->each)
        return error ? error : check_leaf(s, role);
    const char *key = without_meaning(&s->as, 0);
    unsigned line = s->line;
    if (!key && (s->task.text || s->head.text)) {
        line = s->task.text ? s->task.line : s->head.line;
        key = s->task.text ? "task" : "head";
    }
    if (!key && s->rules) {
        line = s->rules->line;
        key = "rules";
    }
    if (key)
        return misplaced(line, key, in, hint);
    for (const struct ca_source *each = s->each; !error && each; each = each->next)
        error = check_walk(each, role);
    return error;
}

struct ca_error *ca_description_places(const struct ca_description *d)
{
    struct ca_error *error = check_rules(d->rules, ROLE_TASKS, false);
    for (const struct ca_source *s = d->tasks; !error && s; s = s->next)
        error = check_walk(s, ROLE_TASKS);
    for (const struct ca_source *s = d->waits; !error && s; s = s->next)
        error = check_walk(s, ROLE_WAITS);
    return error;
}
