#include "analysis/mark.h"

#include <string.h>

enum {
    BATCH = 512,      /* pointers that are looked up together */
    ROOM = 128,       /* pointers that scan is asked for at a time */
    AHEAD = 24,       /* objects whose bytes are asked for before they are scanned */
    LARGE = 64 << 10, /* bytes: larger objects are scanned in parts */
    BUCKETS_LEAST = 1024,
};

#define CHUNK_SHIFT (CA_PAGE_SHIFT + CA_PAGES_SHIFT)
#define DIRECT_MAX (1 << 20) /* 64 TB of address space */

/* ---- pages ------------------------------------------------------------------------------- */

static bool pages_put(struct ca_pages *pages, uint64_t page, uint32_t region)
{
    bool fresh;
    uint64_t *index = ca_map_put(&pages->chunks, page >> CA_PAGES_SHIFT, &fresh);
    if (!index)
        return false;
    size_t size = (size_t)1 << CA_PAGES_SHIFT;
    if (fresh) {
        if (!ca_vec_reserve(&pages->regions, size))
            return false;
        memset(pages->regions.data + pages->regions.len, 0, size * sizeof(uint32_t));
        pages->regions.len += size;
        *index = pages->regions.len / size;
    }
    uint32_t *slot = &pages->regions.data[(*index - 1) * size + (page & (size - 1))];
    if (*slot == 0)
        *slot = region + 1;
    return true;
}

static bool pages_make_direct(struct ca_pages *pages)
{
    uint64_t count = (pages->high >> CHUNK_SHIFT) - (pages->low >> CHUNK_SHIFT) + 1;
    if (pages->high <= pages->low || count > DIRECT_MAX)
        return true;
    pages->direct = calloc(count, sizeof(*pages->direct));
    if (!pages->direct)
        return false;
    pages->direct_count = count;
    for (size_t i = 0; i < pages->chunks.cap; i++)
        if (pages->chunks.used[i])
            pages->direct[pages->chunks.slots[i].key - (pages->low >> CHUNK_SHIFT)] =
                pages->chunks.slots[i].value;
    return true;
}

static bool pages_init(struct ca_pages *pages, const struct ca_heap *heap)
{
    for (size_t i = 0; i < heap->regions.len; i++) {
        const struct ca_region *region = &heap->regions.data[i];
        uint64_t end = region->start + region->size * region->count;
        if (end == region->start)
            continue;
        if (pages->low == 0)
            pages->low = region->start;
        pages->high = end;
        for (uint64_t page = region->start >> CA_PAGE_SHIFT; page <= (end - 1) >> CA_PAGE_SHIFT;
             page++)
            if (!pages_put(pages, page, i))
                return false;
    }
    return pages_make_direct(pages);
}

/* The first region that touches the page of address, plus 1; 0: none. */
static inline uint32_t pages_at(const struct ca_pages *pages, uint64_t address)
{
    if (address - pages->low >= pages->high - pages->low)
        return 0;
    uint64_t chunk;
    if (pages->direct) {
        chunk = pages->direct[(address >> CHUNK_SHIFT) - (pages->low >> CHUNK_SHIFT)];
    } else {
        const uint64_t *index = ca_map_get(&pages->chunks, address >> CHUNK_SHIFT);
        chunk = index ? *index : 0;
    }
    if (chunk == 0)
        return 0;
    uint64_t mask = ((uint64_t)1 << CA_PAGES_SHIFT) - 1;
    return pages->regions.data[((chunk - 1) << CA_PAGES_SHIFT) + (address >> CA_PAGE_SHIFT & mask)];
}

/* ---- finding ----------------------------------------------------------------------------- */

static inline uint32_t region_slot(const struct ca_region *region, uint64_t offset)
{
    return region->magic ? (uint32_t)(offset * region->magic >> 32)
                         : (uint32_t)(offset / region->size);
}

static inline bool region_in_use(const struct ca_region *region, uint32_t slot)
{
    return slot < region->free_index ||
           (region->in_use && (region->in_use[slot / 8] >> (slot % 8) & 1));
}

/* found: in some region; the slot may still be free. */
static inline bool find(const struct ca_mark *mark, uint32_t index, uint64_t address,
                        struct ca_place *ret)
{
    const struct ca_region *regions = mark->heap->regions.data;
    for (; index < mark->heap->regions.len; index++) {
        const struct ca_region *region = &regions[index];
        if (address < region->start)
            return false;
        uint64_t offset = address - region->start;
        if (offset < region->size * region->count) {
            ret->region = index;
            ret->slot = region_slot(region, offset);
            return true;
        }
    }
    return false;
}

/* The slot at address, in use or not. */
static bool find_slot(const struct ca_mark *mark, uint64_t address, struct ca_place *ret)
{
    uint32_t index = pages_at(&mark->pages, address);
    return index != 0 && find(mark, index - 1, address, ret);
}

bool ca_mark_find(const struct ca_mark *mark, uint64_t address, struct ca_place *ret)
{
    uint32_t index = pages_at(&mark->pages, address);
    return index != 0 && find(mark, index - 1, address, ret) &&
           region_in_use(&mark->heap->regions.data[ret->region], ret->slot);
}

bool ca_mark_reached(const struct ca_mark *mark, uint64_t address)
{
    struct ca_place place;
    return ca_mark_find(mark, address, &place) &&
           ca_mark_bit(mark->bits, ca_mark_number(mark, &place));
}

/* ---- watching ---------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct ca_mark *mark, uint64_t number)
{
    return &mark->watched[ca_hash_u64(number) & (mark->buckets - 1)];
}

static void hang_in(struct ca_mark *mark, size_t i)
{
    uint32_t *bucket = bucket_of(mark, mark->watches.data[i].number);
    mark->watches.data[i].next = *bucket;
    *bucket = (uint32_t)i + 1;
}

static bool add_watch(struct ca_mark *mark, const struct ca_watch *watch)
{
    if (mark->watches.len >= UINT32_MAX - 1 || !ca_vec_push(&mark->watches, *watch))
        return false;
    if (mark->watches.len <= mark->buckets) {
        hang_in(mark, mark->watches.len - 1);
        return true;
    }
    size_t buckets = mark->buckets ? mark->buckets * 2 : BUCKETS_LEAST;
    free(mark->watched);
    mark->watched = calloc(buckets, sizeof(*mark->watched));
    mark->buckets = mark->watched ? buckets : 0;
    for (size_t i = 0; mark->watched && i < mark->watches.len; i++)
        hang_in(mark, i);
    return mark->watched != NULL;
}

bool ca_mark_watch(struct ca_mark *mark, uint64_t address, enum ca_watch_kind kind, uint32_t index)
{
    struct ca_place place;
    if (!ca_mark_find(mark, address, &place))
        return false;
    struct ca_watch watch = {.number = ca_mark_number(mark, &place),
                             .is_special = kind == CA_WATCH_SPECIAL,
                             .index = index & INT32_MAX};
    if (!add_watch(mark, &watch))
        mark->failed = true;
    mark->heap->regions.data[place.region].watched = true;
    return true;
}

const struct ca_watch *ca_mark_watches(const struct ca_mark *mark, uint64_t number,
                                       const struct ca_watch *last)
{
    uint32_t i = last ? last->next : mark->buckets ? *bucket_of(mark, number) : 0;
    while (i != 0 && mark->watches.data[i - 1].number != number)
        i = mark->watches.data[i - 1].next;
    return i ? &mark->watches.data[i - 1] : NULL;
}

void ca_mark_opaque(struct ca_mark *mark, uint64_t address)
{
    struct ca_place place;
    if (!ca_mark_find(mark, address, &place))
        return;
    uint64_t number = ca_mark_number(mark, &place);
    mark->opaque[number / 64] |= (uint64_t)1 << (number % 64);
    mark->heap->regions.data[place.region].watched = true;
}

/* Says whether the object is to be left alone. */
static bool tell(struct ca_mark *mark, uint64_t number)
{
    if (ca_mark_bit(mark->opaque, number))
        return true;
    const struct ca_watch *watch = NULL;
    while ((watch = ca_mark_watches(mark, number, watch)))
        if (!(watch->is_special ? ca_vec_push(&mark->specials, watch->index)
                                : ca_vec_push(&mark->tasks, watch->index)))
            mark->failed = true;
    return false;
}

/* ---- marking ----------------------------------------------------------------------------- */

struct lookup {
    uint64_t address;
    uint32_t region, slot;
    bool exact;
};

/* A slot that looks free, reached by who may know better: the target may have been stopped while it
 * was about to write down which slots are in use. Every word of it counts. */
static void keep_slot(struct ca_mark *mark, const struct ca_region *region, uint32_t slot,
                      uint64_t number)
{
    mark->bits[number / 64] |= (uint64_t)1 << (number % 64);
    if (region->no_scan || !region->bytes)
        return;
    for (uint64_t i = 0; i + 8 <= region->size; i += 8) {
        uint64_t word;
        memcpy(&word, region->bytes + slot * region->size + i, 8);
        if (word - mark->pages.low < mark->pages.high - mark->pages.low &&
            !ca_vec_push(&mark->doubtful, word))
            mark->failed = true;
    }
}

static inline void arrive(struct ca_mark *mark, const struct ca_place *place, uint64_t address,
                          bool exact)
{
    const struct ca_region *region = &mark->heap->regions.data[place->region];
    uint64_t number = region->first + place->slot;
    uint64_t bit = (uint64_t)1 << (number % 64);
    if (mark->bits[number / 64] & bit)
        return;
    if (__builtin_expect(!region_in_use(region, place->slot), 0)) {
        if (mark->doubting)
            keep_slot(mark, region, place->slot, number);
        else if (exact && mark->astray++ == 0)
            mark->astray_at = address;
        return;
    }
    if (__builtin_expect(region->watched, 0) && !mark->deaf && tell(mark, number))
        return;
    mark->bits[number / 64] |= bit;
    mark->marked++;
    if (!region->no_scan &&
        !ca_vec_push(&mark->work, (struct ca_work){.region = place->region, .slot = place->slot}))
        mark->failed = true;
}

/* The first of three steps, so that what one lookup waits for is on its way while others are begun.
 * Returns how many are in found then. */
static inline size_t begin_lookup(const struct ca_mark *mark, struct lookup *found, size_t n,
                                  uint64_t value, bool exact)
{
    uint32_t index = pages_at(&mark->pages, value);
    if (index == 0)
        return n;
    __builtin_prefetch(&mark->heap->regions.data[index - 1]);
    found[n] = (struct lookup){.address = value, .region = index - 1, .exact = exact};
    return n + 1;
}

static void end_lookups(struct ca_mark *mark, struct lookup *found, size_t n)
{
    const struct ca_region *regions = mark->heap->regions.data;
    for (size_t i = 0; i < n; i++) {
        struct ca_place place;
        if (!find(mark, found[i].region, found[i].address, &place)) {
            found[i].region = UINT32_MAX;
            continue;
        }
        found[i].region = place.region;
        found[i].slot = place.slot;
        __builtin_prefetch(&mark->bits[(regions[place.region].first + place.slot) / 64], 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct ca_place place = {.region = found[i].region, .slot = found[i].slot};
        if (place.region != UINT32_MAX)
            arrive(mark, &place, found[i].address, found[i].exact);
    }
}

static void mark_batch(struct ca_mark *mark, const uint64_t *values, size_t count, bool exact)
{
    struct lookup found[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n = begin_lookup(mark, found, n, values[i], exact);
    end_lookups(mark, found, n);
}

void ca_mark_values(struct ca_mark *mark, const uint64_t *values, size_t count, bool exact)
{
    for (size_t i = 0; i < count; i += BATCH)
        mark_batch(mark, values + i, count - i < BATCH ? count - i : BATCH, exact);
}

static void keep_doubtful(struct ca_mark *mark, const struct ca_word *words, size_t count)
{
    struct ca_place place;
    for (size_t i = 0; i < count; i++)
        if (find_slot(mark, words[i].value, &place) &&
            !ca_mark_bit(mark->bits, ca_mark_number(mark, &place)) &&
            !ca_vec_push(&mark->doubtful, words[i].value))
            mark->failed = true;
}

void ca_mark_keep(struct ca_mark *mark, uint64_t value)
{
    keep_doubtful(mark, &(struct ca_word){.value = value}, 1);
}

void ca_mark_holdings(struct ca_mark *mark, uint64_t base, const uint32_t *words, size_t count)
{
    struct lookup found[BATCH];
    for (size_t i = 0; i < count;) {
        size_t n = 0, stop = count - i < BATCH ? count : i + BATCH;
        for (; i < stop; i++) {
            struct ca_word word = {.value = base + (uint64_t)(words[i] / 2) * 8};
            bool exact = words[i] & 1;
            if (exact || mark->doubting)
                n = begin_lookup(mark, found, n, word.value, exact);
            else
                keep_doubtful(mark, &word, 1);
        }
        end_lookups(mark, found, n);
    }
}

static void sink_add(void *arg, const struct ca_root *root, const struct ca_word *words,
                     size_t count)
{
    struct ca_mark *mark = arg;
    uint64_t values[BATCH];
    if (!root->exact && !mark->doubting) {
        keep_doubtful(mark, words, count);
        return;
    }
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        while (n < BATCH && i < count)
            values[n++] = words[i++].value;
        mark_batch(mark, values, n, root->exact);
    }
}

struct ca_root_sink ca_mark_sink(struct ca_mark *mark)
{
    return (struct ca_root_sink){
        .add = sink_add, .arg = mark, .low = mark->pages.low, .high = mark->pages.high};
}

bool ca_mark_doubtful(struct ca_mark *mark)
{
    if (mark->doubtful.len == 0)
        return false;
    mark->doubting = true;
    while (mark->doubtful.len > 0) {
        uint64_t values[BATCH];
        size_t n = mark->doubtful.len < BATCH ? mark->doubtful.len : BATCH;
        mark->doubtful.len -= n;
        memcpy(values, mark->doubtful.data + mark->doubtful.len, n * sizeof(*values));
        ca_mark_values(mark, values, n, false);
    }
    return true;
}

void ca_mark_only(struct ca_mark *mark, uint64_t address)
{
    struct ca_place place;
    if (!ca_mark_find(mark, address, &place))
        return;
    uint64_t number = ca_mark_number(mark, &place);
    mark->bits[number / 64] |= (uint64_t)1 << (number % 64);
}

void ca_mark_follow(struct ca_mark *mark, uint64_t address)
{
    struct ca_place place;
    if (!ca_mark_find(mark, address, &place) || mark->heap->regions.data[place.region].no_scan)
        return;
    if (!ca_vec_push(&mark->parts,
                     (struct ca_part){.region = place.region, .slot = place.slot, .from = 0}))
        mark->failed = true;
}

/* ---- draining ---------------------------------------------------------------------------- */

struct batch {
    struct lookup found[BATCH];
    size_t len;
};

static void flush(struct ca_mark *mark, struct batch *batch)
{
    end_lookups(mark, batch->found, batch->len);
    batch->len = 0;
}

/* Scans from *from on until the object ends or limit bytes are done. */
static void scan(struct ca_mark *mark, struct batch *batch, uint32_t index, uint32_t slot,
                 uint64_t *from, uint64_t limit)
{
    struct ca_heap *heap = mark->heap;
    const struct ca_region *region = &heap->regions.data[index];
    uint64_t values[ROOM], stop = *from + limit;
    while (*from < stop && *from < region->size) {
        bool exact = true;
        uint64_t before = *from;
        size_t n = heap->ops->scan(heap, region, slot, from, values, NULL, ROOM, &exact);
        if (BATCH - batch->len < n)
            flush(mark, batch);
        for (size_t i = 0; i < n; i++)
            batch->len = begin_lookup(mark, batch->found, batch->len, values[i], exact);
        if (*from <= before) /* must go on */
            *from = UINT64_MAX;
    }
}

/* A small object whose pointers are told by a bitmap. */
static inline void scan_mapped(struct ca_mark *mark, struct batch *batch,
                               const struct ca_region *region, uint32_t slot)
{
    const uint8_t *object = region->bytes + slot * region->size;
    if (BATCH - batch->len < 64)
        flush(mark, batch);
    for (uint64_t bits = ca_region_pointers(region, slot); bits; bits &= bits - 1) {
        uint64_t value;
        memcpy(&value, object + __builtin_ctzll(bits) * 8, 8);
        batch->len = begin_lookup(mark, batch->found, batch->len, value, true);
    }
}

static void scan_parts(struct ca_mark *mark, struct batch *batch)
{
    struct ca_part part = mark->parts.data[--mark->parts.len];
    scan(mark, batch, part.region, part.slot, &part.from, LARGE);
    if (part.from < mark->heap->regions.data[part.region].size && !ca_vec_push(&mark->parts, part))
        mark->failed = true;
    flush(mark, batch);
}

/* Asks for the bytes of the objects that come next. */
static size_t look_ahead(const struct ca_mark *mark)
{
    size_t n = mark->work.len < AHEAD ? mark->work.len : AHEAD;
    for (size_t i = 0; i < n; i++) {
        const struct ca_work *work = &mark->work.data[mark->work.len - 1 - i];
        const struct ca_region *region = &mark->heap->regions.data[work->region];
        if (!region->bytes)
            continue;
        const uint8_t *object = region->bytes + work->slot * region->size;
        __builtin_prefetch(object);
        if (region->mapped) {
            __builtin_prefetch(object + region->size - 1);
            __builtin_prefetch((const uint8_t *)(uintptr_t)region->detail +
                               work->slot * (region->size / 8) / 8);
        }
    }
    return n;
}

static void scan_work(struct ca_mark *mark, struct batch *batch)
{
    struct ca_work next[AHEAD];
    size_t n = look_ahead(mark);
    memcpy(next, mark->work.data + mark->work.len - n, n * sizeof(*next));
    mark->work.len -= n;
    for (size_t i = 0; i < n; i++) {
        const struct ca_region *region = &mark->heap->regions.data[next[i].region];
        uint64_t from = 0;
        if (region->mapped) {
            scan_mapped(mark, batch, region, next[i].slot);
            continue;
        }
        scan(mark, batch, next[i].region, next[i].slot, &from, LARGE);
        if (from < region->size &&
            !ca_vec_push(
                &mark->parts,
                (struct ca_part){.region = next[i].region, .slot = next[i].slot, .from = from}))
            mark->failed = true;
    }
    flush(mark, batch);
}

static bool keep_going(struct ca_mark *mark, size_t round)
{
    if (mark->failed || mark->cancelled)
        return false;
    if (mark->progress && round % 65536 == 65535 &&
        !mark->progress(mark->progress_arg, "marking", mark->marked, mark->heap->slots))
        mark->cancelled = true;
    return !mark->cancelled;
}

void ca_mark_drain(struct ca_mark *mark)
{
    if (mark->work.len == 0 && mark->parts.len == 0)
        return;
    struct batch batch;
    batch.len = 0; /* its room is not cleared: this is called for every task */
    mark->heap->doubting = mark->doubting;
    for (size_t round = 0; keep_going(mark, round); round++) {
        if (mark->work.len > 0)
            scan_work(mark, &batch);
        else if (mark->parts.len > 0)
            scan_parts(mark, &batch);
        else
            break;
    }
}

struct ca_error *ca_mark_init(struct ca_mark *mark, struct ca_heap *heap)
{
    *mark = (struct ca_mark){.heap = heap};
    for (size_t i = 0; i < heap->regions.len; i++)
        heap->regions.data[i].watched = false;
    mark->bits = calloc(heap->slots / 64 + 1, sizeof(uint64_t));
    mark->opaque = calloc(heap->slots / 64 + 1, sizeof(uint64_t));
    if (!mark->bits || !mark->opaque || !pages_init(&mark->pages, heap)) {
        ca_mark_deinit(mark);
        return &ca_error_nomem;
    }
    return NULL;
}

void ca_mark_deinit(struct ca_mark *mark)
{
    ca_map_deinit(&mark->pages.chunks);
    ca_vec_deinit(&mark->pages.regions);
    free(mark->pages.direct);
    free(mark->bits);
    free(mark->opaque);
    free(mark->watched);
    ca_vec_deinit(&mark->watches);
    ca_vec_deinit(&mark->work);
    ca_vec_deinit(&mark->parts);
    ca_vec_deinit(&mark->tasks);
    ca_vec_deinit(&mark->specials);
    ca_vec_deinit(&mark->doubtful);
    *mark = (struct ca_mark){0};
}
