/* Paths bound to types become short programs: names are looked up once, then walking is reading
 * memory at known offsets.
 */
#ifndef CA_DESCRIBED_BIND_H
#define CA_DESCRIBED_BIND_H

#include "runtimes/described/path.h"
#include "runtimes/described/types.h"
#include "symbols/tls.h"

enum ca_step_op {
    CA_STEP_CONST,
    CA_STEP_THIS,
    CA_STEP_OUTER,
    CA_STEP_TLS, /* start of a module's thread-local storage, plus imm */
    CA_STEP_ADD,
    CA_STEP_LOAD, /* size, is_signed */
    CA_STEP_MASK,
    CA_STEP_BITS,      /* shift, width */
    CA_STEP_SHIFT,     /* imm to the left; negative: to the right */
    CA_STEP_KEEP,      /* puts the value aside: the array whose element comes next */
    CA_STEP_ELEMENT,   /* what was put aside, plus the value times imm */
    CA_STEP_DEMANGLED, /* glibc's PTR_DEMANGLE */
};

struct ca_step {
    uint8_t op, size, shift, width;
    bool is_signed;
    uint64_t imm;
    struct ca_module *module;
};

/* What most programs are, said in one word so that they need not be run step by step. */
enum ca_expr_shape {
    CA_EXPR_STEPS,
    CA_EXPR_CONST, /* imm */
    CA_EXPR_PLACE, /* the thing at hand plus imm */
    CA_EXPR_FIELD, /* what is read there: steps[step_count - 1] says how */
};

/* One path of a description: its text, where it stood, and, once bound, its program. */
struct ca_expr {
    const char *key, *text; /* text NULL: not given */
    unsigned line;
    bool optional; /* "key?": left out when it does not bind */
    struct ca_path *paths[CA_PATH_CHOICES];
    unsigned path_count;

    bool bound, lvalue, per_thread;
    uint8_t step_count, chosen;
    uint8_t shape; /* enum ca_expr_shape */
    struct ca_step *steps;
    uint64_t imm;
    const struct ca_ctype *type; /* of what it leads to; NULL: untyped */
    const char *string;          /* a literal text instead of a program */
    const char *why;             /* why it is not bound */
    uint64_t read, faults;       /* how often it was read, and led nowhere */
};

struct ca_test {
    enum ca_test_op op;
    struct ca_expr left, right, high;
    const char *text;
    uint64_t rejected;
    struct ca_test *next; /* all must hold */
};

/* What '.', '^' and the thread stand for while a program runs. */
struct ca_scope {
    struct ca_target *target;
    struct ca_tls *tls;
    uint64_t thread_pointer; /* 0: no thread */
    uint64_t here, outer;
    bool quiet;       /* what is read is not counted: another thread only looks, see ahead.c */
    uint64_t *budget; /* elements that all walks together may still visit; NULL: no limit */
};

struct ca_binder {
    struct ca_types *types;
    const struct ca_ctype *here, *outer;
};

/* Tries the choices in order; false with expr->why when none binds. */
bool ca_expr_bind(struct ca_binder *binder, struct ca_expr *expr);
/* NULL, or why the first test that does not bind does not. */
const char *ca_test_bind(struct ca_binder *binder, struct ca_test *test);

/* false: not bound, or memory is not there. A scalar's value, or the address of anything else. */
bool ca_expr_value(const struct ca_expr *expr, const struct ca_scope *scope, uint64_t *ret);
/* The address of what it leads to: follows a pointer. */
bool ca_expr_address(const struct ca_expr *expr, const struct ca_scope *scope, uint64_t *ret);
/* Text: a char array, or what a char pointer points to; interned in strings. NULL: not there. */
const char *ca_expr_string(const struct ca_expr *expr, const struct ca_scope *scope,
                           struct ca_strings *strings);
/* The type at the address that ca_expr_address gives. */
const struct ca_ctype *ca_expr_pointee(struct ca_types *types, const struct ca_expr *expr);
/* Do all tests hold? What cannot be read does not. counts: note which test rejected. */
bool ca_tests_hold(struct ca_test *test, const struct ca_scope *scope, bool counts);

#endif
