#include "runtimes/described/check.h"

#include "runtimes/described/described.h"
#include "runtimes/described/match.h"
#include "runtimes/described/suggest.h"

#include <inttypes.h>
#include <string.h>

struct checking {
    struct ca_described *self;
    struct ca_checks *ret;
    bool nomem;
};

static void add(struct checking *c, unsigned line, const char *key, const char *found,
                const char *why)
{
    struct ca_check check = {line, key ? key : "", why == NULL, found, why};
    if (!ca_vec_push(&c->ret->list, check))
        c->nomem = true;
}

#define TEXT(c, ...) ca_arena_printf(&(c)->self->arena, __VA_ARGS__)

static const char *type_text(struct checking *c, const struct ca_expr *expr)
{
    static const char *const words[] = {"void",  "number", "enum", "pointer",
                                        "array", "struct", "code"};
    const struct ca_ctype *type = expr->type;
    if (!type)
        return "an address";
    if (type->kind == CA_CTYPE_POINTER) {
        const struct ca_ctype *target = ca_types_target(&c->self->types, type);
        return TEXT(c, "pointer to %s", target && *target->name ? target->name : "void");
    }
    return *type->name ? type->name : words[type->kind];
}

static void add_expr(struct checking *c, const struct ca_expr *e)
{
    if (!e->text || (!e->bound && !e->why && !c->self->description.task_type))
        return;
    if (!e->bound && e->optional) {
        add(c, e->line, e->key, TEXT(c, "left out: %s", e->why ? e->why : "not tried"), NULL);
        return;
    }
    if (!e->bound) {
        add(c, e->line, e->key, NULL,
            e->why ? e->why : "was not tried: something before it failed");
        return;
    }
    if (e->string) {
        add(c, e->line, e->key, "text", NULL);
        return;
    }
    const char *type = type_text(c, e);
    const char *which = e->path_count > 1 ? TEXT(c, ", choice %u", e->chosen + 1u) : "";
    const char *found = e->read ? TEXT(c, "%s%s, read %" PRIu64 " times", type, which, e->read)
                                : TEXT(c, "%s%s", type, which);
    const char *why =
        e->faults ? TEXT(c, "led nowhere %" PRIu64 " of %" PRIu64 " times", e->faults, e->read)
                  : NULL;
    /* Now and then a pointer is NULL: only one that never leads anywhere is wrong. */
    if (e->faults && e->faults < e->read) {
        found = TEXT(c, "%s; %s", found, why);
        why = NULL;
    }
    add(c, e->line, e->key, found, why);
}

static void add_tests(struct checking *c, const struct ca_test *test, bool scan)
{
    for (; c->self->description.task_type && test; test = test->next) {
        const char *why = NULL;
        const struct ca_expr *all[] = {&test->left, &test->right, &test->high};
        for (int i = 0; i < 3 && !why; i++)
            if (all[i]->path_count && !all[i]->bound)
                why = all[i]->why ? all[i]->why : "was not tried: something before it failed";
        const char *found = test->text;
        if (scan || test->rejected)
            found = TEXT(c, "%s: rejected %" PRIu64, test->text, test->rejected);
        add(c, test->left.line, test->left.key, found, why);
    }
}

static void add_source(struct checking *c, const struct ca_source *s);

static void add_outcome(struct checking *c, const struct ca_outcome *o)
{
    const struct ca_expr *exprs[] = {&o->reason_from, &o->object, &o->owner,   &o->waiters,
                                     &o->counter,     &o->fd,     &o->deadline};
    for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
        add_expr(c, exprs[i]);
    const struct ca_source *inner[] = {o->cases, o->any, o->object_ring};
    for (size_t i = 0; i < 3; i++)
        if (inner[i])
            add_source(c, inner[i]);
}

static void add_rules(struct checking *c, const struct ca_when *rule)
{
    for (; rule; rule = rule->next) {
        const char *frame = rule->frame ? TEXT(c, " with a frame %s", rule->frame) : "";
        add(c, rule->line, "rule", TEXT(c, "held %" PRIu64 " times%s", rule->hits, frame), NULL);
        add_tests(c, rule->when, false);
        add_outcome(c, &rule->outcome);
    }
}

static const char *broke(struct checking *c, const struct ca_source *s)
{
    if (!s->breaks)
        return NULL;
    return TEXT(c, "broke %" PRIu64 " times, first at 0x%" PRIx64 ": %s", s->breaks, s->broke_at,
                s->broke_why);
}

static void add_source(struct checking *c, const struct ca_source *s)
{
    const char *found = TEXT(c, "found %" PRIu64 ", rejected %" PRIu64, s->found, s->rejected);
    const char *why = broke(c, s);
    if (s->kind == CA_SOURCE_SCAN && !s->node_type)
        why = TEXT(c, "there is no type \"%s\"%s", s->scan_type,
                   ca_suggest_type(&c->self->types, s->scan_type));
    else if (!why && !s->walks && s->skipped && s->optional)
        found = "left out: it does not bind";
    else if (!why && !s->walks && s->skipped)
        why = "left out: it does not bind";
    add(c, s->line, s->word, found, why);
    const struct ca_expr *exprs[] = {&s->root, &s->next_link, &s->left, &s->right, &s->count,
                                     &s->end,  &s->item,      &s->task, &s->head,  &s->counted};
    for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
        if (i || s->kind != CA_SOURCE_SCAN)
            add_expr(c, exprs[i]);
    add_tests(c, s->where, s->kind == CA_SOURCE_SCAN);
    add_outcome(c, &s->as);
    add_rules(c, s->rules);
    for (const struct ca_source *each = s->each; each; each = each->next)
        add_source(c, each);
}

static void add_task(struct checking *c)
{
    const struct ca_description *d = &c->self->description;
    const struct ca_expr *exprs[] = {&d->id,
                                     &d->task_name,
                                     &d->entry,
                                     &d->since,
                                     &d->created_pc,
                                     &d->created_at,
                                     &d->created_file,
                                     &d->created_line,
                                     &d->created_function,
                                     &d->created_by,
                                     &d->created_backtrace,
                                     &d->stack_low,
                                     &d->stack_high,
                                     &d->stack_size,
                                     &d->stack_copy,
                                     &d->stack_copy_size,
                                     &d->current,
                                     &d->now,
                                     &d->version_from};
    for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
        add_expr(c, exprs[i]);
    for (const struct ca_label_path *label = d->labels; label; label = label->next)
        add_expr(c, &label->path);
    add_expr(c, &d->context.base);
    for (const struct ca_register_path *r = d->context.registers; r; r = r->next)
        add_expr(c, &r->path);
    for (const struct ca_count *count = d->counts; count; count = count->next) {
        add_expr(c, &count->path);
        add_tests(c, count->when, false);
    }
}

static void add_objects(struct checking *c)
{
    for (const struct ca_object *o = c->self->description.objects; o; o = o->next) {
        bool left_out = !o->type && o->optional;
        add(c, o->line, o->type_name,
            o->type    ? "type found"
            : left_out ? "left out: there is no such type"
                       : NULL,
            o->type || left_out ? NULL : "there is no such type");
        if (!o->type)
            continue;
        const struct ca_expr *exprs[] = {&o->owner,  &o->waiters, &o->counter, &o->capacity,
                                         &o->length, &o->closed,  &o->senders, &o->receivers,
                                         &o->fd,     &o->deadline};
        for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
            add_expr(c, exprs[i]);
    }
}

/* Whether what was read makes sense, beyond that it could be read. Now and then a task has no stack
 * yet: only what is wrong for all is wrong. */
static void add_tally(struct checking *c)
{
    const struct ca_description *d = &c->self->description;
    const struct ca_tally *t = &c->self->tally;
    unsigned low = d->stack_low.text ? d->stack_low.line : d->stack_high.line;
    if (d->context.kind == CA_CONTEXT_NONE && !c->self->fit.required)
        add(c, d->context.line ? d->context.line : 1, "context",
            d->context.line ? NULL : "not said: no stacks",
            d->context.line ? "it says nothing of saved registers on this architecture" : NULL);
    else if (t->parked)
        add(c, d->context.line, "context",
            t->fresh ? TEXT(c, "%" PRIu64 " of %" PRIu64 " stacks read, %" PRIu64 " never ran",
                            t->read, t->parked, t->fresh)
                     : TEXT(c, "%" PRIu64 " of %" PRIu64 " stacks read", t->read, t->parked),
            t->read  ? NULL
            : t->why ? t->why
                     : "no stack has a frame");
    if (t->inverted && !t->bounded)
        add(c, low, "stack", NULL, "low is not below high");
    if (t->bounded)
        add(c, low, "stack",
            TEXT(c, "%" PRIu64 " of %" PRIu64 " saved stack pointers are in low..high",
                 t->bounded - t->outside, t->bounded),
            t->outside < t->bounded ? NULL
                                    : "low and high are not the stack's, or sp is not saved");
    if (t->entries && t->not_code == t->entries)
        add(c, d->entry.line, "entry", NULL, "it leads to no code: not a function's address");
}

/* What was chosen, and the sums. */
static void add_summary(struct checking *c, const struct ca_runtime *runtime)
{
    struct ca_described *self = c->self;
    const struct ca_description *d = &self->description;
    unsigned match = d->match ? d->match->line : 1;
    if (!self->module) {
        const char *why = ca_match_why(&self->base.context, d, &self->arena);
        add(c, match, "match", NULL, why ? why : "no module of the target is like this");
        return;
    }
    const char *name = self->module->name && *self->module->name ? self->module->name : "?";
    add(c, match, "match", TEXT(c, "%s", name), NULL);
    add(c, 1, "name", TEXT(c, "%s: %s", d->name, self->variant ? self->variant : ""),
        self->fit.required ? "it does not fit: see the lines that are not ok" : NULL);
    for (size_t i = 0; i < self->excluded_words.len; i++)
        add(c, 1, "exclude",
            TEXT(c, "%s: %" PRIu64, self->excluded_words.data[i].word,
                 self->excluded_words.data[i].count),
            NULL);
    if (runtime->counted != CA_UNKNOWN)
        add(c, d->counts ? d->counts->path.line : d->tasks->line, "count",
            TEXT(c, "%" PRId64 " of %" PRId64, self->listed, runtime->counted),
            self->listed == runtime->counted ? NULL : "its own counter says another number");
}

static int by_line(const void *a, const void *b)
{
    const struct ca_check *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    int order = strcmp(x->key, y->key);
    return order ? order : strcmp(x->found ? x->found : "", y->found ? y->found : "");
}

static bool has_line(const struct ca_checks *checks, unsigned line, const char *key)
{
    for (size_t i = 0; i < checks->list.len; i++)
        if (checks->list.data[i].line == line && strcmp(checks->list.data[i].key, key) == 0 &&
            !checks->list.data[i].ok)
            return true;
    return false;
}

struct ca_error *ca_checks_make(struct ca_runtime *runtime, struct ca_checks *ret)
{
    if (!runtime || runtime->ops != &ca_described_ops)
        return NULL;
    struct checking c = {(struct ca_described *)runtime, ret, false};
    add_summary(&c, runtime);
    if (c.self->module) {
        add_task(&c);
        for (const struct ca_source *s = c.self->description.tasks; s; s = s->next)
            add_source(&c, s);
        for (const struct ca_source *s = c.self->description.waits; s; s = s->next)
            add_source(&c, s);
        add_rules(&c, c.self->description.rules);
        add_objects(&c);
        add_tally(&c);
        for (size_t i = 0; i < c.self->fit.misfits.len; i++) {
            const struct ca_misfit *m = &c.self->fit.misfits.data[i];
            if (!has_line(ret, m->line, m->key))
                add(&c, m->line, m->key, NULL, m->why);
        }
    }
    if (ret->list.len)
        qsort(ret->list.data, ret->list.len, sizeof(*ret->list.data), by_line);
    return c.nomem ? &ca_error_nomem : NULL;
}
