/* Path expressions: how a description says where something is.
 *
 *   path     = operand { "as" TYPE { member } | "in" TYPE "." NAME { "." NAME } | "demangled" }
 *   operand  = unary { ( "+" | "-" | "&" | "<<" | ">>" ) NUMBER }
 *   unary    = "&" unary | "*" unary | primary { member }
 *   member   = "." NAME | "->" NAME | "[" path "]"
 *   primary  = NUMBER | "text" | NAME | "." [ NAME ] | "^" [ "." NAME ] | "(" path ")"
 *   test     = path [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) path | "within" path ".." path ]
 *   tests    = test { "&&" test }
 *   choice   = path { "|" path }
 *
 * A NAME may be qualified (a::b); in backquotes it may hold anything. No loops, no calls, no
 * arithmetic but with constants and the choice of an element: what a path can do to the reader is
 * bounded by its length.
 */
#ifndef CA_DESCRIBED_PATH_H
#define CA_DESCRIBED_PATH_H

#include "base/error.h"
#include "runtimes/described/arena.h"

enum ca_path_kind {
    CA_PATH_NUMBER,
    CA_PATH_STRING,
    CA_PATH_NAME,    /* a global, static or thread-local; in a comparison also an enumerator */
    CA_PATH_THIS,    /* . */
    CA_PATH_OUTER,   /* ^ */
    CA_PATH_MEMBER,  /* base.name, through a pointer too */
    CA_PATH_INDEX,   /* base[number] */
    CA_PATH_ELEMENT, /* base[member]: member is a path of its own */
    CA_PATH_ADDRESS,
    CA_PATH_DEREF,
    CA_PATH_AS, /* base as name */
    CA_PATH_IN, /* base in name.member */
    CA_PATH_ADD,
    CA_PATH_MASK,
    CA_PATH_SHIFT, /* to the left, by a negative number to the right */
    CA_PATH_DEMANGLED,
};

struct ca_path {
    enum ca_path_kind kind;
    struct ca_path *base;
    const char *name;
    struct ca_path *member; /* CA_PATH_IN: a chain of MEMBERs on a THIS; CA_PATH_ELEMENT */
    uint64_t number;
};

enum ca_test_op {
    CA_TEST_NONZERO,
    CA_TEST_EQ,
    CA_TEST_NE,
    CA_TEST_LT,
    CA_TEST_LE,
    CA_TEST_GT,
    CA_TEST_GE,
    CA_TEST_WITHIN,
};

struct ca_test_syntax {
    enum ca_test_op op;
    struct ca_path *left, *right, *high;
    const char *text;
    struct ca_test_syntax *next;
};

enum { CA_PATH_CHOICES = 4, CA_PATH_DEPTH = 32 };

/* Errors: CA_ERROR_FORMAT, with the place in the text. */
struct ca_error *ca_path_parse(struct ca_arena *arena, const char *text,
                               struct ca_path *ret[CA_PATH_CHOICES], unsigned *count);
struct ca_error *ca_path_parse_tests(struct ca_arena *arena, const char *text,
                                     struct ca_test_syntax **ret);

#endif
