/* The heap of the Go runtime, for reachability.
 *
 * hold.c        what must be here before a live target is let go
 * heap.c        the doors
 * heap_spans.c  spans to regions
 * heap_idle.c   spans that hold nothing
 * heap_specials.c  finalizers, cleanups, weak handles
 * holdings.c    what parked goroutines point at, noted early
 * heap_bits.c   where the pointers of an object are, all formats from 1.19 on
 * heap_types.c  pointer masks of types
 * views.h, route.c  types and names, for explanations
 * heap_timers.c  what timers will do
 * heap_roots.c  globals, finalizers
 * heap_threads.c  registers, stacks that are no goroutine's
 * heap_foreign.c  C memory
 * heap_shape.c  what the code around a wait looks like
 * heap_tasks.c  what a goroutine holds
 * stackmap.c    where the pointers of a stack are
 *
 * Sources: runtime/mheap.go, mbitmap*.go, mgcmark.go, stkframe.go, stack.go, mfinal.go,
 * mcleanup.go (1.19 to 1.27).
 */
#ifndef CA_RUNTIMES_GO_HEAP_H
#define CA_RUNTIMES_GO_HEAP_H

#include "runtimes/go/go.h"
#include "runtimes/heap.h"

/* How a region's pointers are found: ca_region.kind. */
enum ca_go_format {
    CA_GO_FORMAT_NONE,
    CA_GO_FORMAT_SPAN,   /* bits at the span's end; detail: their address here */
    CA_GO_FORMAT_HEADER, /* each object begins with its type */
    CA_GO_FORMAT_LARGE,  /* detail: the type's index + 1 */
    CA_GO_FORMAT_ARENA,  /* bit per word, beside the arena */
    CA_GO_FORMAT_BYTES,  /* byte per four words, beside the arena */
    CA_GO_FORMAT_ALL,    /* not known: every word may be a pointer */
    CA_GO_FORMAT_IDLE,   /* a span without objects */
};

/* Where a type's pointers are: word offsets below size, repeated every size bytes. */
struct ca_go_type {
    uint64_t address, size;
    uint32_t *words;
    uint32_t count;
    bool broken;
};

/* Where the pointers of one different stack are, relative to the sp of its first frame. */
struct ca_go_plan_word {
    int64_t offset;
    uint32_t frame;
};
struct ca_go_plan_range {
    int64_t offset;
    uint64_t size;
    uint32_t frame;
};
struct ca_go_plan_object {
    int64_t offset;
    uint32_t size;
    const uint8_t *mask; /* NULL: every word */
    uint32_t words;      /* bits in mask */
    uint32_t frame;
};
struct ca_go_plan_call { /* a frame of reflect's: its arguments are described on the stack */
    int64_t sp, argp;
    uint32_t frame;
};
struct ca_go_plan {
    CA_VEC(struct ca_go_plan_word) words;
    CA_VEC(struct ca_go_plan_range) ranges;
    CA_VEC(struct ca_go_plan_object) objects; /* by offset */
    CA_VEC(struct ca_go_plan_call) calls;
    uint32_t inner; /* frames of the runtime itself in which a running goroutine is */
    bool made;
    bool whole; /* maps cannot be read: every word of the stack */
};

struct ca_go_arena {
    const uint8_t *bitmap, *nomore;
    uint64_t bitmap_size;
    const uint8_t *inline_pages;  /* bit per page; NULL: none */
    const uint8_t *special_pages; /* bit per page, of spans' first ones; NULL: not known */
};

struct ca_go_range {
    uint64_t start, end;
};

enum ca_go_foreign {
    CA_GO_FOREIGN_UNKNOWN,
    CA_GO_FOREIGN_NONE,
    CA_GO_FOREIGN_SOME,
};

enum { CA_GO_SPAN_BYTES_MAX = 512 };

struct ca_go_heap {
    struct ca_heap heap; /* first */
    struct ca_go *go;
    struct ca_target *target;
    struct ca_tasks *tasks;
    struct ca_map arena_index; /* arena number -> index + 1 */
    CA_VEC(struct ca_go_arena) arenas;
    struct ca_map type_index; /* address -> index + 1 */
    CA_VEC(struct ca_go_type) types;
    CA_VEC(uint8_t *) owned;         /* copies of what cannot be viewed */
    uint64_t blank;                  /* bytes of spans that were partly left out of the core */
    CA_VEC(struct ca_go_plan) plans; /* by stack */
    struct ca_go_plan once;          /* for a stack that is not cached */
    struct ca_map busy;              /* kernel tid -> task that is on the thread, index + 1 */
    enum ca_go_foreign foreign_code;
    uint64_t arena_base;
    bool failed;
    bool holding;    /* only has loaded what will be read later */
    bool weighing;   /* only adds up what may hold pointers */
    uint64_t weight; /* bytes */
    bool spans_read;
    uint32_t sweeping;         /* the sweepgen of a span that is being swept; 0: not known */
    uint64_t idle_pages;       /* looked at */
    uint64_t used_pages;       /* of spans in use */
    struct ca_go_range bounds; /* of the spans */
    bool quiet;                /* what breaks it becomes no gap: it will be asked for once more */
    uint32_t record_region;    /* where the last g was */
};

static inline struct ca_go_heap *ca_go_heap_of(struct ca_heap *heap)
{
    return (struct ca_go_heap *)heap;
}

extern const struct ca_heap_ops ca_go_heap_ops;

void ca_go_heap_destroy(struct ca_go_heap *heap); /* NULL: nothing */
/* Its spans, before the tasks are known, if that can be done in silence: *ret else NULL. false: no
 * memory. */
bool ca_go_heap_begin(struct ca_go *go, struct ca_tasks *tasks, struct ca_go_heap **ret);
/* Bytes of the target that stay: viewed or copied. NULL: not there (or no memory: failed). */
const uint8_t *ca_go_heap_bytes(struct ca_go_heap *heap, uint64_t address, uint64_t size);
/* Has all of the target loaded that the proof will read, see hold.c. */
struct ca_error *ca_go_heap_hold(struct ca_go *go);
/* Nothing can be proved any more; what and why become a gap. */
void ca_go_heap_break(struct ca_go_heap *heap, const char *what, uint64_t address, const char *why);

/* heap_spans.c: all spans, once; with `holding`, only has loaded what they need, with `weighing`,
 * only adds up. false: no memory. */
bool ca_go_heap_read_spans(struct ca_go_heap *heap);

/* heap_spans.c. The heapArena that describes the arena of this number (in the one table that Linux
 * has); 0: there is none. runtime/mheap.go arenaIndex */
enum { CA_GO_ARENAS = 1 << 22, CA_GO_ARENA_SHIFT = 26 };
uint64_t ca_go_heap_arena_record(struct ca_go_heap *heap, uint64_t number);

/* heap_bits.c */
const struct ca_go_arena *ca_go_heap_arena(struct ca_go_heap *heap, uint64_t address);
size_t ca_go_heap_scan(struct ca_heap *heap, const struct ca_region *region, uint32_t slot,
                       uint64_t *from, uint64_t *values, uint32_t *offsets, size_t cap,
                       bool *exact);

/* heap_idle.c: the pages of a span that is not in use, unless others have them now. record: its
 * mspan. false: no memory. */
bool ca_go_heap_idle(struct ca_go_heap *heap, uint64_t record, uint64_t start, uint64_t pages);

/* heap_specials.c */
/* The chain that begins at `at`, of the span of size bytes at start. swept: what is dead there has
 * been freed. false: no memory. */
bool ca_go_heap_specials(struct ca_go_heap *heap, uint64_t at, uint64_t start, uint64_t size,
                         bool swept);
/* The sweeper takes a special out of its span's chain, and then queues what is in it: while the
 * thread with these registers is in between, only its words know the special. */
void ca_go_heap_special_in_hand(struct ca_go_heap *heap, const struct ca_regs *regs,
                                const struct ca_root_sink *sink);

/* heap_types.c: index + 1 in types; 0: no memory. A type that cannot be read is `broken`. */
uint32_t ca_go_heap_type(struct ca_go_heap *heap, uint64_t address);

/* heap_roots.c */
void ca_go_heap_roots(struct ca_heap *heap, const struct ca_root_sink *sink);
/* All words of a range that may be pointers. false: some of it is not there. */
bool ca_go_heap_words(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                      const struct ca_root *root, uint64_t start, uint64_t end);

/* heap_timers.c */
void ca_go_heap_timers(struct ca_heap *heap, const struct ca_root_sink *sink);
bool ca_go_heap_timed(struct ca_heap *heap, struct ca_map *ret);
/* heap_tasks.c: where an object lies; NULL: in no span. */
const struct ca_region *ca_go_heap_region(struct ca_go_heap *heap, uint64_t address);

/* heap_threads.c. Threads on which a goroutine is come with its task, others with the roots. */
bool ca_go_heap_read_threads(struct ca_go_heap *heap); /* false: no memory */
void ca_go_heap_threads(struct ca_go_heap *heap, const struct ca_root_sink *sink);
/* Everything that one thread holds, but for the goroutine's own stack. */
void ca_go_heap_thread(struct ca_go_heap *heap, const struct ca_thread *thread,
                       const struct ca_root_sink *sink);
/* Where C code may have words in use on the thread's own stack: from *ret upwards. false: the
 * thread is not known to be on a stack of its own. */
bool ca_go_heap_c_stack(struct ca_go_heap *heap, const struct ca_thread *thread, uint64_t *ret);
/* The thread's stack pointer outside of all signal handlers. */
bool ca_go_heap_thread_sp(struct ca_go_heap *heap, const struct ca_thread *thread, uint64_t *ret);
/* pc follows an instruction of Go's own code that enters the kernel, or is about to repeat it. */
bool ca_go_heap_in_system_call(struct ca_go_heap *heap, uint64_t pc);
static inline bool ca_go_heap_on_thread(const struct ca_go_heap *heap, const struct ca_task *task)
{
    return task->runtime == heap->heap.runtime->index && task->thread != CA_UNKNOWN &&
           (task->state == CA_STATE_RUNNING || task->state == CA_STATE_SYSCALL);
}

/* heap_foreign.c */
/* Is there code that is not Go's? Then it may have memory of its own. */
bool ca_go_heap_has_foreign_code(struct ca_go_heap *heap);
void ca_go_heap_foreign(struct ca_go_heap *heap, const struct ca_root_sink *sink);

/* holdings.c */
size_t ca_go_heap_task_holds(const struct ca_heap *heap, uint32_t task, const uint32_t **words,
                             uint64_t *base);

/* heap_shape.c */
uint32_t ca_go_heap_shape(struct ca_heap *heap, uint32_t task);

/* heap_tasks.c */
void ca_go_heap_expect_task(const struct ca_heap *base, uint32_t task);
void ca_go_heap_task_roots(struct ca_heap *heap, uint32_t task, const struct ca_root_sink *sink);

/* stackmap.c */
/* The compiler calls it in the middle of something that the collector never interrupts: there is no
 * map for its caller, whose registers stay in use. cmd/compile/internal/liveness hasStackMap */
bool ca_go_func_is_instruction(const struct ca_go_func *func);
/* The plan of a task's stack; a running goroutine's is made each time. NULL: no memory. */
const struct ca_go_plan *ca_go_plan_of(struct ca_go_heap *heap, const struct ca_task *task);
void ca_go_plan_deinit(struct ca_go_plan *plan);
/* The words of frames of a thread's own stack. false: no map fits one of them. */
bool ca_go_heap_frames(struct ca_go_heap *heap, const struct ca_go_frames *frames,
                       const struct ca_root_sink *sink);

#endif
