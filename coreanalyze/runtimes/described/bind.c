#include "runtimes/described/bind.h"

#include <string.h>

#include "runtimes/described/suggest.h"

enum { STEPS = 64, KEPT = 4 };

struct compiler {
    struct ca_binder *binder;
    struct ca_step steps[STEPS];
    unsigned count;
    const struct ca_ctype *type;
    bool lvalue; /* the program leads to an address of type, not to a value */
    uint8_t shift, width;
    bool per_thread;
    unsigned kept; /* values put aside */
    const char *why;
};

static bool compile(struct compiler *c, const struct ca_path *path, const struct ca_ctype *hint);

static bool fail(struct compiler *c, const char *format, const char *a, const char *b)
{
    char *text = ca_arena_printf(c->binder->types->arena, format, a, b);
    c->why = text ? text : "no memory";
    return false;
}

static bool fail_member(struct compiler *c, const struct ca_ctype *type, const char *name)
{
    struct ca_types *types = c->binder->types;
    const char *members = type->kind == CA_CTYPE_STRUCT ? ca_suggest_members(types, type) : "";
    const char *what = ca_arena_printf(types->arena, "%s has no member \"%s\"",
                                       *type->name ? type->name : "the struct", name);
    return fail(c, "%s%s", what ? what : "", members);
}

static bool emit(struct compiler *c, struct ca_step step)
{
    struct ca_step *last = c->count ? &c->steps[c->count - 1] : NULL;
    if (step.op == CA_STEP_ADD && !step.imm)
        return true;
    if (step.op == CA_STEP_ADD && last && (last->op == CA_STEP_ADD || last->op == CA_STEP_CONST)) {
        last->imm += step.imm;
        return true;
    }
    if (c->count == STEPS)
        return fail(c, "too long%s%s", "", "");
    c->steps[c->count++] = step;
    return true;
}

/* A scalar in memory becomes its value. */
static bool load(struct compiler *c)
{
    if (!c->lvalue)
        return true;
    if (!ca_types_scalar(c->type) || !c->type->size || c->type->size > 8)
        return fail(c, "%s is not a number or pointer", c->type ? c->type->name : "it", "");
    c->lvalue = false;
    if (!emit(c, (struct ca_step){.op = CA_STEP_LOAD,
                                  .size = (uint8_t)c->type->size,
                                  .is_signed = c->type->is_signed && !c->width}))
        return false;
    uint8_t shift = c->shift, width = c->width;
    c->shift = c->width = 0;
    return !width || emit(c, (struct ca_step){.op = CA_STEP_BITS,
                                              .shift = shift,
                                              .width = width,
                                              .is_signed = c->type->is_signed});
}

/* What a pointer points to; an array's first element. */
static bool deref(struct compiler *c)
{
    if (c->type && c->type->kind == CA_CTYPE_ARRAY && c->lvalue) {
        c->type = ca_types_target(c->binder->types, c->type);
        return true;
    }
    if (!c->type || c->type->kind != CA_CTYPE_POINTER)
        return fail(c, "%s is not a pointer", c->type ? c->type->name : "it", "");
    const struct ca_ctype *target = ca_types_target(c->binder->types, c->type);
    if (!load(c))
        return false;
    c->lvalue = true;
    c->type = target;
    return true;
}

static bool compile_name(struct compiler *c, const char *name, const struct ca_ctype *hint)
{
    struct ca_types *types = c->binder->types;
    struct ca_cglobal global;
    uint64_t value;
    if (hint && hint->kind == CA_CTYPE_ENUM && ca_types_enumerator(types, hint, name, &value)) {
        c->type = hint;
        return emit(c, (struct ca_step){.op = CA_STEP_CONST, .imm = value});
    }
    if (ca_types_global(types, name, &global)) {
        c->type = global.type;
        c->lvalue = true;
        c->per_thread = c->per_thread || global.thread_local;
        if (!global.thread_local)
            return emit(c, (struct ca_step){.op = CA_STEP_CONST, .imm = global.address});
        return emit(
            c, (struct ca_step){.op = CA_STEP_TLS, .imm = global.address, .module = global.module});
    }
    if (ca_types_enumerator(types, NULL, name, &value)) {
        c->type = ca_types_int(types, 8, true);
        return emit(c, (struct ca_step){.op = CA_STEP_CONST, .imm = value});
    }
    /* A symbol without a type: its address can still be taken or seen as something. */
    for (size_t i = 0; i <= types->modules->list.len; i++) {
        struct ca_module *module = i ? &types->modules->list.data[i - 1] : types->module;
        if (module && ca_module_symbol(module, name, &value, NULL)) {
            c->type = NULL;
            c->lvalue = true;
            return emit(c, (struct ca_step){.op = CA_STEP_CONST, .imm = value});
        }
    }
    const char *hope = ca_suggest_dot(types, c->binder->here, name);
    if (!hope && hint && hint->kind == CA_CTYPE_ENUM)
        hope = ca_suggest_enumerators(types, hint);
    return fail(c, "there is no global, static, enumerator or symbol \"%s\"%s", name,
                hope ? hope : ca_suggest_variable(types, name));
}

static bool compile_member(struct compiler *c, const struct ca_path *path)
{
    struct ca_types *types = c->binder->types;
    struct ca_cmember member;
    if (!compile(c, path->base, NULL))
        return false;
    if (c->type && c->type->kind == CA_CTYPE_POINTER && !deref(c))
        return false;
    if (!c->type || !c->lvalue || c->type->kind != CA_CTYPE_STRUCT)
        return fail(c, "no member .%s in %s: not a struct", path->name,
                    c->type && *c->type->name ? c->type->name : "something untyped");
    if (!ca_types_member(types, c->type, path->name, &member))
        return fail_member(c, c->type, path->name);
    c->type = member.type;
    c->shift = member.shift;
    c->width = member.width;
    return emit(c, (struct ca_step){.op = CA_STEP_ADD, .imm = member.offset});
}

static bool compile_index(struct compiler *c, const struct ca_path *path)
{
    int64_t offset;
    if (!compile(c, path->base, NULL))
        return false;
    /* `.[1]`: where the next struct of the kind would be. */
    bool is_struct = c->lvalue && c->type && c->type->kind == CA_CTYPE_STRUCT;
    if (!is_struct && !deref(c))
        return false;
    if (!c->type || !c->type->size ||
        __builtin_mul_overflow((int64_t)c->type->size, (int64_t)path->number, &offset))
        return fail(c, "cannot index %s: the size of an element is not known",
                    c->type ? c->type->name : "it", "");
    return emit(c, (struct ca_step){.op = CA_STEP_ADD, .imm = (uint64_t)offset});
}

/* base[path]: an element of an array, or of what a pointer points to. */
static bool compile_element(struct compiler *c, const struct ca_path *path)
{
    if (!compile(c, path->base, NULL) || !deref(c))
        return false;
    const struct ca_ctype *type = c->type;
    if (!type || !type->size)
        return fail(c, "cannot index %s: the size of an element is not known",
                    type ? type->name : "it", "");
    if (++c->kept > KEPT)
        return fail(c, "indexes nested too deeply%s%s", "", "");
    if (!emit(c, (struct ca_step){.op = CA_STEP_KEEP}) || !compile(c, path->member, NULL))
        return false;
    if (c->lvalue && !load(c))
        return false;
    c->kept--;
    c->lvalue = true;
    c->type = type;
    return emit(c, (struct ca_step){.op = CA_STEP_ELEMENT, .imm = type->size});
}

static bool compile_as(struct compiler *c, const struct ca_path *path)
{
    const struct ca_ctype *type = ca_types_find(c->binder->types, path->name);
    if (!type)
        return fail(c, "there is no type \"%s\"%s", path->name,
                    ca_suggest_type(c->binder->types, path->name));
    if (!compile(c, path->base, NULL))
        return false;
    if (c->lvalue && ca_types_scalar(c->type) && !load(c))
        return false;
    c->lvalue = true;
    c->type = type;
    return true;
}

/* The chain's offset inside a struct, through embedded structs and arrays only. */
static bool chain_offset(struct compiler *c, const struct ca_path *chain,
                         const struct ca_ctype **type, uint64_t *offset)
{
    struct ca_cmember member;
    if (chain->kind != CA_PATH_MEMBER)
        return true;
    if (!chain_offset(c, chain->base, type, offset))
        return false;
    if ((*type)->kind != CA_CTYPE_STRUCT ||
        !ca_types_member(c->binder->types, *type, chain->name, &member))
        return fail_member(c, *type, chain->name);
    *offset += member.offset;
    *type = member.type;
    return true;
}

static bool compile_in(struct compiler *c, const struct ca_path *path)
{
    const struct ca_ctype *type = ca_types_find(c->binder->types, path->name);
    const struct ca_ctype *inner = type;
    uint64_t offset = 0;
    if (!type)
        return fail(c, "there is no type \"%s\"%s", path->name,
                    ca_suggest_type(c->binder->types, path->name));
    if (!chain_offset(c, path->member, &inner, &offset) || !compile(c, path->base, NULL))
        return false;
    if (c->lvalue && ca_types_scalar(c->type) && !load(c))
        return false;
    c->lvalue = true;
    c->type = type;
    return emit(c, (struct ca_step){.op = CA_STEP_ADD, .imm = -offset});
}

static bool compile_operand(struct compiler *c, const struct ca_path *path)
{
    if (!compile(c, path->base, NULL))
        return false;
    if (c->lvalue && ca_types_scalar(c->type) && !load(c))
        return false;
    if (c->lvalue) { /* of a struct: its address */
        c->lvalue = false;
        c->type = ca_types_int(c->binder->types, 8, false);
    }
    enum ca_step_op op = path->kind == CA_PATH_ADD         ? CA_STEP_ADD
                         : path->kind == CA_PATH_MASK      ? CA_STEP_MASK
                         : path->kind == CA_PATH_DEMANGLED ? CA_STEP_DEMANGLED
                                                           : CA_STEP_SHIFT;
    return emit(c, (struct ca_step){.op = (uint8_t)op, .imm = path->number});
}

static bool compile_here(struct compiler *c, bool outer)
{
    c->type = outer ? c->binder->outer : c->binder->here;
    c->lvalue = true;
    if (!c->type)
        return fail(c,
                    outer
                        ? "'^' has no meaning here: the walk starts at a global%s%s"
                        : "'.' has no meaning here: there is nothing at hand, begin with the name "
                          "of a variable%s%s",
                    "", "");
    return emit(c, (struct ca_step){.op = outer ? CA_STEP_OUTER : CA_STEP_THIS});
}

static bool compile(struct compiler *c, const struct ca_path *path, const struct ca_ctype *hint)
{
    switch (path->kind) {
    case CA_PATH_NUMBER:
        c->type = ca_types_int(c->binder->types, 8, true);
        return emit(c, (struct ca_step){.op = CA_STEP_CONST, .imm = path->number});
    case CA_PATH_STRING:
        return fail(c, "a text can only be compared with%s%s", "", "");
    case CA_PATH_NAME:
        return compile_name(c, path->name, hint);
    case CA_PATH_THIS:
    case CA_PATH_OUTER:
        return compile_here(c, path->kind == CA_PATH_OUTER);
    case CA_PATH_MEMBER:
        return compile_member(c, path);
    case CA_PATH_INDEX:
        return compile_index(c, path);
    case CA_PATH_ELEMENT:
        return compile_element(c, path);
    case CA_PATH_ADDRESS:
        if (!compile(c, path->base, NULL))
            return false;
        if (!c->lvalue)
            return fail(c, "'&' needs something in memory%s%s", "", "");
        c->lvalue = false;
        c->type = ca_types_pointer(c->binder->types, c->type);
        return true;
    case CA_PATH_DEREF:
        if (compile(c, path->base, NULL) && deref(c))
            return true;
        if (path->base->kind == CA_PATH_AS && c->type && c->type->kind == CA_CTYPE_INT)
            return fail(c, "\"as %s\" reads what is there: no '*' before it%s", path->base->name,
                        "");
        return false;
    case CA_PATH_AS:
        return compile_as(c, path);
    case CA_PATH_IN:
        return compile_in(c, path);
    case CA_PATH_ADD:
    case CA_PATH_MASK:
    case CA_PATH_SHIFT:
    case CA_PATH_DEMANGLED:
        return compile_operand(c, path);
    }
    return fail(c, "not understood%s%s", "", "");
}

/* What ca_expr_value need not run step by step. */
static void find_shape(struct ca_expr *expr)
{
    const struct ca_step *steps = expr->steps;
    unsigned i = expr->step_count > 1 && steps[1].op == CA_STEP_ADD ? 2 : 1;
    expr->shape = CA_EXPR_STEPS;
    expr->imm = i == 2 ? steps[1].imm : 0;
    if (expr->step_count == 1 && steps[0].op == CA_STEP_CONST) {
        expr->shape = CA_EXPR_CONST;
        expr->imm = steps[0].imm;
    } else if (expr->step_count && steps[0].op == CA_STEP_THIS) {
        if (expr->step_count == i)
            expr->shape = CA_EXPR_PLACE;
        else if (expr->step_count == i + 1 && steps[i].op == CA_STEP_LOAD)
            expr->shape = CA_EXPR_FIELD;
    }
}

static bool finish(struct compiler *c, struct ca_expr *expr, unsigned choice)
{
    if (c->lvalue && ca_types_scalar(c->type) && !load(c))
        return false;
    size_t size = c->count * sizeof(*c->steps);
    expr->steps = ca_arena_alloc(c->binder->types->arena, size);
    if (!expr->steps)
        return fail(c, "no memory%s%s", "", "");
    memcpy(expr->steps, c->steps, size);
    expr->step_count = (uint8_t)c->count;
    expr->type = c->type;
    expr->lvalue = c->lvalue;
    expr->per_thread = c->per_thread;
    expr->chosen = (uint8_t)choice;
    expr->bound = true;
    find_shape(expr);
    return true;
}

static bool bind_hinted(struct ca_binder *binder, struct ca_expr *expr, const struct ca_ctype *hint)
{
    expr->bound = false;
    expr->string = NULL;
    for (unsigned i = 0; i < expr->path_count; i++) {
        struct compiler c = {.binder = binder};
        if (expr->paths[i]->kind == CA_PATH_STRING) {
            expr->string = expr->paths[i]->name;
            expr->bound = true;
            expr->chosen = (uint8_t)i;
            return true;
        }
        if (compile(&c, expr->paths[i], hint) && finish(&c, expr, i))
            return true;
        if (!expr->why || i == 0)
            expr->why = c.why;
    }
    return false;
}

bool ca_expr_bind(struct ca_binder *binder, struct ca_expr *expr)
{
    return bind_hinted(binder, expr, NULL);
}

const char *ca_test_bind(struct ca_binder *binder, struct ca_test *test)
{
    for (; test; test = test->next) {
        if (!bind_hinted(binder, &test->left, NULL))
            return test->left.why;
        if (test->right.path_count && !bind_hinted(binder, &test->right, test->left.type))
            return test->right.why;
        if (test->high.path_count && !bind_hinted(binder, &test->high, test->left.type))
            return test->high.why;
        if (test->left.string || test->high.string ||
            (test->right.string && test->op != CA_TEST_EQ && test->op != CA_TEST_NE))
            return "a text can only stand on the right of == and !=";
    }
    return NULL;
}
