#include "runtimes/described/fit.h"

#include <string.h>

#include "runtimes/described/context.h"
#include "runtimes/described/suggest.h"

struct fitting {
    struct ca_fit *fit;
    struct ca_types *types;
    struct ca_description *d;
};

void ca_fit_deinit(struct ca_fit *fit)
{
    ca_vec_deinit(&fit->misfits);
    fit->required = 0;
}

static void misfit(struct fitting *f, unsigned line, const char *key, const char *why,
                   bool required)
{
    struct ca_misfit misfit = {line, key ? key : "", why ? why : "it does not bind", required};
    if (!ca_vec_push(&f->fit->misfits, misfit))
        f->fit->nomem = true;
    f->fit->required += required;
}

static void bind(struct fitting *f, const struct ca_ctype *here, const struct ca_ctype *outer,
                 struct ca_expr *expr, bool required)
{
    struct ca_binder binder = {.types = f->types, .here = here, .outer = outer};
    if (expr->text && !ca_expr_bind(&binder, expr) && !expr->optional)
        misfit(f, expr->line, expr->key, expr->why, required);
}

static void bind_rules(struct fitting *f, const struct ca_ctype *here, const struct ca_ctype *outer,
                       struct ca_when *rule);

/* A walk inside an outcome; dropped when it does not bind. */
static void bind_inner(struct fitting *f, const struct ca_ctype *here, struct ca_source **source);

static void bind_outcome(struct fitting *f, const struct ca_ctype *here,
                         const struct ca_ctype *outer, struct ca_outcome *outcome)
{
    struct ca_expr *exprs[] = {&outcome->reason_from, &outcome->object,  &outcome->owner,
                               &outcome->waiters,     &outcome->counter, &outcome->fd,
                               &outcome->deadline};
    for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
        bind(f, here, outer, exprs[i], false);
    bind_inner(f, here, &outcome->cases);
    bind_inner(f, here, &outcome->any);
    bind_inner(f, here, &outcome->object_ring);
}

/* What the innermost walks say of their items; outer: what the walk starts at. Of a task it is
 * forgotten, once found. */
static void bind_items(struct fitting *f, struct ca_source *source, const struct ca_ctype *outer,
                       bool tasks)
{
    if (source->skipped)
        return;
    bind(f, source->item_type, outer, &source->counted, false);
    for (struct ca_source *each = source->each; each; each = each->next)
        bind_items(f, each, tasks ? NULL : source->item_type, tasks);
    if (source->each)
        return;
    bind(f, source->node_type, outer, &source->head, false);
    bind(f, source->item_type, outer, &source->task, true);
    bind_outcome(f, source->item_type, outer, &source->as);
    bind_rules(f, source->item_type, outer, source->rules);
}

static void bind_inner(struct fitting *f, const struct ca_ctype *here, struct ca_source **slot)
{
    unsigned line;
    const char *key;
    if (!*slot)
        return;
    const char *why = ca_walk_bind(f->types, *slot, here, &line, &key);
    if (why) {
        misfit(f, line, key, why, false);
        *slot = NULL;
        return;
    }
    bind_items(f, *slot, here, false);
}

static void bind_rules(struct fitting *f, const struct ca_ctype *here, const struct ca_ctype *outer,
                       struct ca_when *rule)
{
    struct ca_binder binder = {.types = f->types, .here = here, .outer = outer};
    for (; rule; rule = rule->next) {
        const char *why = ca_test_bind(&binder, rule->when);
        if (why)
            misfit(f, rule->line, "when", why, true);
        bind_outcome(f, here, outer, &rule->outcome);
    }
}

static bool same_type(const struct ca_ctype *a, const struct ca_ctype *b)
{
    return a == b || (a && b && *a->name && strcmp(a->name, b->name) == 0);
}

/* The innermost of nested walks must find tasks. */
static void check_leaves(struct fitting *f, struct ca_source *source)
{
    if (source->skipped)
        return;
    for (struct ca_source *each = source->each; each; each = each->next)
        check_leaves(f, each);
    if (source->each || same_type(source->item_type, f->d->task_type))
        return;
    const char *why = ca_arena_printf(
        f->types->arena, "it finds %s, not %s: say \"item\" or \"as\"",
        source->item_type ? source->item_type->name : "something untyped", f->d->task_type_name);
    misfit(f, source->line, source->word, why, true);
}

static void bind_sources(struct fitting *f, struct ca_source *source, bool tasks)
{
    for (; source; source = source->next) {
        unsigned line;
        const char *key, *why = ca_walk_bind(f->types, source, NULL, &line, &key);
        if (!why) {
            if (tasks)
                check_leaves(f, source);
            bind_items(f, source, NULL, tasks);
            continue;
        }
        source->skipped = true;
        if (!source->optional)
            misfit(f, line, key, why, tasks);
    }
}

static void bind_objects(struct fitting *f)
{
    for (struct ca_object *o = f->d->objects; o; o = o->next) {
        o->type = ca_types_find(f->types, o->type_name);
        if (!o->type && o->optional)
            continue;
        if (!o->type) {
            misfit(f, o->line, o->type_name, "there is no such type", false);
            continue;
        }
        struct ca_expr *exprs[] = {&o->owner,  &o->waiters, &o->counter, &o->capacity,
                                   &o->length, &o->closed,  &o->senders, &o->receivers,
                                   &o->fd,     &o->deadline};
        for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
            bind(f, o->type, NULL, exprs[i], false);
    }
}

static void bind_task(struct fitting *f)
{
    struct ca_description *d = f->d;
    const struct ca_ctype *type = d->task_type;
    struct ca_expr *exprs[] = {&d->task_name,      &d->entry,
                               &d->since,          &d->created_pc,
                               &d->created_at,     &d->created_file,
                               &d->created_line,   &d->created_function,
                               &d->created_by,     &d->created_backtrace,
                               &d->stack_low,      &d->stack_high,
                               &d->stack_size,     &d->stack_copy,
                               &d->stack_copy_size};
    bind(f, type, NULL, &d->id, true);
    for (size_t i = 0; i < sizeof(exprs) / sizeof(*exprs); i++)
        bind(f, type, NULL, exprs[i], false);
    for (struct ca_label_path *label = d->labels; label; label = label->next)
        bind(f, type, NULL, &label->path, false);
    struct ca_binder binder = {.types = f->types, .here = type};
    struct ca_expr *failed = ca_context_bind(&d->context, &binder);
    if (failed)
        misfit(f, failed->line, failed->key, failed->why, true);
}

static void bind_count(struct fitting *f, struct ca_count *count)
{
    struct ca_binder binder = {.types = f->types};
    const char *why = ca_test_bind(&binder, count->when);
    bind(f, NULL, NULL, &count->path, false);
    if (why) {
        misfit(f, count->when->left.line, "when", why, false);
        count->path.bound = false;
    }
    count->per_thread = count->path.per_thread;
    for (const struct ca_test *test = count->when; test; test = test->next)
        count->per_thread |= test->left.per_thread || test->right.per_thread;
}

void ca_fit_bind(struct ca_fit *fit, struct ca_description *d, struct ca_types *types)
{
    struct fitting f = {fit, types, d};
    if (types->layout) {
        struct ca_error *error = ca_layout_check(types);
        if (error) {
            misfit(&f, types->layout->line, "layouts",
                   ca_arena_printf(types->arena, "%s", error->message), true);
            ca_error_destroy(error);
            return;
        }
    }
    d->task_type = ca_types_find(types, d->task_type_name);
    if (!d->task_type) {
        misfit(&f, d->task_line, "task",
               ca_arena_printf(types->arena, "there is no type \"%s\"%s", d->task_type_name,
                               types->layout || types->any_dwarf
                                   ? ca_suggest_type(types, d->task_type_name)
                                   : " (no debug information, and no layout fits)"),
               true);
        return;
    }
    bind_task(&f);
    bind(&f, NULL, NULL, &d->current, false);
    for (struct ca_count *count = d->counts; count; count = count->next)
        bind_count(&f, count);
    bind(&f, NULL, NULL, &d->now, false);
    bind(&f, NULL, NULL, &d->version_from, false);
    bind_rules(&f, d->task_type, NULL, d->rules);
    bind_objects(&f);
    bind_sources(&f, d->tasks, true);
    bind_sources(&f, d->waits, false);
    fit->nomem = fit->nomem || types->nomem;
}

const struct ca_object *ca_fit_object(const struct ca_description *d, const struct ca_ctype *type)
{
    for (const struct ca_object *o = d->objects; type && o; o = o->next) {
        const char *last = o->type_name;
        for (const char *at = last; *at && *at != '<'; at++)
            if (at[0] == ':' && at[1] == ':')
                last = at + 2;
        if (o->type && (o->type == type || (*type->name && strcmp(type->name, last) == 0)))
            return o;
    }
    return NULL;
}
