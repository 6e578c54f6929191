/* Opens a Go core again and again, each time with other random bytes in the runtime's structures:
 * descriptors of goroutines, threads and processors, channels and their queues, the semaphore
 * table, timers, the module's tables, the heap's own records, stacks. Everything that a session can
 * be asked is asked. A crash, a sanitizer's word, or more than LIMIT seconds of processor time end
 * it; what is answered does not matter.
 *
 *   fuzz_go CORE EXECUTABLE SEEDS [FIRST]
 */
#include "ask.h"
#include "runtimes/go/go.h"
#include "session.h"

enum {
    REGIONS_MAX = 20000,
    DEPTH_MAX = 4,
    POINTEE = 192, /* bytes at the end of a pointer that may be changed */
    STACK = 512,
};

/* A stretch of the target whose bytes are changed. Kinds are equally likely, whatever their number
 * of regions. */
struct region {
    uint64_t address, size;
    int depth;
};

struct kind {
    CA_VEC(struct region) list;
};

static struct kind kinds[40];
static size_t kind_count;
static struct ca_map known;
static size_t region_count;

static struct copy core; /* that is changed */

static uint8_t *place_of(uint64_t address, uint64_t size)
{
    return place_in(&core, address, size);
}

/* ---- what to change ---- */

static void add(size_t kind, uint64_t address, uint64_t size, int depth)
{
    bool fresh;
    while (size > 8 && !place_of(address, size))
        size /= 2;
    if (address % 8 || region_count >= REGIONS_MAX || !place_of(address, size) ||
        !ca_map_put(&known, address, &fresh) || !fresh ||
        !ca_vec_push(&kinds[kind].list, (struct region){address, size, depth}))
        return;
    region_count++;
}

/* A kind of its own for a variable of the runtime's, and for what it leads to. */
static void add_global(uint64_t address, uint64_t size)
{
    if (!address)
        return;
    add(kind_count, address, size, 0);
    kind_count++;
    for (size_t i = 0; i < kinds[kind_count - 1].list.len; i++) {
        struct region from = kinds[kind_count - 1].list.data[i];
        if (from.depth >= DEPTH_MAX)
            continue;
        for (uint64_t at = 0; at + 8 <= from.size; at += 8) {
            uint64_t word;
            memcpy(&word, place_of(from.address + at, 8), 8);
            if (word > 65536 && place_of(word, 8))
                add(kind_count, word, POINTEE, from.depth + 1);
            if (kinds[kind_count].list.len > REGIONS_MAX / 16)
                break;
        }
        if (i + 1 == kinds[kind_count - 1].list.len && kinds[kind_count].list.len)
            kind_count++, i = (size_t)-1;
    }
    if (kinds[kind_count].list.len)
        kind_count++;
}

static void add_goroutines(struct ca_session *session, struct ca_go *go)
{
    size_t gs = kind_count++, stacks = kind_count++, sudogs = kind_count++, threads = kind_count++;
    size_t channels = kind_count++;
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        uint64_t word;
        add(gs, task->address, (uint64_t)go->layout.at[GO_G_SIZE], 0);
        add(stacks, task->sp & ~7ull, STACK, 0);
        if (ca_go_read_u64(go, task->address, GO_G_WAITING, &word)) {
            add(sudogs, word, (uint64_t)go->layout.at[GO_SUDOG_SIZE], 0);
            if (word && ca_go_read_u64(go, word, GO_SUDOG_C, &word))
                add(channels, word, (uint64_t)go->layout.at[GO_HCHAN_SIZE], 0);
        }
        if (ca_go_read_u64(go, task->address, GO_G_M, &word))
            add(threads, word, 1024, 0);
    }
}

/* Learns from an undamaged session where the structures are. */
static void learn(const struct ca_options *options)
{
    struct ca_session *session;
    struct ca_error *error = ca_session_open_core(core.path, options, &session);
    if (error) {
        fprintf(stderr, "fuzz_go: %s\n", error->message);
        exit(2);
    }
    if (!session->runtimes.len || session->runtimes.data[0]->ops != &ca_go_ops) {
        fprintf(stderr, "fuzz_go: not a core of Go\n");
        exit(2);
    }
    struct ca_go *go = ca_go_of(session->runtimes.data[0]);
    const struct ca_go_globals *at = &go->globals;
    add_goroutines(session, go);
    add_global(at->allgs, 24);
    add_global(at->allm, 8);
    add_global(at->allp, 24);
    add_global(at->sched, 512);
    add_global(at->semtable, 16384);
    add_global(at->wait_reasons, at->wait_reasons_size);
    add_global(at->first_moduledata, (uint64_t)go->layout.at[GO_MD_SIZE]);
    add_global(at->build_version, 16);
    add_global(at->memstats, 4096);
    add_global(at->mheap, 65536);
    add_global(at->allfin, 8);
    add_global(at->gc_cleanups, 64);
    ca_session_destroy(session);
}

/* ---- changing ---- */

static const struct kind *any_kind(void)
{
    const struct kind *kind;
    do
        kind = &kinds[below(kind_count)];
    while (!kind->list.len);
    return kind;
}

static struct region one_of(const struct kind *kind)
{
    return kind->list.data[below(kind->list.len)];
}

/* A pointer that is right elsewhere: of another structure of the same kind (lists that run into
 * each other, stacks that two tasks share), or to the structure itself (cycles). */
static uint64_t moved_word(const struct kind *kind, struct region region, uint64_t offset)
{
    struct region other = one_of(kind);
    uint64_t word = other.address;
    if (!below(3))
        return region.address + (below(2) ? 0 : offset);
    if (offset + 8 <= other.size && below(3))
        memcpy(&word, place_of(other.address + offset, 8), 8);
    return word;
}

static struct edit change(void)
{
    const struct kind *kind = any_kind();
    struct region region = one_of(kind), other = one_of(any_kind());
    uint64_t word, offset = below(region.size / 8) * 8;
    struct edit edit = edit_at(place_of(region.address + offset, 8));
    memcpy(&word, edit.at, 8);
    switch (below(8)) {
    case 0:
    case 1:
        edit.at[below(8)] = (uint8_t)next_random();
        return edit;
    case 2:
    case 3:
    case 4:
        word = moved_word(kind, region, offset);
        break;
    default:
        word = bad_word(word, other.address, other.size);
    }
    memcpy(edit.at, &word, 8);
    return edit;
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv, 2, "CORE EXECUTABLE");
    struct ca_options options = {.size = sizeof(options), .exe = argv[2], .threshold = 5};
    copy_file(argv[1], &core);
    learn(&options);
    while (next_seed()) {
        damage(change, EDITS_MAX);
        try_session(core.path, &options);
        mend();
    }
    say_result();
    printf("; %zu regions of %zu kinds\n", region_count, kind_count);
    return 0;
}
