/* The Go runtime of one target: what its files share.
 *
 * find.c, references.c, search.c   the same without symbols, see find.h
 * layout.c     where the runtime keeps its fields
 * globals.c    where its variables are
 * pclntab.c    its tables of functions
 * stack.c      saved registers to raw frames
 * running.c    the same for a goroutine that runs: from its thread
 * threads.c    whose thread is whose
 * recall.c     stacks and creation sites seen before
 * names.c      raw frames to functions, files, lines
 * goroutines.c allgs to tasks
 * waits.c      what a parked goroutine waits for
 * channels.c   channels and their queues
 * locks.c      the lock, wait group or condition around a semaphore
 * semaphores.c semtable: who waits for which lock
 * holders.c    who holds it, by deferred unlocks
 * sudogs.c     by which queue entries a goroutine waits
 * ahead.c      what is read next, looked at by another thread
 * holdings.c   what parked goroutines point at, noted for the proof while they are at hand
 * timers.c     channels that a timer will end; the clock of the snapshot
 * labels.c     labels and ancestors
 * cause.c      what it died of
 * facts.c      the figures of the whole process
 */
#ifndef CA_RUNTIMES_GO_GO_H
#define CA_RUNTIMES_GO_GO_H

#include "base/ahead.h"
#include "base/marks.h"
#include "runtimes/go/pclntab.h"
#include "runtimes/runtime.h"

/* Addresses of the runtime's variables in the target; 0: not found. */
struct ca_go_globals {
    uint64_t allgs, allm, allp, sched, semtable, wait_reasons, wait_reasons_size;
    uint64_t first_moduledata, build_version, memstats, mheap, ncpu, gomaxprocs;
    uint64_t fing_status, fing_running;
    /* Roots of reachability, used by the heap files. */
    uint64_t allfin, gc_cleanups;
};

/* A goroutine found in the semaphore table. */
struct ca_go_semwait {
    uint64_t address; /* of the semaphore word */
    uint64_t sudog;   /* by which it is queued */
};

struct ca_go_semaphores {
    CA_VEC(struct ca_go_semwait) list;
    struct ca_map by_g;       /* g -> index + 1 */
    struct ca_map by_address; /* semaphore -> number of waiters */
};

struct ca_go_timer_channel {
    uint64_t channel;
    int64_t when; /* nanotime */
};

/* What a stack says about the goroutine, found once for each different stack. */
enum ca_go_sync {
    CA_GO_SYNC_NONE,
    CA_GO_SYNC_MUTEX,
    CA_GO_SYNC_RW_READ,  /* waits for readerSem */
    CA_GO_SYNC_RW_WRITE, /* waits for writerSem */
    CA_GO_SYNC_RW_MUTEX, /* a writer behind another writer: the inner mutex */
    CA_GO_SYNC_WAITGROUP,
    CA_GO_SYNC_COND,
};

struct ca_go_stack_fact {
    bool known;
    uint8_t sync;      /* enum ca_go_sync */
    int8_t poll_frame; /* index of runtime.netpollblock's frame, -1 */
    int8_t cond_frame; /* index of sync.(*Cond).Wait's frame, -1 */
    bool send, receive, select, block, sleep, semaphore;
    uint32_t last_wait; /* of a goroutine with this stack: in tasks->waits, + 1; 0: none yet */
};

/* A channel, its queues walked once. */
struct ca_go_channel {
    struct ca_case facts; /* direction unknown */
    int64_t timer_when;   /* nanotime at which a timer sends; CA_UNKNOWN */
};

enum { CA_GO_SEEN_G = CA_DIRECTION_RECEIVE + 1 };

/* What recall.c keeps, by hash: a newer one takes the place of an older. */
enum { CA_GO_RECALL_SLOTS = 1024 };

struct ca_go_recall {
    uint32_t stack; /* in tasks->stacks, + 1; 0: none */
};

struct ca_go_birth {
    uint64_t gopc, startpc;
    uint32_t entry, created; /* in tasks->sites, or CA_NONE */
    bool known;
};

struct ca_go_pc_name {
    uint32_t first, count; /* in pc_frames */
};

struct ca_go_m {
    uint64_t address, procid;
};

struct ca_go_threads {
    CA_VEC(struct ca_go_m) ms; /* runtime.allm, as far as it can be read */
    bool listed;               /* false: not even its beginning can be read */
    bool foreign;              /* the target's numbers are not those that the ms have kept */
    struct ca_map by_m;        /* m -> index of its thread + 1; 0: none */
    struct ca_map by_tid;      /* kernel tid -> index + 1 */
    CA_VEC(uint64_t) m_of;     /* by the index that by_tid has; 0: none */
};

struct ca_go {
    struct ca_runtime runtime; /* first */
    struct ca_target *target;
    struct ca_go_layout layout;
    struct ca_go_globals globals;
    struct ca_go_tables tables;
    struct ca_module *module; /* the ELF module that holds the runtime */
    char version[128];

    const char **reasons; /* interned in tasks->strings, by number */
    size_t reason_count;
    int64_t held_by_threads; /* dead goroutines that belong to a thread */
    int64_t now;             /* nanotime at the snapshot; CA_UNKNOWN */
    struct ca_runtime_facts facts;

    struct ca_go_semaphores semaphores;
    CA_VEC(uint64_t) sudogs;   /* of all goroutines, see sudogs.c */
    struct ca_go_heap *heap;   /* until the proof takes it; NULL: none yet */
    CA_VEC(uint32_t) holdings; /* of all goroutines, see holdings.c */
    uint64_t holdings_base;
    CA_VEC(struct ca_go_timer_channel) timers;
    struct ca_map timer_by_channel; /* channel -> index + 1 */
    struct ca_go_threads threads;

    struct ca_map steps;  /* pc -> packed unwinding step, see stack.c */
    uint64_t deep_frames; /* walked beyond CA_GO_FRAMES_MAX, of all stacks; see stack.c */
    struct ca_map names;  /* pc * 2 + exact -> index + 1 in pc_names */
    CA_VEC(struct ca_go_pc_name) pc_names;
    CA_VEC(struct ca_frame) pc_frames;
    CA_VEC(struct ca_go_stack_fact) stack_facts; /* by stack */
    struct ca_go_channel channel;                /* the last one that was read */
    CA_VEC(struct ca_go_channel) channels;
    struct ca_map channel_index; /* address -> index + 1 in channels */
    struct ca_marks seen;        /* sudog -> enum ca_direction of its queue, g -> CA_GO_SEEN_G */
    struct ca_map cond_of_g;     /* g -> sync.Cond */
    struct ca_map cond_seen;     /* sync.Cond -> 1: its chain was walked */
    struct ca_go_recall recall[CA_GO_RECALL_SLOTS];
    struct ca_go_birth births[CA_GO_RECALL_SLOTS];
};

static inline struct ca_go *ca_go_of(struct ca_runtime *runtime)
{
    return (struct ca_go *)runtime;
}

/* One g of the target, copied once. */
struct ca_go_g {
    uint64_t address;
    const uint8_t *bytes; /* layout.at[GO_G_SIZE] of them */
};

static inline uint64_t ca_go_u64(const struct ca_go *go, const uint8_t *bytes, int field)
{
    int32_t at = go->layout.at[field];
    uint64_t value = 0;
    if (at != CA_LAYOUT_ABSENT)
        __builtin_memcpy(&value, bytes + at, 8);
    return value;
}

static inline uint32_t ca_go_u32(const struct ca_go *go, const uint8_t *bytes, int field)
{
    int32_t at = go->layout.at[field];
    uint32_t value = 0;
    if (at != CA_LAYOUT_ABSENT)
        __builtin_memcpy(&value, bytes + at, 4);
    return value;
}

/* The field of a struct in the target; false when absent or not readable. */
bool ca_go_read_u64(struct ca_go *go, uint64_t address, int field, uint64_t *ret);
bool ca_go_read_u32(struct ca_go *go, uint64_t address, int field, uint32_t *ret);

/* Status of a g, the scan bit masked off. runtime2.go */
enum {
    CA_GO_IDLE = 0,
    CA_GO_RUNNABLE = 1,
    CA_GO_RUNNING = 2,
    CA_GO_SYSCALL = 3,
    CA_GO_WAITING = 4,
    CA_GO_DEAD = 6,
    CA_GO_COPYSTACK = 8,
    CA_GO_PREEMPTED = 9,
    CA_GO_LEAKED = 10,
    CA_GO_DEADEXTRA = 11,
    CA_GO_SCAN = 0x1000,
};

extern const struct ca_runtime_ops ca_go_ops;

/* globals.c: by symbol; false: one that nothing works without is missing. */
bool ca_go_globals_find(struct ca_go *go);

/* stack.c: raw frames of one goroutine, innermost first. Returns the number; *why is NULL, or why
 * the walk ended before the goroutine's first frame. */
enum { CA_GO_FRAMES_MAX = 65536 };
struct ca_go_frames {
    /* Of a stack that is deeper, the innermost and the outermost halves of CA_GO_FRAMES_MAX. */
    CA_VEC(struct ca_raw_frame) list;
    size_t left_out; /* how many frames between the halves are not in the list */
    /* From saved registers to the outermost function, every return address out of the stack. */
    bool plain;
};
bool ca_go_stack_walk(struct ca_go *go, const struct ca_go_g *g, struct ca_go_frames *frames,
                      const char **why);
/* The part of a parked goroutine's stack that is in use will be read soon. */
static inline void ca_go_stack_hint(const struct ca_go *go, uint64_t sp, uint64_t high)
{
    enum { SOON = 1024 };
    if (sp < high)
        ca_target_hint(go->target, sp, high - sp < SOON ? high - sp : SOON);
}
/* recall.c: the stack of a parked goroutine when it is one that was remembered, frames filled as
 * the walk would; CA_STACK_NONE: walk it. */
uint32_t ca_go_stack_recall(struct ca_go *go, const struct ca_tasks *tasks, const struct ca_go_g *g,
                            struct ca_go_frames *frames);
void ca_go_stack_remember(struct ca_go *go, const struct ca_go_g *g,
                          const struct ca_go_frames *frames, uint32_t stack);
/* recall.c: where goroutines of this go statement come from; valid until the next call. */
const struct ca_go_birth *ca_go_birth_of(struct ca_go *go, struct ca_tasks *tasks, uint64_t gopc,
                                         uint64_t startpc);
/* The bounds of a g's stack; false: g is 0, or they make no sense. */
bool ca_go_stack_bounds(struct ca_go *go, uint64_t g, uint64_t *low, uint64_t *high);
/* From inside a signal handler, one handler outwards: registers at the interruption. false: not in
 * one, or no way out was found. */
enum { CA_GO_SIGNALS_MAX = 4 };
bool ca_go_signal_leave(struct ca_go *go, uint64_t m, const struct ca_regs *inside,
                        struct ca_regs *ret);
/* Out of all handlers: a second signal may have come inside the first one's. */
struct ca_regs ca_go_signal_regs(struct ca_go *go, uint64_t m, const struct ca_regs *inside);
/* Frames of a thread's own stack [low, high) from these registers outwards, innermost first. */
enum ca_go_stretch {
    CA_GO_STRETCH_OVER,   /* to its first frame, or to where it was switched to: at *end */
    CA_GO_STRETCH_SIGNAL, /* to what the kernel pushed for a signal: at *end */
    CA_GO_STRETCH_LOST,   /* into code that is not Go's or cannot be unwound: at *end */
};
enum ca_go_stretch ca_go_stack_stretch(struct ca_go *go, const struct ca_regs *regs, uint64_t low,
                                       uint64_t high, struct ca_go_frames *frames, uint64_t *end);

/* names.c */
struct ca_error *ca_go_name_stack(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                  const struct ca_raw_frame *frames, uint32_t count,
                                  struct ca_frames *ret);
/* The frames of one pc, cached; NULL: no memory. */
const struct ca_go_pc_name *ca_go_name_pc(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc,
                                          bool exact);
/* A site for a function's entry, or for the call before a return address. CA_NONE: no function. */
uint32_t ca_go_entry_site(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc);
uint32_t ca_go_call_site(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc);

/* goroutines.c */
struct ca_error *ca_go_collect(struct ca_runtime *runtime, struct ca_tasks *tasks);
/* By the runtime's own books; CA_UNKNOWN. */
int64_t ca_go_count(struct ca_runtime *runtime);

/* threads.c */
/* go->threads, anew: of the threads that the target has now. */
struct ca_error *ca_go_threads_index(struct ca_go *go);
void ca_go_threads_deinit(struct ca_go *go);
/* The thread of an m, or NULL. */
const struct ca_thread *ca_go_thread_of(struct ca_go *go, uint64_t m);
/* The m of one of the target's threads; 0: Go does not know it. */
uint64_t ca_go_m_of(const struct ca_go *go, const struct ca_thread *thread);

/* hold.c */
struct ca_error *ca_go_hold(struct ca_runtime *runtime, bool proof);

/* waits.c: fills task->wait; frames are the task's raw frames. */
bool ca_go_wait_fill(struct ca_go *go, struct ca_tasks *tasks, uint32_t task,
                     const struct ca_go_g *g, const struct ca_go_frames *frames);

/* waits.c: what a stack says; NULL: no memory, or no stack. */
const struct ca_go_stack_fact *ca_go_stack_fact(struct ca_go *go, struct ca_tasks *tasks,
                                                uint32_t stack, const struct ca_go_frames *frames);

/* channels.c: false: no memory. The pointer lives until the next call. */
bool ca_go_channel_read(struct ca_go *go, uint64_t address, const struct ca_go_channel **ret);
enum ca_direction ca_go_sudog_direction(struct ca_go *go, uint64_t sudog);

/* locks.c: false: no memory. */
bool ca_go_lock_fill(struct ca_go *go, const struct ca_go_g *g, const struct ca_go_frames *frames,
                     const struct ca_go_stack_fact *fact, struct ca_wait *wait);

/* holders.c: sets waits[].owner where it is beyond doubt. false: no memory. */
bool ca_go_holders_find(struct ca_go *go, struct ca_tasks *tasks);

/* sudogs.c: what the proof asks of every goroutine again and again is kept in its task's detail, so
 * that its g and its sudogs, cold by then, need not be read for it. */
enum ca_go_task_flag {
    CA_GO_TASK_WHOLE = 1,  /* its stack may be half moved: every word of it */
    CA_GO_TASK_BUBBLE = 2, /* of testing/synctest */
    CA_GO_TASK_QUEUED = 4, /* each of its sudogs is in the queue of a channel */
};
static inline unsigned ca_go_task_flags(const struct ca_task *task)
{
    return (unsigned)(task->detail[0] >> 56);
}
/* The sudogs by which it waits; valid until more are kept. */
static inline const uint64_t *ca_go_task_sudogs(const struct ca_go *go, const struct ca_task *task,
                                                size_t *count)
{
    *count = task->detail[0] >> 32 & 0xffffff;
    return go->sudogs.data + (uint32_t)task->detail[0];
}
/* Before the task's wait is filled; ca_go_sudogs_finish after it. false: no memory. */
bool ca_go_sudogs_keep(struct ca_go *go, struct ca_task *task, const struct ca_go_g *g);
bool ca_go_sudogs_finish(struct ca_go *go, struct ca_task *task, const struct ca_go_g *g);

/* ahead.c: NULL is taken where there is no thread. The target's segments and what is in them must
 * stay as they are until it is stopped. */
struct ca_go_ahead;
struct ca_go_ahead *ca_go_ahead_start(struct ca_go *go, uint64_t array, uint64_t count);
void ca_go_ahead_tell(const struct ca_go_ahead *ahead, uint64_t i);
void ca_go_ahead_stop(struct ca_go_ahead *ahead);

/* holdings.c: what the proof would find by going through stack and record of a parked goroutine,
 * noted when both are in the processor's cache anyway. Begin: before the goroutines are read; does
 * nothing when there will be no proof. false: no memory. */
enum { CA_GO_TASK_NOTED = 1 }; /* in detail[1] */
bool ca_go_holdings_begin(struct ca_go *go, struct ca_tasks *tasks);
bool ca_go_holdings_note(struct ca_go *go, struct ca_tasks *tasks, uint32_t task);

/* semaphores.c, timers.c */
bool ca_go_semaphores_read(struct ca_go *go);
bool ca_go_timers_read(struct ca_go *go);
/* Every timer in a heap of the runtime's; address may be 0. fn gives false to end it. */
typedef bool ca_go_timer_fn(void *arg, struct ca_go *go, uint64_t timer);
bool ca_go_timers_each(struct ca_go *go, ca_go_timer_fn *fn, void *arg);
int64_t ca_go_clock(struct ca_go *go);

/* facts.c: into go->facts, before a live target runs on. */
void ca_go_facts_read(struct ca_go *go);

/* cause.c: what the program died of, in the runtime's words; interned in tasks' strings, or NULL.
 */
const char *ca_go_cause(struct ca_go *go, struct ca_tasks *tasks);

/* labels.c */
bool ca_go_labels_read(struct ca_go *go, struct ca_tasks *tasks, uint32_t task,
                       const struct ca_go_g *g);
bool ca_go_ancestors_read(struct ca_go *go, struct ca_tasks *tasks, uint32_t task,
                          const struct ca_go_g *g);

#endif
