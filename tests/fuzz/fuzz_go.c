/* Opens a Go core again and again, each time with other random bytes in the runtime's structures:
 * descriptors of goroutines, threads and processors, channels and their queues, the semaphore
 * table, timers, the module's tables, the heap's own records, stacks. Everything that a session can
 * be asked is asked. A crash, a sanitizer's word, or more than LIMIT seconds of processor time end
 * it; what is answered does not matter.
 *
 *   fuzz_go CORE EXECUTABLE SEEDS [FIRST]
 */
#include <elf.h>

#include "ask.h"
#include "runtimes/go/go.h"
#include "session.h"

enum {
    REGIONS_MAX = 20000,
    EDITS_MAX = 16,
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

/* Where the target's bytes at address lie in the copy; NULL: not there in one piece. */
static uint8_t *place_of(uint64_t address, uint64_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)core.bytes;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(core.bytes + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        uint64_t at = address - phdr[i].p_vaddr;
        if (phdr[i].p_type == PT_LOAD && at < phdr[i].p_filesz && size <= phdr[i].p_filesz - at &&
            phdr[i].p_offset + at + size <= core.size)
            return core.bytes + phdr[i].p_offset + at;
    }
    return NULL;
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

struct edit {
    uint8_t *at, before[8];
};

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

static uint64_t bad_word(uint64_t before)
{
    struct region other = one_of(any_kind());
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - below(16);
    case 2:
        return 1ull << below(64);
    case 3:
        return before ^ 1ull << below(64);
    case 4:
        return before + below(33) - 16;
    case 5:
        return other.address; /* cycles, and structures taken for others */
    case 6:
        return other.address + below(other.size);
    case 7:
        return below(4096);
    case 8:
        return before << 32 | before >> 32;
    case 9:
        return INT64_MAX - below(4096);
    case 10:
        return (1ull << 32) - below(64);
    default:
        return next_random();
    }
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
    struct region region = one_of(kind);
    struct edit edit;
    uint64_t word, offset = below(region.size / 8) * 8;
    edit.at = place_of(region.address + offset, 8);
    memcpy(edit.before, edit.at, 8);
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
        word = bad_word(word);
    }
    memcpy(edit.at, &word, 8);
    return edit;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: fuzz_go CORE EXECUTABLE SEEDS [FIRST]\n");
        return 2;
    }
    uint64_t count = strtoull(argv[3], NULL, 0), opened = 0;
    uint64_t first = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
    struct ca_options options = {.size = sizeof(options), .exe = argv[2], .threshold = 5};
    copy_file(argv[1], &core);
    learn(&options);
    for (seed = first; seed < first + count; seed++) {
        struct edit edits[EDITS_MAX];
        state = seed * 0x9e3779b97f4a7c15ull;
        size_t changes = 1 + below(EDITS_MAX);
        for (size_t i = 0; i < changes; i++)
            edits[i] = change();
        opened += try_session(core.path, &options, argv);
        while (changes--)
            memcpy(edits[changes].at, edits[changes].before, 8);
    }
    printf("%llu seeds in %zu regions of %zu kinds: %llu opened, %llu refused, the slowest (%llu) "
           "took %.2f s\n",
           (unsigned long long)count, region_count, kind_count, (unsigned long long)opened,
           (unsigned long long)(count - opened), (unsigned long long)slowest_seed, slowest);
    return 0;
}
