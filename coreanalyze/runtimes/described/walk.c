#include "runtimes/described/walk.h"

#include <string.h>

/* ---- binding ------------------------------------------------------------------------------- */

struct where {
    unsigned *line;
    const char **key;
};

static const char *bind_expr(struct ca_binder *binder, struct ca_expr *expr, struct where where)
{
    if (!expr->text || ca_expr_bind(binder, expr) || expr->optional)
        return NULL;
    *where.line = expr->line;
    *where.key = expr->key;
    return expr->why ? expr->why : "it does not bind";
}

static const char *bind_tests(struct ca_binder *binder, struct ca_test *test, struct where where)
{
    const char *why = ca_test_bind(binder, test);
    if (why) {
        *where.line = test->left.line;
        *where.key = test->left.key;
    }
    return why;
}

/* The head of a ring may be of a type of its own (with a counter behind the links, say): then the
 * elements are what the link leads to, if that has such a link too. */
static void head_of_its_own(struct ca_types *types, struct ca_source *source,
                            const struct ca_ctype *outer)
{
    const struct ca_ctype *node = ca_expr_pointee(types, &source->next_link);
    struct ca_binder binder = {.types = types, .here = node, .outer = outer};
    struct ca_expr link = source->next_link, item = source->item;
    source->first_link = source->next_link;
    if (source->kind == CA_SOURCE_RING && node && node != source->node_type &&
        node->kind == CA_CTYPE_STRUCT && ca_expr_bind(&binder, &link) &&
        (!item.text || ca_expr_bind(&binder, &item))) {
        source->next_link = link;
        source->node_type = node;
    }
}

/* What the elements are, and the links between them. */
static const char *bind_links(struct ca_types *types, struct ca_source *source,
                              const struct ca_ctype *outer, struct where where)
{
    struct ca_binder binder = {.types = types, .here = source->node_type};
    struct ca_expr *links[] = {&source->next_link, &source->left, &source->right};
    bool linked = source->kind == CA_SOURCE_RING || source->kind == CA_SOURCE_CYCLE ||
                  source->kind == CA_SOURCE_LIST;
    if (linked && !source->next_link.text) {
        struct ca_path *path = ca_arena_alloc(types->arena, 2 * sizeof(*path));
        if (!path)
            return "no memory";
        path[1].kind = CA_PATH_THIS;
        path[0] = (struct ca_path){.kind = CA_PATH_MEMBER, .base = &path[1], .name = "next"};
        source->next_link = (struct ca_expr){
            .key = "next", .text = ".next", .line = source->line, .paths = {path}, .path_count = 1};
    }
    const char *why = NULL;
    for (int i = 0; !why && i < 3; i++)
        why = bind_expr(&binder, links[i], where);
    if (why)
        return why;
    head_of_its_own(types, source, outer);
    return NULL;
}

static const char *bind_root(struct ca_types *types, struct ca_source *source,
                             const struct ca_ctype *outer, struct where where)
{
    struct ca_binder binder = {.types = types, .here = outer};
    const char *why = bind_expr(&binder, &source->root, where);
    if (!why)
        why = bind_expr(&binder, &source->count, where);
    if (!why)
        why = bind_expr(&binder, &source->end, where);
    if (why)
        return why;
    *where.line = source->line;
    *where.key = source->word;
    source->node_type = ca_expr_pointee(types, &source->root);
    if (source->kind != CA_SOURCE_ARRAY)
        return source->node_type ? NULL : "what it leads to has no type: say \"as TYPE\"";
    const struct ca_ctype *type = source->root.type;
    if (type && type->kind == CA_CTYPE_ARRAY)
        source->node_type = ca_types_target(types, type);
    else if (!source->count.text)
        return "the array's length is not known: say \"count\"";
    return source->node_type ? NULL : "what it leads to has no type: say \"as TYPE\"";
}

static const char *bind_item(struct ca_types *types, struct ca_source *source,
                             const struct ca_ctype *outer, struct where where)
{
    struct ca_binder binder = {.types = types, .here = source->node_type, .outer = outer};
    source->item_type = source->node_type;
    bool elements = source->kind == CA_SOURCE_ARRAY || source->kind == CA_SOURCE_VECTOR;
    if (elements && !source->node_type->size)
        return "the size of its elements is not known";
    if (source->item.text) {
        const char *why = bind_expr(&binder, &source->item, where);
        source->item_type = ca_expr_pointee(types, &source->item);
        return why;
    }
    source->item_is_pointer =
        (elements || source->kind == CA_SOURCE_ONE) && source->node_type->kind == CA_CTYPE_POINTER;
    if (source->item_is_pointer)
        source->item_type = ca_types_target(types, source->node_type);
    return NULL;
}

static const char *type_name(const struct ca_ctype *type)
{
    return type && *type->name ? type->name : "untyped";
}

const char *ca_walk_bind(struct ca_types *types, struct ca_source *source,
                         const struct ca_ctype *outer, unsigned *line, const char **key)
{
    struct where where = {line, key};
    const char *why;
    *line = source->line;
    *key = source->word;
    source->skipped = false;
    source->item_is_pointer = false;
    if (source->kind == CA_SOURCE_SCAN) {
        source->node_type = source->item_type = ca_types_find(types, source->scan_type);
        why = source->node_type ? NULL : "there is no such type";
    } else {
        why = bind_root(types, source, outer, where);
        if (!why)
            why = bind_links(types, source, outer, where);
        if (!why)
            why = bind_item(types, source, outer, where);
    }
    struct ca_binder binder = {.types = types, .here = source->item_type, .outer = outer};
    if (!why && (why = bind_tests(&binder, source->where, where)) && source->item.text) {
        const char *element = type_name(source->node_type), *item = type_name(source->item_type);
        const char *text = ca_arena_printf(
            types->arena,
            "%s; tests are on the item (%s), not on the element (%s): for those, put "
            "\"{one: ...}\" into \"each\" instead of \"item\"",
            why, item, element);
        why = text ? text : why;
    }
    for (struct ca_source *each = source->each; !why && each; each = each->next) {
        why = ca_walk_bind(types, each, source->item_type, line, key);
        if (why && each->optional) {
            each->skipped = true;
            why = NULL;
        }
    }
    return why;
}

/* ---- walking ------------------------------------------------------------------------------- */

struct walk {
    struct ca_source *source;
    struct ca_scope scope; /* here: the element */
    uint64_t container;    /* '.' of the root */
    const struct ca_scope *outer;
    ca_walk_fn *fn;
    void *arg;
};

static void broke(struct ca_source *source, uint64_t at, const char *why)
{
    if (!source->breaks++) {
        source->broke_at = at;
        source->broke_why = why;
    }
}

bool ca_walk_found(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn,
                   void *arg)
{
    uint64_t count;
    source->found++;
    if (source->counted.bound &&
        (!ca_expr_value(&source->counted, scope, &count) ||
         __builtin_add_overflow(source->counted_sum, count, &source->counted_sum)))
        source->uncounted = true;
    for (struct ca_source *each = source->each; each; each = each->next)
        if (!ca_walk(each, scope, fn, arg))
            return false;
    return source->each || fn(arg, source, scope);
}

/* One element: to its item, through the filter, then down or out. */
static bool visit(struct walk *walk, uint64_t element)
{
    struct ca_source *source = walk->source;
    uint64_t *budget = walk->scope.budget;
    if (budget && !*budget) {
        broke(source, element, "too many elements in all");
        return true;
    }
    if (budget)
        --*budget;
    struct ca_scope scope = walk->scope;
    scope.here = element;
    scope.outer = walk->container;
    if (source->item.bound) {
        uint64_t item;
        if (!ca_expr_address(&source->item, &scope, &item)) {
            broke(source, element, "the way from the link to the item led nowhere");
            return true;
        }
        scope.here = item;
    } else if (source->item_is_pointer) {
        if (!ca_target_read_u64(scope.target, element, &scope.here)) {
            broke(source, element, "an element is not in memory");
            return true;
        }
    }
    if (!scope.here)
        return true;
    if (source->where && !ca_tests_hold(source->where, &scope, true)) {
        source->rejected++;
        return true;
    }
    return ca_walk_found(source, &scope, walk->fn, walk->arg);
}

static bool follow(struct walk *walk, const struct ca_expr *link, uint64_t from, uint64_t *ret)
{
    struct ca_scope scope = walk->scope;
    scope.here = from;
    scope.outer = walk->container;
    return ca_expr_address(link, &scope, ret);
}

static bool spent(const struct walk *walk)
{
    if (!walk->scope.budget || *walk->scope.budget)
        return false;
    broke(walk->source, 0, "too many elements in all");
    return true;
}

/* What stands for NULL, where `end` says so: the sentinel of a tree, a list's last link. */
static uint64_t sentinel(const struct walk *walk)
{
    uint64_t end;
    return walk->source->end.bound && ca_expr_address(&walk->source->end, walk->outer, &end) ? end
                                                                                             : 0;
}

/* Rings and lists. Brent's way to notice a cycle that does not come back to the start. */
static bool walk_links(struct walk *walk, uint64_t start)
{
    struct ca_source *source = walk->source;
    uint64_t at = start, stop = 0, mark = 0, steps = 0, power = 64;
    bool list = source->kind == CA_SOURCE_LIST;
    stop = list ? sentinel(walk) : start;
    if (source->kind == CA_SOURCE_RING && !follow(walk, &source->first_link, start, &at)) {
        broke(source, start, "the head is not in memory");
        return true;
    }
    if (source->kind != CA_SOURCE_CYCLE && at == stop)
        return true;
    while (at && !spent(walk)) {
        if (at == mark) {
            broke(source, at, "the links go round without an end");
            return true;
        }
        if (++steps == power) {
            mark = at;
            power *= 2;
        }
        if (steps > CA_WALK_LIMIT) {
            broke(source, at, "too many elements");
            return true;
        }
        uint64_t next;
        if (!follow(walk, &source->next_link, at, &next)) {
            broke(source, at, "a link leads to where no memory is");
            return true;
        }
        if (!visit(walk, at))
            return false;
        at = next;
        if (stop && at == stop)
            return true;
    }
    if (stop && !at && !list)
        broke(source, 0, "the ring is open: a link is NULL");
    return true;
}

static bool walk_tree(struct walk *walk, uint64_t root)
{
    struct ca_source *source = walk->source;
    struct ca_map seen = {0};
    uint64_t end = sentinel(walk);
    CA_VEC(uint64_t) open = {0};
    bool ok = ca_vec_push(&open, root);
    while (ok && open.len && !spent(walk)) {
        uint64_t at = open.data[--open.len], child;
        bool fresh;
        if (!at || at == end)
            continue;
        if (!ca_map_put(&seen, at, &fresh) || seen.len > CA_WALK_LIMIT) {
            broke(source, at, "too many elements");
            break;
        }
        if (!fresh) {
            broke(source, at, "the tree has a cycle");
            continue;
        }
        const struct ca_expr *links[] = {&source->right, &source->left};
        for (int i = 0; ok && i < 2; i++) {
            if (follow(walk, links[i], at, &child))
                ok = ca_vec_push(&open, child);
            else
                broke(source, at, "a link leads to where no memory is");
        }
        ok = ok && visit(walk, at);
    }
    ca_vec_deinit(&open);
    ca_map_deinit(&seen);
    return ok;
}

static bool walk_elements(struct walk *walk, uint64_t start, uint64_t count)
{
    struct ca_source *source = walk->source;
    uint64_t size = source->node_type->size;
    for (uint64_t i = 0; i < count && !spent(walk); i++) {
        uint8_t byte;
        if (i >= CA_WALK_LIMIT) {
            broke(source, start + i * size, "too many elements");
            return true;
        }
        if (!ca_target_read(walk->scope.target, start + i * size, &byte, 1)) {
            broke(source, start + i * size, "the array is longer than the memory it is in");
            return true;
        }
        if (!visit(walk, start + i * size))
            return false;
    }
    return true;
}

static bool walk_array(struct walk *walk, const struct ca_scope *outer, uint64_t start)
{
    struct ca_source *source = walk->source;
    uint64_t count = source->root.type ? source->root.type->count : 0, end;
    if (source->kind == CA_SOURCE_VECTOR) {
        if (!ca_expr_address(&source->end, outer, &end) || end < start) {
            broke(source, start, "the vector ends before it begins");
            return true;
        }
        count = (end - start) / source->node_type->size;
    } else if (source->count.text && !ca_expr_value(&source->count, outer, &count)) {
        broke(source, start, "the array's length is not in memory");
        return true;
    }
    return !count || !start || walk_elements(walk, start, count);
}

static bool walk_here(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn,
                      void *arg)
{
    uint64_t start;
    struct walk walk = {source, *scope, scope->here, scope, fn, arg};
    source->walks++;
    if (source->kind == CA_SOURCE_SCAN)
        return ca_walk_scan(source, scope, fn, arg);
    if (!ca_expr_address(&source->root, scope, &start)) {
        /* A thread that never touched the variable has nothing to walk. */
        if (!source->root.per_thread)
            broke(source, 0, "its start is not in memory");
        return true;
    }
    if (!start)
        return true;
    switch (source->kind) {
    case CA_SOURCE_ONE:
        return visit(&walk, start);
    case CA_SOURCE_TREE:
        return walk_tree(&walk, start);
    case CA_SOURCE_ARRAY:
    case CA_SOURCE_VECTOR:
        return walk_array(&walk, scope, start);
    default:
        return walk_links(&walk, start);
    }
}

bool ca_walk(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn, void *arg)
{
    bool per_thread = source->kind != CA_SOURCE_SCAN && source->root.per_thread;
    if (source->skipped)
        return true;
    if (!per_thread || scope->thread_pointer)
        return walk_here(source, scope, fn, arg);
    struct ca_target *target = scope->target;
    for (size_t i = 0; i < target->threads.len; i++) {
        struct ca_scope own = *scope;
        own.thread_pointer = target->threads.data[i].tls;
        if (own.thread_pointer && !walk_here(source, &own, fn, arg))
            return false;
    }
    return true;
}

uint64_t ca_walk_ring_head(struct ca_source *source, const struct ca_scope *scope,
                           const struct ca_map *known)
{
    uint64_t start, at, head = 0;
    struct ca_scope own = *scope;
    own.outer = scope->here;
    CA_VEC(uint64_t) path = {0};
    if (!ca_expr_address(&source->root, scope, &start) || !start)
        return 0;
    at = start;
    for (uint64_t steps = 0; at && steps < CA_WALK_LIMIT; steps++) {
        bool fresh;
        uint64_t item, *slot = ca_map_put(&source->ring_heads, at, &fresh);
        if (!slot)
            break;
        if (!fresh) {
            head = *slot; /* known from an earlier task, or the ring has no head */
            break;
        }
        own.here = at;
        const uint64_t *task = NULL;
        if (ca_expr_address(&source->item, &own, &item))
            task = ca_map_get(known, item);
        if (!task || !*task) {
            head = at;
            break;
        }
        if (!ca_vec_push(&path, at) || !ca_expr_address(&source->next_link, &own, &at))
            break;
    }
    for (size_t i = 0; i < path.len; i++) {
        uint64_t *slot = ca_map_get(&source->ring_heads, path.data[i]);
        if (slot)
            *slot = head;
    }
    uint64_t *slot = head ? ca_map_put(&source->ring_heads, head, NULL) : NULL;
    if (slot)
        *slot = head;
    ca_vec_deinit(&path);
    return head == start ? 0 : head;
}
