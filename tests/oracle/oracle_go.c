/* What Go's own collector makes of the same instant, for tests.
 *
 *   oracle_go marks CORE EXECUTABLE     a core taken at the entry of runtime.gcSweep, in the
 *   oracle_go marks -p PID              stop-the-world after marking: object by object, the
 *                                       runtime's mark bits and ours, from the same roots
 *   oracle_go leaks CORE EXECUTABLE     leaked goroutines, and which of these are alive as soon as
 *   oracle_go leaks -p PID              roots are added that only Go's detector has
 *
 * Prints a JSON object. Wants DWARF.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtimes/go/go.h"
#include "runtimes/go/heap.h"
#include "session.h"

enum { PAGE = 8192, INLINE = 128, LISTED = 20, WAITS_MAX = 65536 };

static struct ca_prover *prover;
static struct ca_go_heap *heap;

static void die(const char *what)
{
    fprintf(stderr, "oracle: %s\n", what);
    exit(2);
}

static void check(struct ca_error *error)
{
    if (error)
        die(error->message);
}

/* ---- roots that only Go has ---------------------------------------------------------------- */

/* The blocks that each processor's allocator is filling: runtime.mcache.tiny. */
static void mark_tiny(struct ca_mark *mark)
{
    static const struct ca_layout_want wants[] = {{"runtime.p", "mcache", false},
                                                  {"runtime.mcache", "tiny", false}};
    struct ca_go *go = heap->go;
    int32_t at[2];
    uint64_t allp[2], p, mcache, tiny;
    check(ca_layout_bind(ca_module_dwarf(go->runtime.context.modules, go->module), "runtime", wants,
                         2, at));
    if (!ca_target_read(heap->target, go->globals.allp, allp, 16))
        die("allp");
    for (uint64_t i = 0; i < allp[1]; i++)
        if (ca_target_read_u64(heap->target, allp[0] + i * 8, &p) && p &&
            ca_target_read_u64(heap->target, p + (uint64_t)at[0], &mcache) && mcache &&
            ca_target_read_u64(heap->target, mcache + (uint64_t)at[1], &tiny))
            ca_mark_values(mark, &tiny, 1, false);
}

/* runtime/mgcmark.go markrootSpans: what a finalizer's object reaches (not itself), the functions,
 * handles of weak pointers. */
static void mark_specials(struct ca_mark *mark)
{
    for (size_t i = 0; i < heap->heap.specials.len; i++) {
        struct ca_special *special = &heap->heap.specials.data[i];
        if (special->kind == CA_SPECIAL_WEAK) {
            ca_mark_values(mark, &special->object, 1, true);
            continue;
        }
        if (special->kind == CA_SPECIAL_FINALIZER)
            ca_mark_follow(mark, special->object);
        ca_mark_values(mark, special->values, 3, false);
    }
}

/* ---- marks --------------------------------------------------------------------------------- */

struct filter {
    struct ca_root_sink inner;
    bool guesses; /* what only looks like a pointer, too */
};

static void filter_add(void *arg, const struct ca_root *root, const struct ca_word *words,
                       size_t count)
{
    struct filter *filter = arg;
    bool own_list = root->kind == CA_ROOT_RUNTIME && root->name && strcmp(root->name, "goroutine");
    if (filter->guesses || root->exact || own_list)
        filter->inner.add(filter->inner.arg, root, words, count);
}

static void mark_everything(struct ca_mark *mark, bool guesses)
{
    struct filter filter = {.inner = ca_mark_sink(mark), .guesses = guesses};
    struct ca_root_sink sink = {.add = filter_add, .arg = &filter};
    ca_go_heap_roots(&heap->heap, &sink);
    for (size_t i = 0; i < heap->tasks->list.len; i++)
        if (heap->tasks->list.data[i].runtime == heap->heap.runtime->index)
            ca_go_heap_task_roots(&heap->heap, (uint32_t)i, &sink);
    mark_specials(mark);
    ca_mark_drain(mark);
    if (ca_mark_doubtful(mark))
        ca_mark_drain(mark);
}

/* Where the runtime keeps a span's marks: gcmarkBits comes behind allocBits in all versions; spans
 * of Green Tea have theirs inside, see heap_bits.c. */
static bool marks_of(const struct ca_region *region, uint64_t span, uint8_t *ret)
{
    const int32_t *at = heap->go->layout.at;
    uint64_t bits;
    const struct ca_go_arena *arena = ca_go_heap_arena(heap, region->start);
    uint64_t page = (region->start - heap->arena_base) / PAGE % 8192;
    if (arena && arena->inline_pages && (arena->inline_pages[page / 8] >> (page % 8) & 1))
        bits = region->start + PAGE - INLINE + INLINE / 2;
    else if (!ca_target_read_u64(heap->target, span + (uint64_t)at[GO_MSPAN_ALLOCBITS] + 8, &bits))
        return false;
    return ca_target_read(heap->target, bits, ret, (region->count + 7) / 8);
}

static uint64_t record_of(uint64_t address)
{
    struct ca_go *go = heap->go;
    uint64_t table = 0, arena = 0, span = 0, offset = address - heap->arena_base;
    ca_go_read_u64(go, go->globals.mheap, GO_MHEAP_ARENAS, &table);
    ca_target_read_u64(heap->target, table + (offset >> 26) * 8, &arena);
    ca_target_read_u64(
        heap->target,
        arena + (uint64_t)go->layout.at[GO_HEAPARENA_SPANS] + (offset / PAGE % 8192) * 8, &span);
    return span;
}

static bool is_theirs(const struct ca_place *place)
{
    static uint8_t bits[1 << 21];
    const struct ca_region *region = &heap->heap.regions.data[place->region];
    return marks_of(region, record_of(region->start), bits) &&
           (bits[place->slot / 8] >> (place->slot % 8) & 1);
}

/* Which words only look like pointers, and lead to what Go has not marked. */
struct guesses {
    const struct ca_mark *exact;
    uint64_t task;
    size_t count;
};

static void guess_add(void *arg, const struct ca_root *root, const struct ca_word *words,
                      size_t count)
{
    static const char *const kinds[] = {"global", "stack", "registers", "runtime", "foreign"};
    struct guesses *guesses = arg;
    struct ca_place place;
    for (size_t i = 0; i < count; i++) {
        if (root->exact || !ca_mark_find(guesses->exact, words[i].value, &place) ||
            ca_mark_bit(guesses->exact->bits, ca_mark_number(guesses->exact, &place)) ||
            is_theirs(&place) || guesses->count++ >= LISTED)
            continue;
        printf("%s\"%s %s of goroutine %" PRIu64 " frame %d at 0x%" PRIx64 ": 0x%" PRIx64 "\"",
               guesses->count > 1 ? ", " : "", kinds[root->kind], root->name ? root->name : "",
               guesses->task, (int)root->frame, words[i].address, words[i].value);
    }
}

static void list_guesses(const struct ca_mark *exact)
{
    struct guesses guesses = {.exact = exact};
    struct ca_root_sink sink = {.add = guess_add, .arg = &guesses};
    printf(", \"guesses_at\": [");
    ca_go_heap_roots(&heap->heap, &sink);
    for (size_t i = 0; i < heap->tasks->list.len; i++) {
        guesses.task = heap->tasks->list.data[i].number;
        if (heap->tasks->list.data[i].runtime == heap->heap.runtime->index)
            ca_go_heap_task_roots(&heap->heap, (uint32_t)i, &sink);
    }
    printf("], \"guesses\": %zu", guesses.count);
}

struct tally {
    uint64_t both, ours, guessed, tiny, theirs;
    uint64_t ours_at[LISTED], theirs_at[LISTED];
};

/* Addresses, sizes and first words. */
static void list(const struct ca_mark *mark, const char *name, const uint64_t *at, uint64_t count)
{
    printf(", \"%s\": [", name);
    for (uint64_t i = 0; i < count && i < LISTED; i++) {
        struct ca_place place = {0};
        uint64_t word = 0;
        ca_mark_find(mark, at[i], &place);
        ca_target_read_u64(heap->target, at[i], &word);
        printf("%s\"0x%" PRIx64 " of %" PRIu64 " bytes: 0x%" PRIx64 "\"", i ? ", " : "", at[i],
               heap->heap.regions.data[place.region].size, word);
    }
    printf("]");
}

static bool region_in_use(const struct ca_region *region, uint32_t slot)
{
    return slot < region->free_index ||
           (region->in_use && (region->in_use[slot / 8] >> (slot % 8) & 1));
}

static void compare(const struct ca_mark *exact, const struct ca_mark *all,
                    const struct ca_mark *tiny)
{
    struct tally tally = {0};
    static uint8_t bits[1 << 21];
    for (size_t i = 0; i < heap->heap.regions.len; i++) {
        const struct ca_region *region = &heap->heap.regions.data[i];
        if (region->kind == CA_GO_FORMAT_IDLE)
            continue;
        if (!marks_of(region, record_of(region->start), bits))
            die("the marks of a span cannot be read");
        for (uint32_t slot = 0; slot < region->count; slot++) {
            uint64_t number = region->first + slot, address = region->start + slot * region->size;
            bool theirs = (bits[slot / 8] >> (slot % 8) & 1) && region_in_use(region, slot);
            if (ca_mark_bit(exact->bits, number)) {
                if (theirs)
                    tally.both++;
                else if (tally.ours++ < LISTED)
                    tally.ours_at[tally.ours - 1] = address;
            } else if (!theirs) {
                tally.guessed += ca_mark_bit(all->bits, number);
            } else if (!ca_mark_bit(all->bits, number)) {
                if (ca_mark_bit(tiny->bits, number))
                    tally.tiny++;
                else if (tally.theirs++ < LISTED)
                    tally.theirs_at[tally.theirs - 1] = address;
            } else {
                tally.both++;
            }
        }
    }
    printf("{\"both\": %" PRIu64 ", \"ours\": %" PRIu64 ", \"theirs\": %" PRIu64
           ", \"guessed\": %" PRIu64 ", \"tiny\": %" PRIu64,
           tally.both, tally.ours, tally.theirs, tally.guessed, tally.tiny);
    list(exact, "ours_at", tally.ours_at, tally.ours);
    list(exact, "theirs_at", tally.theirs_at, tally.theirs);
    list_guesses(exact);
    printf("}\n");
}

static void marks(void)
{
    struct ca_mark exact, all, tiny;
    check(ca_mark_init(&exact, &heap->heap));
    check(ca_mark_init(&all, &heap->heap));
    check(ca_mark_init(&tiny, &heap->heap));
    exact.deaf = all.deaf = tiny.deaf = true;
    mark_everything(&exact, false);
    mark_everything(&all, true);
    mark_tiny(&tiny);
    ca_mark_drain(&tiny);
    compare(&exact, &all, &tiny);
    ca_mark_deinit(&exact);
    ca_mark_deinit(&all);
    ca_mark_deinit(&tiny);
}

/* ---- leaks --------------------------------------------------------------------------------- */

enum {
    WITH_TINY = 1,
    WITH_SPECIALS = 2, /* finalizers and cleanups, whether or not they can run */
    WITH_RECORDS = 4,  /* what the g's of leaked goroutines point at */
};

static void watch(struct ca_mark *mark, uint8_t *status, int with)
{
    static uint64_t objects[WAITS_MAX];
    for (uint32_t i = 0; i < heap->tasks->list.len; i++) {
        if (prover->status[i] == CA_PROVER_ROOT)
            continue;
        size_t count = heap->heap.ops->waits_on(&heap->heap, i, objects, WAITS_MAX);
        status[i] = CA_PROVER_CANDIDATE;
        for (size_t j = 0; j < count; j++)
            if (!ca_mark_watch(mark, objects[j], CA_WATCH_TASK, i) && !ca_vec_push(&mark->tasks, i))
                die("no memory");
    }
    /* The prover has forgotten the list; the bits are left. */
    memcpy(mark->opaque, prover->mark.opaque, (heap->heap.slots / 64 + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < heap->heap.regions.len; i++)
        heap->heap.regions.data[i].watched = true;
    for (size_t i = 0; (with & WITH_RECORDS) && i < heap->tasks->list.len; i++) {
        struct ca_place place;
        if (!ca_mark_find(mark, heap->tasks->list.data[i].address, &place))
            continue;
        uint64_t number = ca_mark_number(mark, &place);
        mark->opaque[number / 64] &= ~((uint64_t)1 << (number % 64));
    }
    for (size_t i = 0; i < heap->heap.specials.len; i++)
        ca_mark_watch(mark, heap->heap.specials.data[i].object, CA_WATCH_SPECIAL, (uint32_t)i);
}

static void settle(struct ca_mark *mark, uint8_t *status)
{
    struct ca_root_sink sink = ca_mark_sink(mark);
    for (;;) {
        ca_mark_drain(mark);
        if (mark->specials.len > 0) {
            uint32_t i = mark->specials.data[--mark->specials.len];
            ca_mark_values(mark, heap->heap.specials.data[i].values, 3, false);
        } else if (mark->tasks.len > 0) {
            uint32_t task = mark->tasks.data[--mark->tasks.len];
            if (status[task] == CA_PROVER_CANDIDATE)
                ca_go_heap_task_roots(&heap->heap, task, &sink);
            status[task] = CA_PROVER_WOKEN;
        } else if (!ca_mark_doubtful(mark)) {
            return;
        }
    }
}

/* Prints who is leaked in the engine's eyes, but not when these roots are there too. */
static void revived(const char *name, int with)
{
    struct ca_mark mark;
    uint8_t *status = calloc(heap->tasks->list.len + 1, 1);
    const char *comma = "";
    if (!status)
        die("no memory");
    check(ca_mark_init(&mark, &heap->heap));
    watch(&mark, status, with);
    struct ca_root_sink sink = ca_mark_sink(&mark);
    ca_go_heap_roots(&heap->heap, &sink);
    for (uint32_t i = 0; i < heap->tasks->list.len; i++)
        if (heap->tasks->list.data[i].runtime == heap->heap.runtime->index &&
            status[i] == CA_PROVER_ROOT)
            ca_go_heap_task_roots(&heap->heap, i, &sink);
    if (with & WITH_TINY)
        mark_tiny(&mark);
    if (with & WITH_SPECIALS)
        mark_specials(&mark);
    settle(&mark, status);
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < heap->tasks->list.len; i++)
        if (heap->tasks->list.data[i].verdict == CA_VERDICT_LEAKED &&
            status[i] != CA_PROVER_CANDIDATE) {
            printf("%s%" PRIu64, comma, heap->tasks->list.data[i].number);
            comma = ", ";
        }
    printf("]");
    free(status);
    ca_mark_deinit(&mark);
}

static void leaks(void)
{
    const char *comma = "";
    printf("{\"proved\": %s, \"leaked\": [", prover->proved ? "true" : "false");
    for (size_t i = 0; i < heap->tasks->list.len; i++)
        if (heap->tasks->list.data[i].verdict == CA_VERDICT_LEAKED) {
            printf("%s%" PRIu64, comma, heap->tasks->list.data[i].number);
            comma = ", ";
        }
    printf("]");
    revived("tiny", WITH_TINY);
    revived("specials", WITH_SPECIALS);
    revived("records", WITH_RECORDS);
    revived("any", WITH_TINY | WITH_SPECIALS | WITH_RECORDS);
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct ca_options options = {.size = sizeof(options), .hold = true};
    struct ca_session *session;
    if (argc < 4)
        die("usage: oracle_go marks|leaks CORE EXECUTABLE | -p PID");
    if (!strcmp(argv[2], "-p")) {
        check(ca_session_attach(strtoll(argv[3], NULL, 10), &options, &session));
    } else {
        options.exe = argv[3];
        check(ca_session_open_core(argv[2], &options, &session));
    }
    if (session->provers.list.len != 1 || !session->provers.list.data[0].ready)
        die("there is no heap to look at");
    prover = &session->provers.list.data[0];
    heap = ca_go_heap_of(prover->heap);
    if (!strcmp(argv[1], "marks"))
        marks();
    else
        leaks();
    ca_session_destroy(session);
    return 0;
}
