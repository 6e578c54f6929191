/* A coroutine runtime, as the rest of coreanalyze sees one.
 *
 * To add a runtime: make a folder, write its ops, add one line to registry.c. (A C runtime needs no
 * folder: write a description file, see runtimes/descriptions.) The calls come in this order:
 *
 *   probe       looks whether the runtime lives in the target. Cheap: symbols, sections, no walk.
 *
 *   collect     walks every task into the tables of tasks.h, stacks unwound, what it waits for. A
 *               fault inside one task is a note on it and a gap, never an error. Only running out
 *               of memory, or losing the target, is an error. Sets task.runtime to rt->index.
 *
 *   hold        optional, for live targets: has loaded (ca_target_hold) what collect, name_stack
 * and heap->prepare will read, so that they may run on the copy while the target goes on. It is
 * called before the target is stopped, and once more when it stands still. What it forgets is
 * noticed and costs a second stop. NULL: the target stands still until all has been read.
 *
 *   name_stack  turns one interned stack into frames for people: inlined calls shown, functions,
 *               files, lines. Called once for each different stack, lazily.
 *
 *   heap        optional doors for reachability, see runtimes/heap.h. NULL: no proof by
 *               reachability.
 *
 *   destroy     frees what probe made.
 *
 * After that a live target runs on. What is read later must be in the tables, in the runtime's own
 * memory, in mapped files, or held.
 */
#ifndef CA_RUNTIMES_RUNTIME_H
#define CA_RUNTIMES_RUNTIME_H

#include "runtimes/tasks.h"
#include "symbols/modules.h"

/* What a runtime may use. Everything outlives the runtime. */
struct ca_context {
    struct ca_target *target;
    struct ca_modules *modules;
    struct ca_gaps *gaps;
    const struct ca_options *options;
};

struct ca_runtime;
struct ca_heap_ops;

/* A named frame. Text is interned in tasks->strings. */
struct ca_frame {
    uint64_t pc;
    uint64_t sp; /* relative to the innermost frame of the stack */
    const char *function, *file;
    uint32_t line;
    bool inlined;
    bool runtime; /* not a site: the runtime's own, or the standard library's synchronisation */
};

struct ca_frames {
    CA_VEC(struct ca_frame) list;
};

/* Facts about the whole process, for `info`. CA_UNKNOWN where not known. */
struct ca_runtime_facts {
    int64_t heap_in_use, stacks_in_use, last_gc_ns, procs, cpus;
};

struct ca_runtime_ops {
    const char *name, *title; /* "go", "Go"; NULL for described ones, which name themselves */
    /* Whether an executable file carries the runtime, by the file alone, and its version (may be
     * empty). For processes that may not be read. NULL: cannot be told. */
    bool (*recognise)(const uint8_t *bytes, size_t size, char *version, size_t room);
    /* *ret NULL: not mine. An error: mine, but unreadable, and why (a version without a layout). */
    struct ca_error *(*probe)(const struct ca_context *context, struct ca_runtime **ret);
    /* The number of tasks without a walk over them, for `ps`; CA_UNKNOWN. NULL: it takes a walk. */
    int64_t (*count)(struct ca_runtime *runtime);
    /* proof: also for the doors of reachability. Errors: no memory. */
    struct ca_error *(*hold)(struct ca_runtime *runtime, bool proof);
    struct ca_error *(*collect)(struct ca_runtime *runtime, struct ca_tasks *tasks);
    struct ca_error *(*name_stack)(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                   const struct ca_raw_frame *frames, uint32_t count,
                                   struct ca_frames *ret);
    void (*facts)(struct ca_runtime *runtime, struct ca_runtime_facts *ret);
    const struct ca_heap_ops *heap;
    void (*destroy)(struct ca_runtime *runtime);
};

/* The common head of every runtime: first member of its own struct. */
struct ca_runtime {
    const struct ca_runtime_ops *ops;
    struct ca_context context;
    uint16_t index; /* in the session; set by it */
    const char *name, *title, *version, *layout, *task_noun;
    bool numeric_ids;        /* ids are plain numbers (Go); else "name:number" */
    bool address_ids;        /* the runtime has no ids: "name:0xaddress" */
    bool owners;             /* records who owns a lock: deadlocks can be proved */
    const char *left_out;    /* see struct ca_runtime_info */
    const char *cause;       /* what the program died of, in the runtime's words; NULL: not known */
    int64_t listed, system;  /* its tasks, and how many are its own; filled by the session */
    int64_t counted;         /* what the runtime's own counter says; CA_UNKNOWN */
    struct ca_runtime *next; /* a probe may find several: a list */
};

/* NULL-ended. */
extern const struct ca_runtime_ops *const ca_runtimes[];

#endif
