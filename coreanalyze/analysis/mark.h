/* The marking engine: which objects can be reached from where. Knows no runtime.
 *
 * A mark is a bit per slot. Pointers are looked up in batches, so that the cache misses of many
 * lookups overlap; that is what marking costs. Somebody may watch an object: a task that waits for
 * it, a finalizer that hangs on it. Reaching a watched object tells them once, by an index, so that
 * the whole fixpoint is linear.
 */
#ifndef CA_ANALYSIS_MARK_H
#define CA_ANALYSIS_MARK_H

#include "runtimes/heap.h"

/* Pages of 8 kB to the first region that touches them, in two levels. */
enum { CA_PAGE_SHIFT = 13, CA_PAGES_SHIFT = 13 };
struct ca_pages {
    struct ca_map chunks;     /* address >> 26 -> index + 1 */
    CA_VEC(uint32_t) regions; /* (1 << CA_PAGES_SHIFT) a chunk: region + 1 */
    uint64_t last_key;
    const uint32_t *last;
    uint64_t low, high; /* of all regions */
    uint32_t *direct;   /* chunk index + 1 by (address - low) >> 26 where that is a small table */
    size_t direct_count;
};

/* Where an address leads. */
struct ca_place {
    uint32_t region, slot;
};

enum ca_watch_kind {
    CA_WATCH_TASK,
    CA_WATCH_SPECIAL,
};
struct ca_watch {
    uint64_t number; /* of the slot */
    uint32_t is_special : 1, index : 31;
    uint32_t next; /* of those in the same bucket, the newest first; + 1 */
};

struct ca_work {
    uint32_t region, slot;
};
struct ca_part {
    uint32_t region, slot;
    uint64_t from;
};

struct ca_mark {
    struct ca_heap *heap;
    struct ca_pages pages;
    uint64_t *bits;
    uint64_t *opaque; /* a bit per slot: left alone when it is reached */
    CA_VEC(struct ca_watch) watches;
    uint32_t *watched; /* by the low bits of the slot number's hash: watch + 1 */
    size_t buckets;    /* a power of two */
    CA_VEC(struct ca_work) work;
    CA_VEC(struct ca_part) parts; /* of objects so large that they are scanned piecemeal */
    CA_VEC(uint32_t) tasks;       /* woken, in the order in which they were */
    CA_VEC(uint32_t) specials;    /* whose object was reached */
    CA_VEC(uint64_t) doubtful;    /* words that only look like pointers, kept for the last */
    bool doubting;                /* from here on, objects may be dead ones */
    bool deaf;                    /* watches are not heard: opaque objects are followed */
    bool failed;                  /* no memory */
    uint64_t astray;              /* exact pointers that led to free slots */
    uint64_t astray_at;           /* one of them */
    uint64_t marked;
    ca_progress_fn *progress;
    void *progress_arg;
    bool cancelled;
};

struct ca_error *ca_mark_init(struct ca_mark *mark, struct ca_heap *heap);
void ca_mark_deinit(struct ca_mark *mark);

/* The object that holds address; false: none. */
bool ca_mark_find(const struct ca_mark *mark, uint64_t address, struct ca_place *ret);
static inline uint64_t ca_mark_number(const struct ca_mark *mark, const struct ca_place *place)
{
    return mark->heap->regions.data[place->region].first + place->slot;
}
bool ca_mark_reached(const struct ca_mark *mark, uint64_t address);
static inline bool ca_mark_bit(const uint64_t *bits, uint64_t number)
{
    return bits[number / 64] >> (number % 64) & 1;
}

/* Tells when the object at address is reached. False: address is in no object. */
bool ca_mark_watch(struct ca_mark *mark, uint64_t address, enum ca_watch_kind kind, uint32_t index);

/* The watches of one slot, the newest first: last NULL begins; NULL: no more. */
const struct ca_watch *ca_mark_watches(const struct ca_mark *mark, uint64_t number,
                                       const struct ca_watch *last);

/* Leaves the object at address alone, whoever reaches it. */
void ca_mark_opaque(struct ca_mark *mark, uint64_t address);

/* Marks what these point at and remembers it as work. */
void ca_mark_values(struct ca_mark *mark, const uint64_t *values, size_t count, bool exact);
/* What ca_heap_ops.task_holds gives, as the sink takes it. */
void ca_mark_holdings(struct ca_mark *mark, uint64_t base, const uint32_t *words, size_t count);
/* A sink that does the same, but keeps words that only look like pointers for ca_mark_doubtful. */
struct ca_root_sink ca_mark_sink(struct ca_mark *mark);
/* Keeps a word for ca_mark_doubtful. */
void ca_mark_keep(struct ca_mark *mark, uint64_t value);
/* Marks one object without following it. */
void ca_mark_only(struct ca_mark *mark, uint64_t address);
/* Follows an object without marking it. */
void ca_mark_follow(struct ca_mark *mark, uint64_t address);
/* Marks what was kept, if anything was. Such a word may be stale and lead to an object that is dead
 * and not yet swept, whose own pointers lead to what has been freed since: from here on that is no
 * damage, and what looks free is followed too. */
bool ca_mark_doubtful(struct ca_mark *mark);
/* Does all the work there is. */
void ca_mark_drain(struct ca_mark *mark);

#endif
