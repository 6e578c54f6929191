/* Running bound paths. What memory does not hold is a plain false: this is the hot path. */
#include <string.h>

#include "runtimes/described/bind.h"
#include "runtimes/described/mangle.h"

enum { TEXT_LIMIT = 256, KEPT = 4 };

static uint64_t extend(uint64_t value, unsigned bits)
{
    return bits >= 64 ? value : (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits));
}

static uint64_t word(const uint8_t *bytes, unsigned size)
{
    uint64_t raw = 0;
    switch (size) { /* copies of a known size are single instructions */
    case 8:
        memcpy(&raw, bytes, 8);
        break;
    case 4:
        memcpy(&raw, bytes, 4);
        break;
    case 1:
        raw = *bytes;
        break;
    default:
        memcpy(&raw, bytes, size);
    }
    return raw;
}

static inline bool load(const struct ca_scope *scope, const struct ca_step *step, uint64_t *value)
{
    uint64_t raw = 0;
    const uint8_t *near = ca_target_near(scope->target, *value, step->size);
    if (near)
        raw = word(near, step->size);
    else if (!ca_target_read_slow(scope->target, *value, &raw, step->size))
        return false;
    *value = step->is_signed ? extend(raw, step->size * 8u) : raw;
    return true;
}

static bool run(const struct ca_expr *expr, const struct ca_scope *scope, uint64_t *ret)
{
    uint64_t value = 0, kept[KEPT] = {0};
    unsigned depth = 0;
    for (unsigned i = 0; i < expr->step_count; i++) {
        const struct ca_step *step = &expr->steps[i];
        switch ((enum ca_step_op)step->op) {
        case CA_STEP_CONST:
            value = step->imm;
            break;
        case CA_STEP_THIS:
            value = scope->here;
            break;
        case CA_STEP_OUTER:
            value = scope->outer;
            break;
        case CA_STEP_TLS:
            if (!scope->thread_pointer ||
                !ca_tls_address(scope->tls, scope->thread_pointer, step->module, step->imm, &value))
                return false;
            break;
        case CA_STEP_ADD:
            value += step->imm;
            break;
        case CA_STEP_LOAD:
            if (!load(scope, step, &value))
                return false;
            break;
        case CA_STEP_MASK:
            value &= step->imm;
            break;
        case CA_STEP_BITS:
            value = value >> step->shift;
            if (step->width < 64)
                value &= (1ull << step->width) - 1;
            if (step->is_signed)
                value = extend(value, step->width);
            break;
        case CA_STEP_SHIFT:
            value = (int64_t)step->imm < 0 ? value >> -step->imm : value << step->imm;
            break;
        case CA_STEP_KEEP:
            kept[depth++ % KEPT] = value;
            break;
        case CA_STEP_ELEMENT:
            value = kept[--depth % KEPT] + value * step->imm;
            break;
        case CA_STEP_DEMANGLED:
            if (!ca_pointer_demangle(scope->target, &value))
                return false;
            break;
        }
    }
    *ret = value;
    return true;
}

static inline bool read_value(const struct ca_expr *expr, const struct ca_scope *scope,
                              uint64_t *ret)
{
    bool ok = true;
    if (!expr->bound || expr->string)
        return false;
    if (expr->shape == CA_EXPR_STEPS) {
        ok = run(expr, scope, ret);
    } else {
        uint64_t value = expr->imm + (expr->shape == CA_EXPR_CONST ? 0 : scope->here);
        if (expr->shape == CA_EXPR_FIELD)
            ok = load(scope, &expr->steps[expr->step_count - 1], &value);
        if (ok)
            *ret = value;
    }
    if (!scope->quiet) {
        struct ca_expr *counts = (struct ca_expr *)expr;
        counts->read++;
        counts->faults += !ok;
    }
    return ok;
}

bool ca_expr_value(const struct ca_expr *expr, const struct ca_scope *scope, uint64_t *ret)
{
    return read_value(expr, scope, ret);
}

/* A pointer's value is the address of what it points to; a struct's value is its address. */
bool ca_expr_address(const struct ca_expr *expr, const struct ca_scope *scope, uint64_t *ret)
{
    return ca_expr_value(expr, scope, ret);
}

const struct ca_ctype *ca_expr_pointee(struct ca_types *types, const struct ca_expr *expr)
{
    if (!expr->bound || !expr->type)
        return NULL;
    if (!expr->lvalue && expr->type->kind == CA_CTYPE_POINTER)
        return ca_types_target(types, expr->type);
    return expr->type;
}

const char *ca_expr_string(const struct ca_expr *expr, const struct ca_scope *scope,
                           struct ca_strings *strings)
{
    uint64_t address;
    size_t limit = TEXT_LIMIT;
    if (expr->string)
        return ca_strings_intern(strings, expr->string, strlen(expr->string));
    if (!ca_expr_value(expr, scope, &address) || !address)
        return NULL;
    if (expr->lvalue && expr->type && expr->type->kind == CA_CTYPE_ARRAY && expr->type->count &&
        expr->type->count < limit)
        limit = expr->type->count;
    char text[TEXT_LIMIT];
    size_t len = 0;
    for (; len < limit; len++) /* byte by byte: the end of the mapping may be near */
        if (!ca_target_read(scope->target, address + len, &text[len], 1) || !text[len])
            break;
    if (!len && !ca_target_read(scope->target, address, text, 1))
        return NULL;
    return ca_strings_intern(strings, text, len);
}

static bool compare(const struct ca_test *test, uint64_t left, uint64_t right)
{
    bool is_signed = test->left.type && test->left.type->is_signed;
    int order = is_signed ? ((int64_t)left > (int64_t)right) - ((int64_t)left < (int64_t)right)
                          : (left > right) - (left < right);
    switch (test->op) {
    case CA_TEST_EQ:
        return order == 0;
    case CA_TEST_NE:
        return order != 0;
    case CA_TEST_LT:
        return order < 0;
    case CA_TEST_LE:
        return order <= 0;
    case CA_TEST_GT:
        return order > 0;
    case CA_TEST_GE:
        return order >= 0;
    default:
        return false;
    }
}

static bool text_equals(const struct ca_test *test, const struct ca_scope *scope, bool *ret)
{
    struct ca_strings strings = {0};
    const char *text = ca_expr_string(&test->left, scope, &strings);
    if (text)
        *ret = strcmp(text, test->right.string) == 0;
    ca_strings_deinit(&strings);
    return text != NULL;
}

static bool holds(const struct ca_test *test, const struct ca_scope *scope)
{
    uint64_t left, right, high;
    bool same;
    if (test->right.string)
        return text_equals(test, scope, &same) && same == (test->op == CA_TEST_EQ);
    if (!read_value(&test->left, scope, &left))
        return false;
    if (test->op == CA_TEST_NONZERO)
        return left != 0;
    if (!read_value(&test->right, scope, &right))
        return false;
    if (test->op != CA_TEST_WITHIN)
        return compare(test, left, right);
    return read_value(&test->high, scope, &high) && left >= right && left < high;
}

bool ca_tests_hold(struct ca_test *test, const struct ca_scope *scope, bool counts)
{
    for (; test; test = test->next) {
        if (holds(test, scope))
            continue;
        if (counts)
            test->rejected++;
        return false;
    }
    return true;
}
