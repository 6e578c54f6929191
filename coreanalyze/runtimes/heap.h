/* The doors for reachability: what a runtime shows of its memory, so that analysis can find out
 * which tasks nothing that can still act ever reaches.
 *
 * Memory is a sorted list of regions, each a run of slots of one size. Everything that happens
 * once per pointer (address to object, mark bit) is done by analysis/mark.c on these numbers; the
 * runtime is called once per object, to give the words in it that may be pointers, many at a time.
 *
 * A runtime that cannot show all of it sets `broken`: then nothing is proved.
 */
#ifndef CA_RUNTIMES_HEAP_H
#define CA_RUNTIMES_HEAP_H

#include "runtimes/runtime.h"

/* A run of objects of one size. Hot: one cache line. */
struct ca_region {
    uint64_t start;
    uint64_t size;         /* of one slot, bytes; not 0 */
    uint64_t first;        /* number of slot 0 among all slots; filled by ca_heap_number */
    const uint8_t *bytes;  /* of start; NULL: not there (then `scan` must cope) */
    const uint8_t *in_use; /* bit per slot; NULL: only free_index decides */
    uint32_t count;        /* slots */
    uint32_t free_index;   /* slots below are in use */
    uint32_t magic;        /* (offset * magic) >> 32 is the slot; 0: divide */
    bool no_scan;          /* holds no pointers */
    bool watched;          /* analysis: has slots that somebody wants to hear of */
    bool mapped; /* detail is where here a bit for each word of all slots says that it is a pointer;
                    slots have 64 words at most, and bytes are there */
    uint8_t kind;    /* the runtime's own */
    uint64_t detail; /* the runtime's own */
};

/* Which words of a slot of a mapped region are pointers. */
static inline uint64_t ca_region_pointers(const struct ca_region *region, uint32_t slot)
{
    const uint8_t *bitmap = (const uint8_t *)(uintptr_t)region->detail;
    uint64_t first = slot * (region->size / 8), word = 0;
    unsigned count = (unsigned)(region->size / 8), shift = first % 8;
    unsigned bytes = (shift + count + 7) / 8;
    __builtin_memcpy(&word, bitmap + first / 8, bytes < 8 ? bytes : 8);
    word >>= shift;
    if (bytes > 8)
        word |= (uint64_t)bitmap[first / 8 + 8] << (64 - shift);
    return count == 64 ? word : word & (((uint64_t)1 << count) - 1);
}

/* A word that may be a pointer, and where it is. */
struct ca_word {
    uint64_t address, value;
};

enum ca_root_kind {
    CA_ROOT_GLOBAL,
    CA_ROOT_STACK,
    CA_ROOT_REGISTERS,
    CA_ROOT_RUNTIME, /* the runtime's own lists: finalizers about to run, ... */
    CA_ROOT_FOREIGN, /* memory of another language, scanned conservatively */
    CA_ROOT_TIMER,
};

/* Words that came from one place. */
struct ca_root {
    enum ca_root_kind kind;
    const char *name; /* for a person, where kind does not say it; literal; may be NULL */
    uint32_t frame;   /* CA_ROOT_STACK: index in the task's stack, CA_NONE: not known */
    bool exact;       /* these are pointers; else they only look like some */
    int64_t detail;   /* the runtime's own; of a timer: when it is due */
};

/* Is it a word that was found where words may be stale? */
static inline bool ca_root_is_guess(const struct ca_root *root)
{
    return !root->exact && (root->kind == CA_ROOT_REGISTERS || root->kind == CA_ROOT_STACK ||
                            root->kind == CA_ROOT_FOREIGN);
}

/* Receives roots. Returning is cheap; words are copied if needed. */
struct ca_root_sink {
    void (*add)(void *arg, const struct ca_root *root, const struct ca_word *words, size_t count);
    void *arg;
    uint64_t low, high; /* other values need not be given; both 0: all but 0 itself */
};
static inline bool ca_root_sink_wants(const struct ca_root_sink *sink, uint64_t value)
{
    return sink->high ? value - sink->low < sink->high - sink->low : value != 0;
}

/* What keeps what alive in other ways than by pointing at it. */
enum ca_special_kind {
    CA_SPECIAL_FINALIZER, /* values run when object is lost; object is then alive once more */
    CA_SPECIAL_CLEANUP,   /* values run when object is lost */
    CA_SPECIAL_WEAK,      /* object is a handle: whoever has it can get values[0] */
};
struct ca_special {
    enum ca_special_kind kind;
    uint64_t object;
    uint64_t values[3]; /* 0: none */
    bool unsure;        /* a weak pointer's object may be dead, and what it pointed to freed */
    bool doomed;        /* analysis: even an ordinary collection loses object */
};

struct ca_heap_ops;
struct ca_heap {
    const struct ca_heap_ops *ops;
    struct ca_runtime *runtime;
    const struct ca_tasks *tasks;
    CA_VEC(struct ca_region) regions; /* sorted by start, not overlapping */
    CA_VEC(struct ca_special) specials;
    /* Objects by which the runtime remembers its tasks and who waits where: reaching one is no way
     * to reach the task, so they are not followed. Any order. */
    CA_VEC(uint64_t) opaque;
    uint64_t slots; /* of all regions */
    bool broken;    /* not all of it can be read: no proof (why is a gap) */
    bool doubting;  /* analysis: what is scanned now may be no object, or a dead one */
};

/* One word on the way from a root to what a task waits for, for explanations. */
struct ca_hop {
    const struct ca_root
        *root;        /* it lies outside the heap; NULL: in the object of the hop before */
    uint32_t task;    /* root: whose it is; CA_NONE */
    uint64_t address; /* of the word; 0: in a register */
    const struct ca_region *region; /* where it leads to; NULL: waits is the root itself */
    uint32_t slot;
    uint64_t waits; /* what is waited for, when it is in that object; 0 */
    bool channel;   /* ... and it is a channel */
    /* What the runtime says of it; NULL, 0 and CA_UNKNOWN where nothing is known. */
    const char *name, *type; /* of the variable, field or element; of its value */
    const char *object;      /* type that the object itself tells */
    uint32_t header;         /* bytes of the runtime's own before the object's first */
    int64_t offset;          /* root: in the variable */
    const char *function;    /* root: of the frame, the timer */
    uint32_t line;
    bool inner;                   /* the runtime's own, nothing that a person wants to hear of */
    const char *part, *part_type; /* waits, when it is a part of the object */
};

/* What is known of a task's code and of its maker's. */
enum {
    CA_SHAPE_AGAIN = 1,           /* it comes back to where it waits: a loop */
    CA_SHAPE_RANGES = 2,          /* it receives until the channel is closed */
    CA_SHAPE_MAKER_SELECTS = 4,   /* the function that made it waits for one of several things */
    CA_SHAPE_MAKER_TIMES = 8,     /* ... and sets a time limit */
    CA_SHAPE_MAKER_RECEIVES = 16, /* ... receives */
    CA_SHAPE_MAKER_SENDS = 32,
};

struct ca_heap_ops {
    /* Called after collect, while the target stands still. Reads all that the other calls need.
     * Errors: no memory. What cannot be read sets broken and is a gap. */
    struct ca_error *(*prepare)(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                struct ca_heap **ret);
    /* Everything that can act and is no task: globals, threads' registers, foreign memory, ... */
    void (*roots)(struct ca_heap *heap, const struct ca_root_sink *sink);
    /* What a task would have in its hands if it ran on: stack, registers, its own record. */
    void (*task_roots)(struct ca_heap *heap, uint32_t task, const struct ca_root_sink *sink);
    /* The same in short, where the runtime could note it: (value - *base) / 8 * 2, plus 1 where it
     * is exact. SIZE_MAX: ask task_roots. May be NULL. */
    size_t (*task_holds)(const struct ca_heap *heap, uint32_t task, const uint32_t **words,
                         uint64_t *base);
    /* A task whose roots will be asked for soon; may be NULL. */
    void (*expect_task)(const struct ca_heap *heap, uint32_t task);
    /* The opaque objects by which a task waits; they come and go with it. Up to cap of them. */
    size_t (*task_objects)(struct ca_heap *heap, uint32_t task, uint64_t *objects, size_t cap);
    /* What a task waits for: it can run on only when one of these is reached. Returns the number;
     * SIZE_MAX: that cannot be told, or it may run on without (then it is no candidate). */
    size_t (*waits_on)(struct ca_heap *heap, uint32_t task, uint64_t *objects, size_t cap);
    /* The words from byte *from of the object that may be pointers and are not 0: at most cap (at
     * least 64) of them. offsets may be NULL. Sets *from to where to go on, or to UINT64_MAX at the
     * object's end. exact: set to false when the words only look like pointers. */
    size_t (*scan)(struct ca_heap *heap, const struct ca_region *region, uint32_t slot,
                   uint64_t *from, uint64_t *values, uint32_t *offsets, size_t cap, bool *exact);
    /* Timers that are pending, as roots: what they will call or send on. May be NULL. */
    void (*timers)(struct ca_heap *heap, const struct ca_root_sink *sink);
    /* Puts the addresses of what a pending timer will close or send on (and maybe others, which are
     * nothing that a task waits for) into ret. false: no memory. May be NULL. */
    bool (*timed)(struct ca_heap *heap, struct ca_map *ret);
    /* A way in words; hops[0] is a root, others may be. Text is interned in strings. May be NULL.
     */
    void (*describe_route)(struct ca_heap *heap, struct ca_strings *strings, struct ca_hop *hops,
                           size_t count);
    /* CA_SHAPE_... of a task; may be NULL. */
    uint32_t (*shape)(struct ca_heap *heap, uint32_t task);
    void (*destroy)(struct ca_heap *heap);
};

/* Numbers the slots of all regions and checks their order; false: they overlap or are too many. */
bool ca_heap_number(struct ca_heap *heap);

#endif
