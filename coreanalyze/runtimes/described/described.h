/* A runtime that a description explains, found in a target. */
#ifndef CA_DESCRIBED_DESCRIBED_H
#define CA_DESCRIBED_DESCRIBED_H

#include "runtimes/described/fit.h"
#include "runtimes/runtime.h"
#include "unwind/cfi.h"
#include "unwind/lines.h"

enum {
    CA_DESCRIBED_TASKS = 4000000,
    CA_DESCRIBED_FRAMES = 512,
    CA_DESCRIBED_BUDGET = 20000000,
};

#define CA_AMBIGUOUS UINT64_MAX /* in by_number */

/* A task as it was found, before it is read. */
struct ca_found {
    uint64_t address;
    struct ca_source *source;
    uint32_t known; /* in knowns, once it was read; CA_NONE: not kept */
};

/* How many elements a word of `exclude` kept out. */
struct ca_excluded {
    const char *word;
    uint64_t count;
};

/* What became of the parked tasks' facts, for `describe --check`. */
struct ca_tally {
    uint64_t parked, read;     /* tasks, and those whose stack has frames */
    uint64_t fresh;            /* runnable, and have no stack because they never ran */
    const char *why;           /* of the first without; in the arena */
    uint64_t inverted;         /* low is not below high */
    uint64_t bounded, outside; /* stacks with bounds, and saved stack pointers that are not there */
    uint64_t entries, not_code;
};

/* What is known of a task or wait from all rules that hold; an earlier word wins. */
struct ca_known {
    int state, kind;
    const char *reason, *exclude;
    bool system, main;
    bool again; /* the same rules a second time: they are not counted twice */
    enum ca_direction direction;
    const struct ca_expr *reason_from, *object, *owner, *waiters, *counter, *fd, *deadline;
    struct ca_source *cases, *any, *object_ring;
};

struct ca_described {
    struct ca_runtime base;
    struct ca_arena arena;
    struct ca_description description;
    struct ca_types types;
    struct ca_fit fit;
    struct ca_tls tls;
    struct ca_cfi cfi;
    struct ca_lines lines;
    struct ca_module *module;
    const char *origin;  /* where the text came from, for a person */
    const char *variant; /* "with DWARF", "layout of line 12", ... for a person */
    uint64_t budget;

    CA_VEC(struct ca_found) found;
    CA_VEC(struct ca_known) knowns; /* few different ones, for many tasks */
    struct ca_map known_index;      /* their hash -> knowns + 1 */
    CA_VEC(struct ca_excluded) excluded_words;
    struct ca_map excluded;   /* address -> 1 */
    struct ca_map by_address; /* of a task -> its index in the table + 1; 0: it turned out none */
    struct ca_map by_number;  /* the same by id; CA_AMBIGUOUS: several have it */
    struct ca_map current;    /* address of a task -> thread + 1 */
    struct ca_map starts;     /* pc -> 1: a function begins there */
    struct ca_map sites;      /* pc -> site + 1 */
    struct ca_map marks;      /* stack -> which rules' frames it has */
    struct ca_tally tally;
    int64_t now;    /* of the description's clock, ns; CA_UNKNOWN */
    int64_t latest; /* the newest timestamp seen */
    uint32_t first; /* of its tasks in the table */
    int64_t listed; /* its tasks without the system's, for the comparison with its counter */
    bool nomem;
    bool misfit; /* kept only to say why it does not fit: nothing to collect */
};

extern const struct ca_runtime_ops ca_described_ops;

void ca_known_init(struct ca_known *known);
void ca_known_add(struct ca_known *known, const struct ca_outcome *outcome);
/* marks: which rules' frames the task's stack has, see ca_described_marks. */
void ca_known_rules(struct ca_known *known, struct ca_when *rules, const struct ca_scope *scope,
                    uint64_t marks);

struct ca_scope ca_described_scope(struct ca_described *self, uint64_t here);
/* A raw time of the description's unit as ns; false: none (0 or all ones), or not readable. */
bool ca_described_time(const struct ca_described *self, const struct ca_expr *expr,
                       const struct ca_scope *scope, int64_t *ret);
void ca_described_exclude(struct ca_described *self, const char *word);

/* collect.c */
struct ca_error *ca_described_collect(struct ca_runtime *runtime, struct ca_tasks *tasks);
/* The task that the value of a path names, a pointer to it or its id; CA_NONE: none. */
uint32_t ca_described_task_of(const struct ca_described *self, const struct ca_expr *expr,
                              uint64_t value);
/* In the runtime's words, interned; NULL: none. */
const char *ca_described_reason(struct ca_described *self, struct ca_tasks *tasks,
                                const struct ca_known *known, const struct ca_scope *scope);
/* A gap for each walk that broke. */
void ca_described_breaks(struct ca_described *self, const struct ca_source *source);
/* counter.c: what the runtime says how many there are; a gap where it says another number. */
void ca_described_count(struct ca_described *self, const struct ca_tasks *tasks);
/* waits.c: what each task waits for, once all are known. */
void ca_described_wait(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                       const struct ca_known *known, const struct ca_scope *scope);
void ca_described_side_waits(struct ca_described *self, struct ca_tasks *tasks);
/* facts.c: identity, creation, stack. */
void ca_described_identify(struct ca_described *self, struct ca_tasks *tasks, struct ca_task *task,
                           const struct ca_scope *scope);
void ca_described_created(struct ca_described *self, struct ca_tasks *tasks, struct ca_task *task,
                          const struct ca_scope *scope);
void ca_described_stack(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                        const struct ca_scope *scope);
void ca_described_labels(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                         const struct ca_scope *scope);
/* Bit n: one of the innermost frames matches the frame of the rule with frame_bit n. */
uint64_t ca_described_marks(struct ca_described *self, struct ca_tasks *tasks, uint32_t stack);
bool ca_described_own(const struct ca_described *self, uint64_t pc, const char *function,
                      const char *file);
uint32_t ca_described_site(struct ca_described *self, struct ca_tasks *tasks, uint64_t pc,
                           bool exact);

#endif
