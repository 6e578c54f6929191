/* What a description says, as structs: read from its text, bound to a target by runtime.c.
 * docs/describing-a-runtime.md is the reference of the language.
 */
#ifndef CA_DESCRIBED_DESCRIPTION_H
#define CA_DESCRIBED_DESCRIPTION_H

#include "runtimes/described/bind.h"
#include "runtimes/tasks.h"

/* The descriptions that ship, written into the library by the Makefile. */
struct ca_embedded_description {
    const char *name;
    const char *text;
    size_t size;
};
extern const struct ca_embedded_description ca_embedded_descriptions[];
extern const size_t ca_embedded_description_count;

enum { CA_UNSET = -1 };

/* What is known of a task, or of what it waits for, once something has matched. */
struct ca_outcome {
    int state;          /* enum ca_state, CA_UNSET */
    int kind;           /* enum ca_wait_kind, CA_UNSET */
    const char *reason; /* text */
    struct ca_expr reason_from;
    const char *exclude; /* not a task: "pooled", "freed" */
    bool system, main;
    enum ca_direction direction;
    struct ca_expr object, owner, waiters, counter, fd, deadline;
    struct ca_source *cases, *any, *object_ring;
};

struct ca_when {
    unsigned line;
    struct ca_test *when;
    const char *frame;  /* a pattern: one of the innermost frames must be such a function */
    unsigned frame_bit; /* of ca_frame_marks, from 0 */
    struct ca_outcome outcome;
    uint64_t hits;
    struct ca_when *next;
};

enum ca_source_kind {
    CA_SOURCE_ONE,
    CA_SOURCE_RING,  /* the head is no element */
    CA_SOURCE_CYCLE, /* every link is an element */
    CA_SOURCE_LIST,  /* ended by NULL */
    CA_SOURCE_TREE,
    CA_SOURCE_ARRAY,
    CA_SOURCE_VECTOR,
    CA_SOURCE_SCAN,
    CA_SOURCE_KIND_COUNT,
};

/* A walk over elements. Walks nest by `each`. */
struct ca_source {
    enum ca_source_kind kind;
    const char *word; /* "ring" */
    unsigned line;
    bool optional; /* left out when it does not bind */
    bool skipped;
    struct ca_expr root, next_link, left, right, count, end, item;
    struct ca_expr first_link; /* ring: next_link, from the head */
    struct ca_expr task;       /* waits: whose wait this is */
    struct ca_expr counted;    /* tasks: how many tasks the item says it has */
    struct ca_expr head;       /* object-ring: the object, from the link that is in no task */
    const char *scan_type;
    uint64_t scan_align;
    struct ca_test *where;
    struct ca_outcome as;
    struct ca_when *rules;
    struct ca_source *each;
    struct ca_source *next;

    const struct ca_ctype *node_type, *item_type;
    bool item_is_pointer; /* elements are pointers to items */
    uint64_t walks, found, rejected, breaks, broke_at;
    uint64_t counted_sum;
    bool uncounted;           /* an item's number could not be read */
    const char *broke_why;    /* a literal */
    struct ca_map ring_heads; /* object-ring: link -> head, or 0 */
};

struct ca_object {
    unsigned line;
    const char *type_name;
    const struct ca_ctype *type;
    int kind;
    bool optional;
    struct ca_expr owner, waiters, counter, capacity, length, closed, senders, receivers, fd,
        deadline;
    struct ca_object *next;
};

enum ca_context_kind {
    CA_CONTEXT_NONE,
    CA_CONTEXT_JMP_BUF,
    CA_CONTEXT_UCONTEXT,
    CA_CONTEXT_PUSHED,
    CA_CONTEXT_REGISTERS,
};

struct ca_register_path {
    uint8_t number; /* DWARF */
    struct ca_expr path;
    struct ca_register_path *next;
};

struct ca_context_form {
    enum ca_context_kind kind;
    unsigned line;
    struct ca_expr base;
    bool mangled;
    uint8_t pushed[64]; /* DWARF numbers, 0xff: not a register */
    unsigned pushed_count;
    struct ca_register_path *registers;
};

enum ca_clock { CA_CLOCK_MONOTONIC, CA_CLOCK_REALTIME };

enum ca_time_unit {
    CA_TIME_NS,
    CA_TIME_US,
    CA_TIME_MS,
    CA_TIME_S,
    CA_TIME_TIMESPEC,
    CA_TIME_TIMEVAL,
};

struct ca_label_path {
    const char *key;
    struct ca_expr path;
    struct ca_label_path *next;
};

struct ca_count {
    struct ca_expr path;
    struct ca_test *when; /* it counts only while these hold */
    bool per_thread;
    struct ca_count *next;
};

struct ca_pattern {
    const char *text;
    struct ca_pattern *next;
};

struct ca_match {
    unsigned line;
    const char *soname, *symbol, *type, *build_id, *program;
    struct ca_match *next; /* any of them will do */
};

struct ca_description {
    struct ca_arena *arena;
    const struct ca_node *root;
    const char *name, *title, *noun, *version;
    struct ca_expr version_from;
    struct ca_match *match;
    const struct ca_node *layouts, *variants; /* sequences, or NULL */

    const char *task_type_name;
    unsigned task_line;
    const struct ca_ctype *task_type;
    struct ca_expr id, task_name, entry, since;
    struct ca_expr created_pc, created_at, created_file, created_line, created_function;
    struct ca_expr created_backtrace, created_by;
    struct ca_expr stack_low, stack_high, stack_size, stack_copy, stack_copy_size;
    struct ca_label_path *labels;
    struct ca_expr current;
    struct ca_count *counts; /* their sum is the runtime's own number of tasks */
    struct ca_context_form context;
    struct ca_source *tasks, *waits;
    struct ca_when *rules;
    unsigned frame_rules; /* how many of them ask for a frame */
    struct ca_object *objects;
    struct ca_pattern *own_functions, *own_modules, *own_files;
    enum ca_clock clock;
    enum ca_time_unit unit;
    struct ca_expr now;
    bool now_latest; /* no clock: the newest timestamp stands for now */
};

/* Reads the parts that say whether and how it applies: name, match, variants, layouts. */
struct ca_error *ca_description_open(struct ca_arena *arena, const char *text, size_t size,
                                     struct ca_description *ret);
/* Reads the rest, with what `variant` (NULL: none) says instead of the common keys. */
struct ca_error *ca_description_read(struct ca_description *description, enum ca_arch arch,
                                     const struct ca_node *variant);

/* DWARF number of a register by name, 0xff: none. */
uint8_t ca_register_number(enum ca_arch arch, const char *name);

#endif
