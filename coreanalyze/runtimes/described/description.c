#include "runtimes/described/description.h"

#include <string.h>

#include "runtimes/described/parse.h"
#include "runtimes/described/places.h"

#define KEY(name, field)                                                                           \
    {                                                                                              \
        name, offsetof(struct ca_description, field)                                               \
    }

static const struct ca_key task_keys[] = {
    KEY("id", id),
    KEY("name", task_name),
    KEY("entry", entry),
    KEY("since", since),
    KEY("created-pc", created_pc),
    KEY("created-at", created_at),
    KEY("created-file", created_file),
    KEY("created-line", created_line),
    KEY("created-function", created_function),
    KEY("created-backtrace", created_backtrace),
    KEY("created-by", created_by),
    {0},
};

static const struct ca_key stack_keys[] = {
    KEY("low", stack_low),   KEY("high", stack_high),           KEY("size", stack_size),
    KEY("copy", stack_copy), KEY("copy-size", stack_copy_size), {0},
};

static const char *const clock_words[] = {"monotonic", "realtime", NULL};
static const char *const unit_words[] = {"ns", "us", "ms", "s", "timespec", "timeval", NULL};

static struct ca_error *parse_labels(struct ca_description *d, const struct ca_node *node)
{
    struct ca_label_path **end = &d->labels;
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        struct ca_label_path *label = ca_arena_alloc(d->arena, sizeof(*label));
        if (!label)
            return &ca_error_nomem;
        label->key = key->key;
        *end = label;
        end = &label->next;
        error = ca_parse_expr(d->arena, key, &label->path);
    }
    return error;
}

static struct ca_error *parse_keys(struct ca_description *d, const struct ca_node *node,
                                   const struct ca_key *keys, const char *where)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        bool taken;
        error = ca_parse_keyed(d->arena, key, keys, d, &taken);
        if (!error && !taken)
            error = ca_parse_unknown(key, where);
    }
    return error;
}

static struct ca_error *parse_task(struct ca_description *d, const struct ca_node *node)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        bool taken;
        if (ca_parse_is(key, "type")) {
            error = ca_parse_text(key, &d->task_type_name);
            d->task_line = key->line;
        } else if (ca_parse_is(key, "stack")) {
            error = parse_keys(d, key, stack_keys, "stack");
        } else if (ca_parse_is(key, "labels")) {
            error = parse_labels(d, key);
        } else {
            error = ca_parse_keyed(d->arena, key, task_keys, d, &taken);
            if (!error && !taken)
                error = ca_parse_unknown(key, "task");
        }
    }
    if (!error && !d->task_type_name)
        error = ca_error_create(CA_ERROR_FORMAT, "line %u: task needs \"type\"", node->line);
    return error;
}

static struct ca_error *parse_time(struct ca_description *d, const struct ca_node *node)
{
    int word = 0;
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        if (ca_parse_is(key, "clock")) {
            error = ca_parse_word(key, clock_words, &word);
            d->clock = (enum ca_clock)word;
        } else if (ca_parse_is(key, "unit")) {
            error = ca_parse_word(key, unit_words, &word);
            d->unit = (enum ca_time_unit)word;
        } else if (ca_parse_is(key, "now")) {
            d->now_latest = key->kind == CA_NODE_SCALAR && strcmp(key->text, "latest") == 0;
            error = d->now_latest ? NULL : ca_parse_expr(d->arena, key, &d->now);
        } else {
            error = ca_parse_unknown(key, "time");
        }
    }
    return error;
}

static struct ca_error *parse_patterns(struct ca_arena *arena, const struct ca_node *node,
                                       struct ca_pattern **ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SEQUENCE);
    for (const struct ca_node *item = node->child; !error && item; item = item->next) {
        struct ca_pattern *pattern = ca_arena_alloc(arena, sizeof(*pattern));
        if (!pattern)
            return &ca_error_nomem;
        error = ca_parse_text(item, &pattern->text);
        *ret = pattern;
        ret = &pattern->next;
    }
    return error;
}

static struct ca_error *add_count(struct ca_description *d, const struct ca_node *node,
                                  const char *key)
{
    struct ca_count **end = &d->counts;
    while (*end)
        end = &(*end)->next;
    *end = ca_arena_alloc(d->arena, sizeof(**end));
    if (!*end)
        return &ca_error_nomem;
    struct ca_count *count = *end;
    struct ca_error *error = NULL;
    if (node->kind != CA_NODE_MAP)
        error = ca_parse_expr(d->arena, node, &count->path);
    for (const struct ca_node *part = node->kind == CA_NODE_MAP ? node->child : NULL;
         !error && part; part = part->next) {
        if (ca_parse_is(part, "add"))
            error = ca_parse_expr(d->arena, part, &count->path);
        else if (ca_parse_is(part, "when"))
            error = ca_parse_tests(d->arena, part, &count->when);
        else
            error = ca_parse_unknown(part, "an item of count");
    }
    if (!error && !count->path.text)
        error = ca_error_create(CA_ERROR_FORMAT, "line %u: count: \"add\" is missing", node->line);
    count->path.key = key;
    return error;
}

static struct ca_error *parse_count(struct ca_description *d, const struct ca_node *node)
{
    if (node->kind != CA_NODE_SEQUENCE)
        return add_count(d, node, node->key);
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SEQUENCE);
    for (const struct ca_node *item = node->child; !error && item; item = item->next)
        error = add_count(d, item, node->key);
    return error;
}

static struct ca_error *parse_own(struct ca_description *d, const struct ca_node *node)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        if (ca_parse_is(key, "functions"))
            error = parse_patterns(d->arena, key, &d->own_functions);
        else if (ca_parse_is(key, "modules"))
            error = parse_patterns(d->arena, key, &d->own_modules);
        else if (ca_parse_is(key, "files"))
            error = parse_patterns(d->arena, key, &d->own_files);
        else
            error = ca_parse_unknown(key, "own");
    }
    return error;
}

static struct ca_error *parse_match(struct ca_arena *arena, const struct ca_node *node,
                                    struct ca_match **ret)
{
    const struct ca_node *item = node->kind == CA_NODE_SEQUENCE ? node->child : node;
    struct ca_error *error = NULL;
    for (; !error && item; item = node->kind == CA_NODE_SEQUENCE ? item->next : NULL) {
        struct ca_match *match = ca_arena_alloc(arena, sizeof(*match));
        if (!match)
            return &ca_error_nomem;
        match->line = item->line;
        *ret = match;
        ret = &match->next;
        error = ca_parse_kind(item, CA_NODE_MAP);
        for (const struct ca_node *key = item->child; !error && key; key = key->next) {
            if (ca_parse_is(key, "soname"))
                error = ca_parse_text(key, &match->soname);
            else if (ca_parse_is(key, "symbol"))
                error = ca_parse_text(key, &match->symbol);
            else if (ca_parse_is(key, "type"))
                error = ca_parse_text(key, &match->type);
            else if (ca_parse_is(key, "build-id"))
                error = ca_parse_text(key, &match->build_id);
            else if (ca_parse_is(key, "program"))
                error = ca_parse_text(key, &match->program);
            else
                error = ca_parse_unknown(key, "match");
        }
        if (!error && !item->child)
            error = ca_error_create(CA_ERROR_FORMAT, "line %u: match: empty", item->line);
    }
    return error;
}

static struct ca_error *check_maps(const struct ca_node *list)
{
    struct ca_error *error = list ? ca_parse_kind(list, CA_NODE_SEQUENCE) : NULL;
    for (const struct ca_node *item = list ? list->child : NULL; !error && item; item = item->next)
        error = ca_parse_kind(item, CA_NODE_MAP);
    return error;
}

static bool plain_word(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return size && size <= 24 && !text[size];
}

static struct ca_error *parse_head(struct ca_description *d, const struct ca_node *node)
{
    struct ca_error *error = NULL;
    if (ca_parse_is(node, "name")) {
        error = ca_parse_text(node, &d->name);
        if (!error && (!plain_word(d->name) || strcmp(d->name, "go") == 0))
            error = ca_error_create(CA_ERROR_FORMAT,
                                    "line %u: name: at most 24 of a-z, 0-9, - and _, not \"go\"",
                                    node->line);
    } else if (ca_parse_is(node, "title")) {
        error = ca_parse_text(node, &d->title);
    } else if (ca_parse_is(node, "noun")) {
        error = ca_parse_text(node, &d->noun);
    } else if (ca_parse_is(node, "version")) {
        error = ca_parse_text(node, &d->version);
    } else if (ca_parse_is(node, "match")) {
        error = parse_match(d->arena, node, &d->match);
    } else if (ca_parse_is(node, "layouts")) {
        d->layouts = node;
        error = check_maps(node);
    } else if (ca_parse_is(node, "variants")) {
        d->variants = node;
        error = check_maps(node);
    }
    return error;
}

struct ca_error *ca_description_open(struct ca_arena *arena, const char *text, size_t size,
                                     struct ca_description *ret)
{
    struct ca_node *root;
    memset(ret, 0, sizeof(*ret));
    struct ca_error *error = ca_node_parse(arena, text, size, &root);
    if (error)
        return error;
    ret->arena = arena;
    ret->root = root;
    for (const struct ca_node *node = root->child; !error && node; node = node->next)
        error = parse_head(ret, node);
    if (!error && !ret->name)
        error = ca_error_create(CA_ERROR_FORMAT, "line 1: a description needs \"name\"");
    if (!ret->title)
        ret->title = ret->name;
    if (!ret->noun)
        ret->noun = "task";
    return error;
}

static struct ca_error *read_key(struct ca_description *d, enum ca_arch arch,
                                 const struct ca_node *node)
{
    static const char *const head[] = {"name",  "title",   "noun",     "version",
                                       "match", "layouts", "variants", NULL};
    for (size_t i = 0; head[i]; i++)
        if (ca_parse_is(node, head[i]))
            return NULL;
    if (ca_parse_is(node, "version-from"))
        return ca_parse_expr(d->arena, node, &d->version_from);
    if (ca_parse_is(node, "task"))
        return parse_task(d, node);
    if (ca_parse_is(node, "tasks"))
        return ca_parse_sources(d->arena, node, &d->tasks);
    if (ca_parse_is(node, "waits"))
        return ca_parse_sources(d->arena, node, &d->waits);
    if (ca_parse_is(node, "rules"))
        return ca_parse_rules(d->arena, node, &d->rules);
    if (ca_parse_is(node, "objects"))
        return ca_parse_objects(d->arena, node, &d->objects);
    if (ca_parse_is(node, "context"))
        return ca_parse_context(d->arena, node, arch, &d->context);
    if (ca_parse_is(node, "current"))
        return ca_parse_expr(d->arena, node, &d->current);
    if (ca_parse_is(node, "count"))
        return parse_count(d, node);
    if (ca_parse_is(node, "time"))
        return parse_time(d, node);
    if (ca_parse_is(node, "own"))
        return parse_own(d, node);
    return ca_parse_unknown(node, "a description");
}

/* Everything that read_key may set, so that the next variant starts afresh. */
static void forget(struct ca_description *d)
{
    struct ca_description fresh = {.arena = d->arena,
                                   .root = d->root,
                                   .name = d->name,
                                   .title = d->title,
                                   .noun = d->noun,
                                   .version = d->version,
                                   .match = d->match,
                                   .layouts = d->layouts,
                                   .variants = d->variants};
    *d = fresh;
}

struct ca_error *ca_description_read(struct ca_description *d, enum ca_arch arch,
                                     const struct ca_node *variant)
{
    struct ca_error *error = NULL;
    forget(d);
    for (const struct ca_node *node = d->root->child; !error && node; node = node->next)
        if (!variant || !ca_node_get(variant, node->key))
            error = read_key(d, arch, node);
    for (const struct ca_node *node = variant ? variant->child : NULL; !error && node;
         node = node->next)
        error = ca_parse_is(node, "version") ? ca_parse_text(node, &d->version)
                                             : read_key(d, arch, node);
    for (struct ca_when *rule = d->rules; !error && rule; rule = rule->next) {
        rule->frame_bit = rule->frame ? d->frame_rules++ : 0;
        if (d->frame_rules > 64)
            error = ca_error_create(CA_ERROR_FORMAT, "line %u: more than 64 rules with \"frame\"",
                                    rule->line);
    }
    if (!error && !d->task_type_name)
        error = ca_error_create(CA_ERROR_FORMAT, "line 1: a description needs \"task\"");
    if (!error && !d->tasks)
        error = ca_error_create(CA_ERROR_FORMAT, "line 1: a description needs \"tasks\"");
    return error ? error : ca_description_places(d);
}
