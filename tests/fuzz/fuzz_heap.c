/* Opens a Go core again and again, each time with other lies in what describes its heap: records of
 * spans and arenas, which slots are in use, where pointers are, types and their masks, the masks of
 * globals, the maps of stacks, finalizers. Besides what every fuzzer looks for: no goroutine may be
 * called leaked that is not in the undamaged core. Where the damage cannot be told from the truth
 * (a bit that says whether a word is a pointer, and nothing else says so) it is only counted.
 *
 *   fuzz_heap CORE EXECUTABLE SEEDS [FIRST]
 */
#include "ask.h"
#include "runtimes/go/heap.h"
#include "session.h"

enum { RANGES_MAX = 100000 };

enum kind {
    SPANS,  /* mspan */
    IN_USE, /* its bits */
    MODULE, /* moduledata */
    STATES, /* of spans in use: as if they were not */
    ARENAS, /* the list of spans */
    /* From here on damage may look like truth: */
    CLASSES,  /* of spans: as if there were no pointers in them, with as many objects */
    HEADERS,  /* the type in front of an object: another type that fits */
    TYPES,    /* type descriptors: another type's mask */
    SPECIALS, /* finalizers, cleanups, weak pointers: a chain may be cut, or name another object */
    STACK_MAPS, /* funcdata: heads of maps, counts and sizes: a map may have fewer bits */
    POINTERS,   /* pointer bits of objects: nothing else tells the truth */
    MASKS,      /* pointer bits of types */
    GLOBALS,    /* pointer bits of globals */
    STACK_BITS, /* pointer bits of frames */
    KINDS,
};
static const char *const names[KINDS] = {
    "spans", "in use",   "module",     "states",       "arenas", "classes", "headers",
    "types", "specials", "stack maps", "pointer bits", "masks",  "globals", "stack bits"};

struct range {
    uint8_t *at;
    uint64_t size;
};
static struct list {
    CA_VEC(struct range) list;
} ranges[KINDS];
static struct copy core, exe;
static unsigned state_byte;  /* in its word */
static struct ca_map leaked; /* addresses of tasks that are */
static uint64_t runs[KINDS], given_up[KINDS], fewer[KINDS], more[KINDS];

static void add(enum kind kind, uint64_t address, uint64_t size)
{
    uint8_t *at = place_in(&core, address, size);
    if (!at)
        at = place_in(&exe, address, size);
    if (!at || size < 8 || ranges[kind].list.len >= RANGES_MAX)
        return;
    if (!ca_vec_push(&ranges[kind].list, (struct range){at, size}))
        die("no memory");
}

/* ---- what there is to damage ---- */

/* Which words of a span's record may lie like truth: its class (as if it had no pointers), the
 * chain of its specials (as if it had none) and the type of its one object (as if that were new).
 */
static enum kind kind_of_span_word(const int32_t *at, int32_t word)
{
    if (word == (at[GO_MSPAN_STATE] & ~7))
        return CLASSES;
    if (word == at[GO_MSPAN_SPECIALS])
        return SPECIALS;
    return word == at[GO_MSPAN_LARGETYPE] ? HEADERS : SPANS;
}

static void learn_spans(struct ca_go *go)
{
    const int32_t *at = go->layout.at;
    uint64_t list[2], address, word;
    uint64_t mheap = go->globals.mheap;
    if (!ca_target_read(go->target, mheap + (uint64_t)at[GO_MHEAP_ALLSPANS], list, 16))
        return;
    add(ARENAS, mheap + (uint64_t)at[GO_MHEAP_ALLSPANS], 24);
    add(ARENAS, list[0], list[1] * 8);
    for (uint64_t i = 0; i < list[1]; i++) {
        if (!ca_target_read_u64(go->target, list[0] + i * 8, &address))
            continue;
        const uint8_t *state = place_in(&core, address + (uint64_t)at[GO_MSPAN_STATE], 1);
        if (state && *state == 1)
            add(STATES, address + (uint64_t)(at[GO_MSPAN_STATE] & ~7), 8);
        state_byte = (unsigned)at[GO_MSPAN_STATE] & 7;
        for (int32_t word_at = 0; word_at + 8 <= at[GO_MSPAN_SIZE]; word_at += 8)
            add(kind_of_span_word(at, word_at), address + (uint64_t)word_at, 8);
        if (ca_target_read_u64(go->target, address + (uint64_t)at[GO_MSPAN_ALLOCBITS], &word))
            add(IN_USE, word & ~UINT64_C(7), 64);
        for (int n = 0;
             n < 20 &&
             ca_target_read_u64(go->target, address + (uint64_t)at[GO_MSPAN_SPECIALS], &word) &&
             word;
             n++) {
            add(SPECIALS, word, ((uint64_t)at[GO_SPECIAL_KIND] & ~UINT64_C(7)) + 8);
            address = word + (uint64_t)at[GO_SPECIAL_NEXT] - (uint64_t)at[GO_MSPAN_SPECIALS];
        }
    }
}

static void learn_objects(struct ca_go_heap *heap)
{
    for (size_t i = 0; i < heap->heap.regions.len; i++) {
        const struct ca_region *region = &heap->heap.regions.data[i];
        uint64_t end = region->start + region->size * region->count;
        if (region->no_scan)
            continue;
        if (region->kind == CA_GO_FORMAT_SPAN)
            add(POINTERS, region->start + (region->detail - (uint64_t)(uintptr_t)region->bytes),
                region->count * region->size / 64 & ~UINT64_C(7));
        for (uint32_t slot = 0; region->kind == CA_GO_FORMAT_HEADER && slot < region->count; slot++)
            add(HEADERS, region->start + slot * region->size, 8);
        if (region->kind != CA_GO_FORMAT_ARENA && region->kind != CA_GO_FORMAT_BYTES)
            continue;
        uint64_t number = (region->start - heap->arena_base) >> 26, table, record;
        uint64_t offset = (region->start - heap->arena_base) % (1 << 26);
        const int32_t *at = heap->go->layout.at;
        if (!ca_go_read_u64(heap->go, heap->go->globals.mheap, GO_MHEAP_ARENAS, &table) ||
            !ca_target_read_u64(heap->target, table + number * 8, &record))
            continue;
        uint64_t scale = region->kind == CA_GO_FORMAT_ARENA ? 64 : 32;
        add(POINTERS, record + (uint64_t)at[GO_HEAPARENA_BITMAP] + offset / scale / 8 * 8,
            ((end - region->start) / scale + 8) & ~UINT64_C(7));
        if (at[GO_HEAPARENA_NOMORE] != CA_LAYOUT_ABSENT)
            add(POINTERS, record + (uint64_t)at[GO_HEAPARENA_NOMORE] + offset / 512 / 8 * 8, 8);
    }
}

static void learn_types(struct ca_go_heap *heap)
{
    for (size_t i = 0; i < heap->types.len; i++) {
        uint64_t address = heap->types.data[i].address, mask;
        add(TYPES, address, 48);
        if (ca_target_read_u64(heap->target,
                               address + (uint64_t)heap->go->layout.at[GO_TYPE_GCDATA], &mask))
            add(MASKS, mask & ~UINT64_C(7), 8);
    }
}

static void learn_modules(struct ca_go *go)
{
    for (size_t i = 0; i < go->tables.modules.len; i++) {
        const struct ca_go_module *module = &go->tables.modules.data[i];
        uint64_t data[2];
        add(MODULE, module->address, (uint64_t)go->layout.at[GO_MD_SIZE] & ~UINT64_C(7));
        for (int j = 0; j < 2; j++)
            if (ca_target_read(go->target, j ? module->gcbssmask : module->gcdatamask, data, 16))
                add(GLOBALS, data[1] & ~UINT64_C(7), (data[0] & 0xffffffff) / 64 * 8);
    }
}

/* The maps of the functions that are on stacks. */
static void learn_stacks(struct ca_session *session, struct ca_go *go)
{
    for (size_t i = 0; i < session->tasks.stacks.frames.len; i++) {
        struct ca_go_func func;
        if (!ca_go_func_find(&go->tables, session->tasks.stacks.frames.data[i].pc, &func))
            continue;
        for (unsigned j = CA_GO_FUNCDATA_ARGS; j <= CA_GO_FUNCDATA_OBJECTS; j++) {
            uint64_t at = ca_go_func_funcdata(&go->tables, &func, j) & ~UINT64_C(7);
            if (!at)
                continue;
            add(STACK_MAPS, at, 8);
            add(STACK_BITS, at + 8, 24);
        }
    }
}

static void learn_tasks(struct ca_session *session)
{
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        if (task->verdict == CA_VERDICT_LEAKED)
            *ca_map_put(&leaked, task->address, NULL) = 1;
    }
}

static void learn(const struct ca_options *options)
{
    struct ca_session *session;
    struct ca_error *error = ca_session_open_core(core.path, options, &session);
    if (error || !session->provers.list.len || !session->provers.list.data[0].proved) {
        fprintf(stderr, "fuzz_heap: %s\n", error ? error->message : "nothing is proved of it");
        exit(2);
    }
    struct ca_go_heap *heap = ca_go_heap_of(session->provers.list.data[0].heap);
    learn_spans(heap->go);
    learn_objects(heap);
    learn_types(heap);
    learn_modules(heap->go);
    learn_stacks(session, heap->go);
    learn_tasks(session);
    ca_session_destroy(session);
}

/* ---- damage ---- */

static uint64_t bad_record(uint64_t before, const struct range *other)
{
    uint64_t word;
    switch (below(9)) {
    case 0:
        return 0;
    case 1:
        return before ^ 1ull << below(64);
    case 2:
        return before + below(33) - 16;
    case 3:
        memcpy(&word, other->at + below(other->size / 8) * 8, 8);
        return word;
    case 4:
        return below(4096);
    case 5:
        return before & next_random();
    case 6:
        return before | next_random();
    case 7:
        return before + ((below(17) - 8) << 13);
    default:
        return next_random();
    }
}

static enum kind damaged; /* by this seed */

static struct edit change(void)
{
    const struct range *from = ranges[damaged].list.data;
    struct range range = from[below(ranges[damaged].list.len)];
    struct range other = from[below(ranges[damaged].list.len)];
    struct edit edit = edit_at(range.at + below(range.size / 8) * 8);
    uint64_t word;
    memcpy(&word, edit.at, 8);
    if (damaged == STATES) {
        edit.at[state_byte] = below(2) ? 0 : (uint8_t)(2 + below(254));
    } else if (below(3)) {
        word = bad_record(word, &other);
        memcpy(edit.at, &word, 8);
    } else {
        edit.at[below(8)] = below(2) ? 0 : (uint8_t)next_random();
    }
    return edit;
}

static void say_edit(const struct edit *edit)
{
    uint64_t words[2];
    memcpy(&words[0], edit->before, 8);
    memcpy(&words[1], edit->at, 8);
    for (size_t i = 0; i < ranges[damaged].list.len; i++) {
        const struct range *range = &ranges[damaged].list.data[i];
        if (edit->at >= range->at && edit->at < range->at + range->size) {
            fprintf(stderr, "  at %td of a range: %llx is now %llx\n", edit->at - range->at,
                    (unsigned long long)words[0], (unsigned long long)words[1]);
            return;
        }
    }
}

/* Whether somebody is called leaked who was not. */
static bool judge(struct ca_session *session)
{
    size_t found = 0, wrong = 0;
    const struct ca_provers *provers = &session->provers;
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        if (task->verdict != CA_VERDICT_LEAKED)
            continue;
        found++;
        wrong += !ca_map_get(&leaked, task->address);
    }
    runs[damaged]++;
    given_up[damaged] += !provers->list.len || !provers->list.data[0].proved;
    fewer[damaged] += found - wrong < leaked.len;
    more[damaged] += wrong > 0;
    return wrong == 0;
}

/* Opens what is damaged; whether only the leaked are called leaked, or nobody can tell. */
static bool try_heap(const struct ca_options *options)
{
    struct ca_session *session;
    bool right = true;
    begin_seed();
    struct ca_error *error = ca_session_open_core(core.path, options, &session);
    if (!error) {
        right = judge(session) || damaged >= CLASSES;
        if (seed % 4 == 0)
            ask(session);
        ca_session_destroy(session);
    }
    *(error ? &refused : &opened) += 1;
    ca_error_destroy(error);
    end_seed();
    return right;
}

static void say_wrong(void)
{
    fprintf(stderr, "seed %llu (%s): more is called leaked\n", (unsigned long long)seed,
            names[damaged]);
    for (size_t i = 0; i < edit_count; i++)
        say_edit(&edits[i]);
}

int main(int argc, char **argv)
{
    uint64_t wrong = 0;
    read_arguments(argc, argv, 2, "CORE EXECUTABLE");
    copy_file(argv[1], &core);
    copy_file(argv[2], &exe);
    struct ca_options options = {
        .size = sizeof(options), .exe = exe.path, .threshold = 1 << 20, .force = true};
    learn(&options);
    while (next_seed()) {
        damaged = (enum kind)(seed % KINDS);
        if (!ranges[damaged].list.len)
            continue;
        damage(change, 8);
        if (!try_heap(&options)) {
            say_wrong();
            wrong++;
        }
        mend();
    }
    say_result();
    for (int kind = 0; kind < KINDS; kind++)
        printf("; %s: %zu ranges, %llu runs, %llu gave up, %llu found fewer, %llu more",
               names[kind], ranges[kind].list.len, (unsigned long long)runs[kind],
               (unsigned long long)given_up[kind], (unsigned long long)fewer[kind],
               (unsigned long long)more[kind]);
    printf("; %llu wrong\n", (unsigned long long)wrong);
    return wrong > 0;
}
