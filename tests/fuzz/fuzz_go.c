/* Opens a Go core again and again, each time with other random bytes in the runtime's structures:
 * descriptors of goroutines, threads and processors, channels and their queues, the semaphore
 * table, timers, the module's tables, the heap's own records, stacks. Everything that a session can
 * be asked is asked. A crash, a sanitizer's word, or more than LIMIT seconds of processor time end
 * it; what is answered does not matter.
 *
 *   fuzz_go CORE EXECUTABLE SEEDS [FIRST]
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "runtimes/go/go.h"
#include "session.h"

enum {
    REGIONS_MAX = 20000,
    EDITS_MAX = 16,
    DEPTH_MAX = 4,
    POINTEE = 192, /* bytes at the end of a pointer that may be changed */
    STACK = 512,
#ifdef __SANITIZE_ADDRESS__
    LIMIT = 25, /* sanitizers make it several times slower */
#else
    LIMIT = 5,
#endif
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

static uint8_t *core; /* the copy that is changed */
static uint64_t core_size;
static char path[64];
static uint64_t state, seed;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15ull;
    return ca_hash_u64(state);
}

static uint64_t below(uint64_t limit)
{
    return limit ? next_random() % limit : 0;
}

/* ---- the copy ---- */

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* A copy in memory, which the session opens as a file; holes stay holes. */
static void copy_core(const char *from)
{
    static uint8_t buffer[1 << 16], zero[1 << 16];
    struct stat st;
    int in = open(from, O_RDONLY), out = memfd_create("core", 0);
    if (in < 0 || out < 0 || fstat(in, &st) || ftruncate(out, st.st_size))
        die(from);
    core_size = (uint64_t)st.st_size;
    for (off_t at = 0; at < st.st_size;) {
        ssize_t got = pread(in, buffer, sizeof(buffer), at);
        if (got <= 0)
            die(from);
        if (memcmp(buffer, zero, (size_t)got) != 0 && pwrite(out, buffer, (size_t)got, at) != got)
            die(from);
        at += got;
    }
    close(in);
    core = mmap(NULL, core_size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    if (core == MAP_FAILED)
        die("mmap");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
}

/* Where the target's bytes at address lie in the copy; NULL: not there in one piece. */
static uint8_t *place_of(uint64_t address, uint64_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)core;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(core + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        uint64_t at = address - phdr[i].p_vaddr;
        if (phdr[i].p_type == PT_LOAD && at < phdr[i].p_filesz && size <= phdr[i].p_filesz - at &&
            phdr[i].p_offset + at + size <= core_size)
            return core + phdr[i].p_offset + at;
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
    struct ca_error *error = ca_session_open_core(path, options, &session);
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

static struct region any_region(void)
{
    const struct kind *kind;
    do
        kind = &kinds[below(kind_count)];
    while (!kind->list.len);
    return kind->list.data[below(kind->list.len)];
}

static uint64_t bad_word(uint64_t before)
{
    struct region other = any_region();
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

static struct edit change(void)
{
    struct region region = any_region();
    struct edit edit;
    uint64_t word;
    edit.at = place_of(region.address + below(region.size / 8) * 8, 8);
    memcpy(edit.before, edit.at, 8);
    memcpy(&word, edit.at, 8);
    if (below(4)) {
        word = bad_word(word);
        memcpy(edit.at, &word, 8);
    } else {
        edit.at[below(8)] = (uint8_t)next_random();
    }
    return edit;
}

/* ---- asking ---- */

static bool sink(void *arg, const char *text, size_t size)
{
    *(uint64_t *)arg += size + (unsigned char)text[size ? size - 1 : 0];
    return true;
}

static void write_one(struct ca_session *session, const char *command, const char *argument,
                      bool json)
{
    uint64_t sum = 0;
    int status;
    struct ca_request request = {
        .command = command, .argument = argument, .json = json, .limit = CA_UNKNOWN, .full = true};
    ca_error_destroy(ca_session_write(session, &request, sink, &sum, &status));
}

static void ask(struct ca_session *session)
{
    static const char *const commands[] = {"leaks", "tasks", "info"};
    size_t count = ca_session_task_count(session);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        write_one(session, commands[i], NULL, true);
        write_one(session, commands[i], NULL, false);
    }
    for (int i = 0; i < 3 && count; i++) {
        char id[48];
        ca_session_task_id(session, below(count), id);
        write_one(session, "task", id, i & 1);
        write_one(session, "explain", id, i & 1);
    }
}

static void late(int signal)
{
    static char text[80];
    (void)signal;
    int size = snprintf(text, sizeof(text), "seed %llu takes more than %d s\n",
                        (unsigned long long)seed, LIMIT);
    if (write(2, text, (size_t)size) < 0)
        _exit(4);
    abort();
}

static void clock_start(void)
{
    struct itimerval limit = {.it_value = {.tv_sec = LIMIT}};
    setitimer(ITIMER_PROF, &limit, NULL);
}

/* What a sanitizer or a crash needs to be repeated. */
static void say_seed(const char *core_path, const char *exe)
{
    static const char *last;
    last = getenv("FUZZ_LAST");
    if (!last)
        return;
    FILE *file = fopen(last, "w");
    if (!file)
        return;
    fprintf(file, "fuzz_go %s %s 1 %llu\n", core_path, exe, (unsigned long long)seed);
    fclose(file);
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
    copy_core(argv[1]);
    learn(&options);
    signal(SIGPROF, late);
    for (seed = first; seed < first + count; seed++) {
        struct edit edits[EDITS_MAX];
        struct ca_session *session;
        state = seed * 0x9e3779b97f4a7c15ull;
        size_t changes = 1 + below(EDITS_MAX);
        for (size_t i = 0; i < changes; i++)
            edits[i] = change();
        say_seed(argv[1], argv[2]);
        clock_start();
        struct ca_error *error = ca_session_open_core(path, &options, &session);
        if (!error) {
            opened++;
            ask(session);
            ca_session_destroy(session);
        }
        ca_error_destroy(error);
        while (changes--)
            memcpy(edits[changes].at, edits[changes].before, 8);
    }
    printf("%llu seeds in %zu regions of %zu kinds: %llu opened, %llu refused\n",
           (unsigned long long)count, region_count, kind_count, (unsigned long long)opened,
           (unsigned long long)(count - opened));
    return 0;
}
