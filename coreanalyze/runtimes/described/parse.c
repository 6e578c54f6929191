#include "runtimes/described/parse.h"

#include <stdio.h>
#include <string.h>

bool ca_parse_is(const struct ca_node *node, const char *name)
{
    size_t size = strlen(name);
    return node->key && strncmp(node->key, name, size) == 0 &&
           (!node->key[size] || (node->key[size] == '?' && !node->key[size + 1]));
}

struct ca_error *ca_parse_kind(const struct ca_node *node, enum ca_node_kind kind)
{
    static const char *const words[] = {"text", "a map of keys ({...}, or lines with \"key: \")",
                                        "a list ([...], or lines that begin with \"- \")"};
    if (node->kind == kind)
        return NULL;
    return ca_error_create(CA_ERROR_FORMAT, "line %u: %s: %s was expected", node->line,
                           node->key ? node->key : "item", words[kind]);
}

struct ca_error *ca_parse_unknown(const struct ca_node *node, const char *where)
{
    static const struct {
        const char *where, *keys;
    } known[] = {
        {"a description", "name, title, noun, version, version-from, match, task, tasks, rules, "
                          "objects, waits, current, count, context, time, own, variants, layouts"},
        {"task", "type, id, name, entry, since, created-pc, created-at, created-file, "
                 "created-line, created-function, created-backtrace, created-by, stack, labels"},
        {"stack", "low, high, size, copy, copy-size"},
        {"a walk", "one, ring, cycle, list, tree, array, vector, scan, next, left, right, count, "
                   "end, item, where, each, align, task, head, rules, and those of an outcome"},
        {"a rule", "when, frame, state, exclude, system, main, reason, reason-from, wait, object, "
                   "direction, owner, fd, counter, waiters, deadline, cases, any-of, object-ring"},
        {"an object", "wait, owner, waiters, counter, capacity, length, closed, senders, "
                      "receivers, fd, deadline"},
        {"match", "soname, symbol, type, build-id, program"},
        {"context", "amd64, arm64, jmp_buf, mangled, ucontext, at, pushed, registers"},
        {"time", "clock, unit, now"},
        {"own", "functions, files, modules"},
    };
    const char *keys = "";
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(where, known[i].where) == 0)
            keys = known[i].keys;
    return ca_error_create(CA_ERROR_FORMAT, "line %u: \"%s\" is not a key of %s%s%s", node->line,
                           node->key ? node->key : "", where, *keys ? ": " : "", keys);
}

static struct ca_error *at_line(struct ca_error *error, const struct ca_node *node)
{
    return error ? ca_error_prefix(error, "line %u: %s", node->line, node->key ? node->key : "item")
                 : NULL;
}

struct ca_error *ca_parse_expr(struct ca_arena *arena, const struct ca_node *node,
                               struct ca_expr *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SCALAR);
    if (error)
        return error;
    ret->key = node->key;
    ret->text = node->text;
    ret->line = node->line;
    ret->optional = node->key && *node->key && node->key[strlen(node->key) - 1] == '?';
    return at_line(ca_path_parse(arena, node->text, ret->paths, &ret->path_count), node);
}

static void set_test_expr(struct ca_expr *expr, const struct ca_node *node, const char *key,
                          const char *text, struct ca_path *path)
{
    expr->key = key;
    expr->text = text;
    expr->line = node->line;
    expr->paths[0] = path;
    expr->path_count = path ? 1 : 0;
}

static struct ca_error *parse_test_text(struct ca_arena *arena, const struct ca_node *node,
                                        const char *key, struct ca_test ***end)
{
    struct ca_test_syntax *syntax = NULL;
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SCALAR);
    if (!error)
        error = at_line(ca_path_parse_tests(arena, node->text, &syntax), node);
    for (; !error && syntax; syntax = syntax->next) {
        struct ca_test *test = ca_arena_alloc(arena, sizeof(*test));
        if (!test)
            return &ca_error_nomem;
        test->op = syntax->op;
        test->text = syntax->text;
        set_test_expr(&test->left, node, key, syntax->text, syntax->left);
        set_test_expr(&test->right, node, key, syntax->text, syntax->right);
        set_test_expr(&test->high, node, key, syntax->text, syntax->high);
        **end = test;
        *end = &test->next;
    }
    return error;
}

struct ca_error *ca_parse_tests(struct ca_arena *arena, const struct ca_node *node,
                                struct ca_test **ret)
{
    struct ca_error *error = NULL;
    if (node->kind == CA_NODE_SCALAR)
        return parse_test_text(arena, node, node->key, &ret);
    error = ca_parse_kind(node, CA_NODE_SEQUENCE);
    for (const struct ca_node *item = node->child; !error && item; item = item->next)
        error = parse_test_text(arena, item, node->key, &ret);
    return error;
}

struct ca_error *ca_parse_keyed(struct ca_arena *arena, const struct ca_node *node,
                                const struct ca_key *keys, void *into, bool *taken)
{
    *taken = false;
    for (; keys->name; keys++) {
        if (!ca_parse_is(node, keys->name))
            continue;
        *taken = true;
        return ca_parse_expr(arena, node, (struct ca_expr *)((char *)into + keys->offset));
    }
    return NULL;
}

struct ca_error *ca_parse_text(const struct ca_node *node, const char **ret)
{
    *ret = node->text;
    return ca_parse_kind(node, CA_NODE_SCALAR);
}

struct ca_error *ca_parse_bool(const struct ca_node *node, bool *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SCALAR);
    if (error)
        return error;
    *ret = strcmp(node->text, "true") == 0;
    if (*ret || strcmp(node->text, "false") == 0)
        return NULL;
    return ca_error_create(CA_ERROR_FORMAT, "line %u: %s: true or false was expected", node->line,
                           node->key);
}

struct ca_error *ca_parse_number(const struct ca_node *node, uint64_t *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SCALAR);
    if (error)
        return error;
    char *end;
    *ret = strtoull(node->text, &end, 0);
    if (end != node->text && !*end)
        return NULL;
    return ca_error_create(CA_ERROR_FORMAT, "line %u: %s: a number was expected", node->line,
                           node->key);
}

struct ca_error *ca_parse_word(const struct ca_node *node, const char *const *words, int *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SCALAR);
    if (error)
        return error;
    char list[256] = "";
    size_t len = 0;
    for (int i = 0; words[i]; i++) {
        if (strcmp(node->text, words[i]) == 0) {
            *ret = i;
            return NULL;
        }
        if (len < sizeof(list))
            len +=
                (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", words[i]);
    }
    return ca_error_create(CA_ERROR_FORMAT, "line %u: %s: \"%.40s\" is none of %s", node->line,
                           node->key ? node->key : "item", node->text, list);
}

/* ---- sources, rules ----------------------------------------------------------------------- */

static const char *const state_words[] = {"running",   "runnable", "waiting", "syscall",
                                          "preempted", "dead",     NULL};
static const char *const kind_words[] = {"unknown",   "channel", "select",    "mutex",   "rwmutex",
                                         "waitgroup", "cond",    "semaphore", "timer",   "sleep",
                                         "io",        "join",    "event",     "nothing", NULL};
static const char *const direction_words[] = {"unknown", "send", "receive", NULL};

#define KEY(struct_, name, field)                                                                  \
    {                                                                                              \
        name, offsetof(struct struct_, field)                                                      \
    }

static const struct ca_key outcome_keys[] = {
    KEY(ca_outcome, "reason-from", reason_from),
    KEY(ca_outcome, "object", object),
    KEY(ca_outcome, "owner", owner),
    KEY(ca_outcome, "waiters", waiters),
    KEY(ca_outcome, "counter", counter),
    KEY(ca_outcome, "fd", fd),
    KEY(ca_outcome, "deadline", deadline),
    {0},
};

static struct ca_error *parse_source(struct ca_arena *arena, const struct ca_node *map,
                                     struct ca_source *ret);

static struct ca_error *parse_one_source(struct ca_arena *arena, const struct ca_node *map,
                                         struct ca_source **ret)
{
    *ret = ca_arena_alloc(arena, sizeof(**ret));
    return *ret ? parse_source(arena, map, *ret) : &ca_error_nomem;
}

static struct ca_error *parse_outcome(struct ca_arena *arena, const struct ca_node *node,
                                      struct ca_outcome *ret, bool *taken)
{
    int word = 0;
    struct ca_error *error = ca_parse_keyed(arena, node, outcome_keys, ret, taken);
    if (error || *taken)
        return error;
    *taken = true;
    if (ca_parse_is(node, "state"))
        return ca_parse_word(node, state_words, &ret->state);
    if (ca_parse_is(node, "wait"))
        return ca_parse_word(node, kind_words, &ret->kind);
    if (ca_parse_is(node, "reason"))
        return ca_parse_text(node, &ret->reason);
    if (ca_parse_is(node, "exclude"))
        return ca_parse_text(node, &ret->exclude);
    if (ca_parse_is(node, "system"))
        return ca_parse_bool(node, &ret->system);
    if (ca_parse_is(node, "main"))
        return ca_parse_bool(node, &ret->main);
    if (ca_parse_is(node, "cases"))
        return parse_one_source(arena, node, &ret->cases);
    if (ca_parse_is(node, "any-of"))
        return parse_one_source(arena, node, &ret->any);
    if (ca_parse_is(node, "object-ring"))
        return parse_one_source(arena, node, &ret->object_ring);
    if (ca_parse_is(node, "direction")) {
        error = ca_parse_word(node, direction_words, &word);
        ret->direction = (enum ca_direction)word;
        return error;
    }
    *taken = false;
    return NULL;
}

static void outcome_init(struct ca_outcome *outcome)
{
    outcome->state = outcome->kind = CA_UNSET;
}

struct ca_error *ca_parse_rules(struct ca_arena *arena, const struct ca_node *node,
                                struct ca_when **ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SEQUENCE);
    for (const struct ca_node *item = node->child; !error && item; item = item->next) {
        struct ca_when *rule = ca_arena_alloc(arena, sizeof(*rule));
        if (!rule)
            return &ca_error_nomem;
        *ret = rule;
        ret = &rule->next;
        rule->line = item->line;
        outcome_init(&rule->outcome);
        error = ca_parse_kind(item, CA_NODE_MAP);
        for (const struct ca_node *key = item->child; !error && key; key = key->next) {
            bool taken = ca_parse_is(key, "when");
            if (taken)
                error = ca_parse_tests(arena, key, &rule->when);
            else if ((taken = ca_parse_is(key, "frame")))
                error = ca_parse_text(key, &rule->frame);
            else
                error = parse_outcome(arena, key, &rule->outcome, &taken);
            if (!error && !taken)
                error = ca_parse_unknown(key, "a rule");
        }
    }
    return error;
}

static const char *const source_words[] = {"one",   "ring",   "cycle", "list", "tree",
                                           "array", "vector", "scan",  NULL};

static const struct ca_key source_keys[] = {
    KEY(ca_source, "next", next_link),  KEY(ca_source, "left", left),
    KEY(ca_source, "right", right),     KEY(ca_source, "count", count),
    KEY(ca_source, "end", end),         KEY(ca_source, "item", item),
    KEY(ca_source, "task", task),       KEY(ca_source, "head", head),
    KEY(ca_source, "counted", counted), {0},
};

static struct ca_error *parse_source_key(struct ca_arena *arena, const struct ca_node *node,
                                         struct ca_source *ret)
{
    bool taken;
    struct ca_error *error = ca_parse_keyed(arena, node, source_keys, ret, &taken);
    if (error || taken)
        return error;
    for (int i = 0; source_words[i]; i++) {
        if (!ca_parse_is(node, source_words[i]))
            continue;
        if (ret->word)
            return ca_error_create(CA_ERROR_FORMAT, "line %u: both \"%s\" and \"%s\"", node->line,
                                   ret->word, node->key);
        ret->word = source_words[i];
        ret->kind = (enum ca_source_kind)i;
        ret->optional = node->key[strlen(node->key) - 1] == '?';
        if (i == CA_SOURCE_SCAN)
            return ca_parse_text(node, &ret->scan_type);
        return ca_parse_expr(arena, node, &ret->root);
    }
    if (ca_parse_is(node, "where"))
        return ca_parse_tests(arena, node, &ret->where);
    if (ca_parse_is(node, "each"))
        return ca_parse_sources(arena, node, &ret->each);
    if (ca_parse_is(node, "rules"))
        return ca_parse_rules(arena, node, &ret->rules);
    if (ca_parse_is(node, "align"))
        return ca_parse_number(node, &ret->scan_align);
    error = parse_outcome(arena, node, &ret->as, &taken);
    if (!error && !taken)
        error = ca_parse_unknown(node, "a walk");
    return error;
}

static struct ca_error *check_source(const struct ca_source *source)
{
    unsigned tests = 0;
    const char *missing = NULL;
    for (const struct ca_test *test = source->where; test; test = test->next)
        tests++;
    if (!source->word)
        return ca_error_create(CA_ERROR_FORMAT,
                               "line %u: a walk needs one of one, ring, cycle, list, tree, array, "
                               "vector, scan",
                               source->line);
    if (source->kind == CA_SOURCE_VECTOR && !source->end.text)
        missing = "end";
    if (source->kind == CA_SOURCE_TREE && (!source->left.text || !source->right.text))
        missing = "left and right";
    if (missing)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: %s needs \"%s\"", source->line,
                               source->word, missing);
    if (source->kind == CA_SOURCE_SCAN && tests < 2)
        return ca_error_create(CA_ERROR_FORMAT,
                               "line %u: a scan needs \"where\" with two tests or more: one alone "
                               "finds things that are no tasks",
                               source->line);
    for (const struct ca_source *each = source->each; each; each = each->next)
        if (each->kind == CA_SOURCE_SCAN)
            return ca_error_create(CA_ERROR_FORMAT, "line %u: a scan cannot stand in \"each\"",
                                   each->line);
    if (!source->scan_align || source->scan_align & (source->scan_align - 1) ||
        source->scan_align > 4096)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: align: a power of two was expected",
                               source->line);
    return NULL;
}

static struct ca_error *parse_source(struct ca_arena *arena, const struct ca_node *map,
                                     struct ca_source *ret)
{
    struct ca_error *error = ca_parse_kind(map, CA_NODE_MAP);
    ret->line = map->line;
    ret->scan_align = 8;
    outcome_init(&ret->as);
    for (const struct ca_node *key = map->child; !error && key; key = key->next)
        error = parse_source_key(arena, key, ret);
    return error ? error : check_source(ret);
}

struct ca_error *ca_parse_sources(struct ca_arena *arena, const struct ca_node *node,
                                  struct ca_source **ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SEQUENCE);
    for (const struct ca_node *item = node->child; !error && item; item = item->next) {
        error = parse_one_source(arena, item, ret);
        if (!error)
            ret = &(*ret)->next;
    }
    return error;
}

/* ---- objects ------------------------------------------------------------------------------- */

static const struct ca_key object_keys[] = {
    KEY(ca_object, "owner", owner),
    KEY(ca_object, "waiters", waiters),
    KEY(ca_object, "counter", counter),
    KEY(ca_object, "capacity", capacity),
    KEY(ca_object, "length", length),
    KEY(ca_object, "closed", closed),
    KEY(ca_object, "senders", senders),
    KEY(ca_object, "receivers", receivers),
    KEY(ca_object, "fd", fd),
    KEY(ca_object, "deadline", deadline),
    {0},
};

struct ca_error *ca_parse_objects(struct ca_arena *arena, const struct ca_node *node,
                                  struct ca_object **ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    for (const struct ca_node *map = node->child; !error && map; map = map->next) {
        struct ca_object *object = ca_arena_alloc(arena, sizeof(*object));
        if (!object)
            return &ca_error_nomem;
        size_t size = strlen(map->key);
        object->line = map->line;
        object->kind = CA_UNSET;
        object->optional = size && map->key[size - 1] == '?';
        object->type_name = ca_arena_text(arena, map->key, size - object->optional);
        if (!object->type_name)
            return &ca_error_nomem;
        *ret = object;
        ret = &object->next;
        error = ca_parse_kind(map, CA_NODE_MAP);
        for (const struct ca_node *key = map->child; !error && key; key = key->next) {
            bool taken = ca_parse_is(key, "wait");
            if (taken)
                error = ca_parse_word(key, kind_words, &object->kind);
            else
                error = ca_parse_keyed(arena, key, object_keys, object, &taken);
            if (!error && !taken)
                error = ca_parse_unknown(key, "an object");
        }
    }
    return error;
}
