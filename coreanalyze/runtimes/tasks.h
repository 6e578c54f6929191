/* The tables that a runtime fills: tasks, what they wait for, where they were made, their stacks.
 * Analysis and output read nothing else of a target.
 */
#ifndef CA_RUNTIMES_TASKS_H
#define CA_RUNTIMES_TASKS_H

#include "base/map.h"
#include "base/strings.h"
#include "coreanalyze.h"
#include "runtimes/waits.h"
#include "unwind/stacks.h"

enum ca_state {
    CA_STATE_RUNNING,
    CA_STATE_RUNNABLE,
    CA_STATE_WAITING,
    CA_STATE_SYSCALL,
    CA_STATE_PREEMPTED,
    CA_STATE_DEAD,
};

/* A place in the program, by text. */
struct ca_site {
    const char *function, *file; /* interned; NULL: not known */
    uint32_t line;               /* 0: not known */
    uint64_t pc;                 /* 0: not known */
};

enum ca_known_from {
    CA_KNOWN_NOT,
    CA_KNOWN_PC,
    CA_KNOWN_TEXT,
    CA_KNOWN_BACKTRACE,
    CA_KNOWN_CREATOR,
    CA_KNOWN_ENTRY,
    CA_KNOWN_RECORDED,
};

/* Task flags. */
enum {
    CA_TASK_SYSTEM = 1,     /* the runtime's own */
    CA_TASK_MAIN = 2,       /* the main task: may wait for ever */
    CA_TASK_PROOF_ROOT = 4, /* waiting, but not for something that a proof can speak about */
};

/* As many deferred calls at one place are noted, and make a task suspect. */
enum { CA_DEFERS_MANY = 100 };

enum ca_verdict {
    CA_VERDICT_LEAKED,
    CA_VERDICT_SUSPECT,
    CA_VERDICT_WAITING,
    CA_VERDICT_ACTIVE,
    CA_VERDICT_SYSTEM,
    CA_VERDICT_COUNT,
};

struct ca_task {
    uint64_t number;  /* the runtime's own id; without ids: the address */
    uint64_t address; /* of the task's struct */
    uint16_t runtime; /* index in the session */
    uint8_t state;    /* enum ca_state */
    uint8_t flags;
    uint8_t known_from;        /* enum ca_known_from */
    uint8_t verdict;           /* enum ca_verdict: set by analysis */
    uint8_t rule;              /* enum ca_rule, analysis/verdict.h */
    uint8_t proof;             /* enum ca_proof, analysis/verdict.h */
    const char *reason, *name; /* interned; NULL: none */
    int64_t since_ns;          /* time passed; CA_UNKNOWN */
    int64_t thread;            /* CA_UNKNOWN */
    uint32_t wait;             /* in waits, or CA_NONE; tasks may share one */
    uint32_t stack;            /* in stacks, or CA_STACK_NONE */
    uint64_t sp;               /* of the innermost frame */
    uint32_t entry, created;   /* in sites, or CA_NONE */
    uint64_t created_by;       /* number of the creator, 0: not known */
    uint64_t stack_low, stack_high;
    uint32_t defers;    /* pending deferred calls at one place, where the runtime has them */
    uint32_t group;     /* in the findings, or CA_NONE */
    uint64_t detail[2]; /* the runtime's own */
};

struct ca_label {
    uint32_t task;
    const char *key, *value;
};

struct ca_note {
    uint32_t task;
    const char *text;
};

/* The registers that a parked task goes on with, for debuggers and exported cores. Only the known
 * ones are kept: popcount(known) values from `first` on, ascending by DWARF number. */
struct ca_saved_regs {
    uint32_t task;
    uint64_t known;
    size_t first; /* in reg_values */
};

struct ca_tasks {
    CA_VEC(struct ca_task) list;
    struct ca_waits waits;
    CA_VEC(struct ca_site) sites;
    CA_VEC(struct ca_label) labels;    /* by task, ascending */
    CA_VEC(struct ca_note) notes;      /* by task, ascending after ca_tasks_sort */
    CA_VEC(struct ca_saved_regs) regs; /* by task, ascending after ca_tasks_sort */
    CA_VEC(uint64_t) reg_values;
    struct ca_stacks stacks;
    struct ca_strings strings;
    struct ca_map site_index; /* pc -> site + 1 */
};

void ca_tasks_deinit(struct ca_tasks *tasks);

/* What a task waits for, in *room; NULL: nothing that is known. */
static inline const struct ca_wait *ca_tasks_wait(const struct ca_tasks *tasks,
                                                  const struct ca_task *task, struct ca_wait *room)
{
    if (task->wait == CA_NONE)
        return NULL;
    *room = ca_waits_get(&tasks->waits, task->wait);
    return room;
}

/* The site's index; equal pcs share one. CA_NONE: no memory. */
uint32_t ca_tasks_site(struct ca_tasks *tasks, const struct ca_site *site);

/* A note on a task, for a person; text is interned. */
bool ca_tasks_note(struct ca_tasks *tasks, uint32_t task, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Keeps the registers of a parked task where pc and sp alone would not do: C runtimes, whose frames
 * are unwound by CFI from the callee-saved registers. false: no memory. */
bool ca_tasks_save_regs(struct ca_tasks *tasks, uint32_t task, const struct ca_regs *regs);
/* After ca_tasks_sort. false: none were kept; *ret is then all unknown. */
bool ca_tasks_saved_regs(const struct ca_tasks *tasks, uint32_t task, struct ca_regs *ret);

/* The place of the first entry of a task in one of the tables that are sorted by task. */
#define ca_first_of_task(table, wanted)                                                            \
    ({                                                                                             \
        size_t low_ = 0, high_ = (table)->len;                                                     \
        while (low_ < high_) {                                                                     \
            size_t middle_ = low_ + (high_ - low_) / 2;                                            \
            if ((table)->data[middle_].task < (wanted))                                            \
                low_ = middle_ + 1;                                                                \
            else                                                                                   \
                high_ = middle_;                                                                   \
        }                                                                                          \
        low_;                                                                                      \
    })

/* Sorts tasks by runtime and number and renumbers labels, notes and registers. */
bool ca_tasks_sort(struct ca_tasks *tasks);
/* For who adds notes after that. */
void ca_tasks_sort_notes(struct ca_tasks *tasks);

#endif
