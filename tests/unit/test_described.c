/* Described runtimes in this process's own memory: a small runtime of every shape that the language
 * knows, first whole, then with descriptions and memory that lie. 300 of each every day, 10,000
 * with CA_FULL=1: no crash, no hang, nothing that a sanitizer sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtimes/described/check.h"
#include "runtimes/described/find.h"

enum fz_state { FZ_FREE, FZ_READY, FZ_WAIT };

struct fz_link {
    struct fz_link *next, *prev;
};

struct fz_task {
    uint64_t magic, id;
    enum fz_state state;
    int reason;
    unsigned bits : 3, more : 5;
    struct fz_link ring, waiting;
    struct fz_task *next, *left, *right, *parent;
    void *object;
    uint64_t cases;
    int64_t since, deadline;
    uint64_t context[8];
    void *sp;
    char *low, *high;
    void (*entry)(void);
    const char *where;
    void *backtrace[4];
    char name[16];
};

struct fz_mutex {
    struct fz_task *owner;
    struct fz_link waiters;
};

struct fz_chan {
    uint64_t capacity, length;
    bool closed;
};

struct fz_block {
    struct fz_block *next;
    uint64_t count;
    struct fz_task tasks[8];
};

struct fz_all {
    struct fz_link ring;
    struct fz_task *list, *tree;
    struct fz_task **begin, **end;
    struct fz_task *array[16];
    uint64_t array_count, number;
    struct fz_block *blocks;
    struct fz_mutex mutex;
    struct fz_chan chan[2];
    struct fz_chan *select[2];
    struct fz_task tasks[32];
    struct fz_block block[2];
    char stack[65536];
};

enum { ARENA = 256 * 1024 };
/* In the arena. In .data: what the file maps is all that the target shows of the program. */
__attribute__((section(".data"))) struct fz_all *fz_all = NULL;

static const char description[] =
    "name: fz\n"
    "match: {symbol: fz_all}\n"
    "task:\n"
    "  type: fz_task\n"
    "  id: .id\n"
    "  name: .name\n"
    "  entry: .entry\n"
    "  since: .since\n"
    "  created-at: .where\n"
    "  created-by: .parent\n"
    "  created-backtrace: .backtrace\n"
    "  stack: {low: .low, high: .high}\n"
    "  labels: {bits: .bits, more: .more}\n"
    "tasks:\n"
    "  - {ring: fz_all->ring, item: . in fz_task.ring}\n"
    "  - {cycle: fz_all->ring.next, item: . in fz_task.ring, where: .magic == 0x1234567890}\n"
    "  - {list: fz_all->list, next: .next, where: .state != FZ_FREE}\n"
    "  - {tree: fz_all->tree, left: .left, right: .right}\n"
    "  - {array: fz_all->array, count: fz_all->array_count}\n"
    "  - {vector: fz_all->begin, end: fz_all->end}\n"
    "  - list: fz_all->blocks\n"
    "    next: .next\n"
    "    each:\n"
    "      - {array: .tasks, count: .count}\n"
    "  - scan: fz_task\n"
    "    where:\n"
    "      - .magic == 0x1234567890\n"
    "      - .low < .high && .sp within .low .. .high\n"
    "count: fz_all->number\n"
    "context: {jmp_buf: .context, mangled: false, registers: {sp: .sp}}\n"
    "time: {unit: us, clock: monotonic, now: latest}\n"
    "rules:\n"
    "  - {when: .state == FZ_FREE, exclude: free}\n"
    "  - {when: .state == FZ_READY && .bits & 1, state: runnable, reason-from: .state}\n"
    "  - {when: .reason == 1, object-ring: {ring: .waiting, item: . in fz_task.waiting,\n"
    "     head: . in fz_mutex.waiters}}\n"
    "  - {when: .reason == 2, object: .object as fz_chan, direction: send, deadline: .deadline}\n"
    "  - when: .reason == 3\n"
    "    wait: select\n"
    "    cases: {array: .object as fz_chan*, count: .cases, object: .}\n"
    "  - {when: .reason == 4, any-of: {list: .next, next: .next,\n"
    "     rules: [{when: .id > 3, wait: join, owner: \"&.\"}]}}\n"
    "  - {frame: \"fz*\", wait: event}\n"
    "objects:\n"
    "  fz_mutex: {wait: mutex, owner: .owner}\n"
    "  fz_chan: {wait: channel, capacity: .capacity, length: .length, closed: .closed}\n"
    "waits:\n"
    "  - {array: fz_all->array, count: \"8\", task: \"&.\", fd: .reason}\n"
    "own: {functions: [\"fz_*\"], files: [\"none.c\"], modules: [\"lib*\"]}\n";

static struct ca_target target;
static struct ca_modules *modules;
static struct ca_options options;
static char program[4096];
static uint64_t seed = 1;

static uint64_t random_u64(void)
{
    seed += 0x9e3779b97f4a7c15ull;
    return ca_hash_u64(seed);
}

static void fz_entry(void)
{
}

static void link_before(struct fz_link *head, struct fz_link *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

static void make_task(struct fz_task *task, uint64_t id)
{
    task->magic = 0x1234567890;
    task->id = id;
    task->state = FZ_WAIT;
    task->reason = (int)(id % 5);
    task->bits = id % 8;
    task->entry = fz_entry;
    task->where = "file.c:12";
    task->low = fz_all->stack;
    task->high = fz_all->stack + sizeof(fz_all->stack);
    task->sp = fz_all->stack + 1024 + id * 256;
    task->context[6] = (uintptr_t)task->sp;
    task->context[7] = (uintptr_t)fz_entry;
    task->since = 1000 + (int64_t)id;
    task->deadline = 5000;
    task->parent = &fz_all->tasks[0];
    task->backtrace[0] = (void *)fz_entry;
    snprintf(task->name, sizeof(task->name), "t%u", (unsigned)id);
    task->waiting.next = task->waiting.prev = &task->waiting;
    task->object = &fz_all->chan[id % 2];
    if (task->reason == 1)
        link_before(&fz_all->mutex.waiters, &task->waiting);
    if (task->reason == 3) {
        task->object = fz_all->select;
        task->cases = 2;
    }
}

static void make_all(void)
{
    memset(fz_all, 0, ARENA);
    fz_all->ring.next = fz_all->ring.prev = &fz_all->ring;
    fz_all->mutex.waiters.next = fz_all->mutex.waiters.prev = &fz_all->mutex.waiters;
    fz_all->mutex.owner = &fz_all->tasks[7];
    fz_all->select[0] = &fz_all->chan[0];
    fz_all->select[1] = &fz_all->chan[1];
    for (unsigned i = 0; i < 32; i++)
        make_task(&fz_all->tasks[i], i + 1);
    for (unsigned i = 0; i < 8; i++)
        link_before(&fz_all->ring, &fz_all->tasks[i].ring);
    for (unsigned i = 8; i < 16; i++) {
        fz_all->tasks[i].next = fz_all->list;
        fz_all->list = &fz_all->tasks[i];
    }
    fz_all->tree = &fz_all->tasks[16];
    fz_all->tasks[16].left = &fz_all->tasks[17];
    fz_all->tasks[16].right = &fz_all->tasks[18];
    fz_all->tasks[18].left = &fz_all->tasks[19];
    for (unsigned i = 0; i < 12; i++)
        fz_all->array[i] = &fz_all->tasks[20 + i];
    fz_all->array_count = 8;
    fz_all->begin = &fz_all->array[8];
    fz_all->end = &fz_all->array[12];
    for (unsigned b = 0; b < 2; b++) {
        fz_all->block[b].next = fz_all->blocks;
        fz_all->blocks = &fz_all->block[b];
        fz_all->block[b].count = 4;
        for (unsigned i = 0; i < 4; i++)
            make_task(&fz_all->block[b].tasks[i], 100 + b * 10 + i);
    }
    fz_all->number = 40;
}

/* A copy of this program's own memory, by the kernel: a sanitizer would mind the gaps between
 * variables, which a scan does not know. Never freed: the target needs it to the end. */
static const uint8_t *copy_of(uint64_t start, uint64_t end)
{
    size_t size = end - start;
    FILE *memory = fopen("/proc/self/mem", "r");
    uint8_t *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool ok = memory && copy != MAP_FAILED &&
              pread(fileno(memory), copy, size, (off_t)start) == (ssize_t)size;
    if (memory)
        fclose(memory);
    return ok ? copy : NULL;
}

/* This process as a target: its executable, with the arena as the only memory that it writes. */
static int open_target(void **state)
{
    (void)state;
    char line[4096 + 128];
    fz_all = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);
    FILE *maps = fopen("/proc/self/maps", "r");
    if (fz_all == MAP_FAILED || size <= 0 || !maps)
        return -1;
    target.kind = CA_TARGET_CORE;
#ifdef __aarch64__
    target.arch = CA_ARCH_ARM64;
#else
    target.arch = CA_ARCH_AMD64;
#endif
    target.pid = getpid();
    target.now_ns = target.wall_ns = target.uptime_ns = CA_UNKNOWN;
    target.exe_hint = program;
    while (fgets(line, sizeof(line), maps)) {
        unsigned long start, end, offset;
        char flags[8], path[4096] = "";
        if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095s", &start, &end, flags, &offset, path) < 4)
            continue;
        bool arena = start <= (uintptr_t)fz_all && (uintptr_t)fz_all < end;
        if (!arena && strcmp(path, program) != 0)
            continue;
        struct ca_mapping mapping = {.start = arena ? (uintptr_t)fz_all : start,
                                     .end = arena ? (uintptr_t)fz_all + ARENA : end,
                                     .flags = (flags[0] == 'r' ? 4u : 0) |
                                              (flags[1] == 'w' ? 2u : 0) |
                                              (flags[2] == 'x' ? 1u : 0),
                                     .file_offset = offset,
                                     .path = arena ? NULL : program};
        struct ca_segment segment = {mapping.start, mapping.end, (const uint8_t *)fz_all};
        if (!arena && flags[0] == 'r' && !(segment.bytes = copy_of(start, end)))
            return -1;
        if (!ca_vec_push(&target.mappings, mapping) ||
            (flags[0] == 'r' && !ca_vec_push(&target.segments, segment)))
            return -1;
    }
    fclose(maps);
    struct ca_thread thread = {.tid = target.pid};
    struct ca_gaps gaps = {0};
    options.size = sizeof(options);
    struct ca_error *error = ca_vec_push(&target.threads, thread)
                                 ? ca_modules_open(&target, &options, &gaps, &modules)
                                 : &ca_error_nomem;
    ca_gaps_deinit(&gaps);
    ca_error_destroy(error);
    return error ? -1 : 0;
}

static int close_target(void **state)
{
    (void)state;
    ca_modules_destroy(modules);
    ca_vec_deinit(&target.mappings);
    ca_vec_deinit(&target.segments);
    ca_vec_deinit(&target.threads);
    ca_strings_deinit(&target.strings);
    munmap(fz_all, ARENA);
    return 0;
}

/* Everything that a session does with one description. Returns the number of tasks, -1: refused. */
static long run_one(const char *text, size_t size, long *counted, size_t *gap_count)
{
    struct ca_gaps gaps = {0};
    struct ca_context context = {&target, modules, &gaps, &options};
    struct ca_tasks tasks = {0};
    struct ca_described *self = NULL;
    long found = -1;
    struct ca_error *error = ca_described_open(&context, "test", text, size, NULL, &self);
    if (!error && self) {
        error = self->base.ops->collect(&self->base, &tasks);
        assert_true(ca_tasks_sort(&tasks));
        found = (long)tasks.list.len;
        if (counted)
            *counted = (long)self->base.counted;
        for (size_t i = 0; !error && i < tasks.stacks.list.len; i++) {
            struct ca_frames frames = {0};
            const struct ca_stack *stack = &tasks.stacks.list.data[i];
            error = self->base.ops->name_stack(&self->base, &tasks,
                                               tasks.stacks.frames.data + stack->first,
                                               stack->count, &frames);
            ca_vec_deinit(&frames.list);
        }
        struct ca_checks checks = {0};
        ca_error_destroy(ca_checks_make(&self->base, &checks));
        ca_vec_deinit(&checks.list);
    }
    if (error)
        assert_non_null(error->message);
    ca_error_destroy(error);
    if (self)
        ca_described_destroy(&self->base);
    ca_tasks_deinit(&tasks);
    if (gap_count)
        *gap_count = gaps.list.len;
    ca_gaps_deinit(&gaps);
    return found;
}

static void whole(void **state)
{
    (void)state;
    long counted = 0;
    size_t gaps = 0;
    make_all();
    assert_int_equal(run_one(description, strlen(description), &counted, &gaps), 40);
    assert_int_equal(counted, 40);
    assert_int_equal(gaps, 0);
}

static void a_broken_ring_is_a_gap(void **state)
{
    (void)state;
    size_t gaps = 0;
    make_all();
    fz_all->tasks[3].ring.next = &fz_all->tasks[1].ring;
    assert_int_equal(run_one(description, strlen(description), NULL, &gaps), 40);
    assert_true(gaps > 0);
    make_all();
    fz_all->tasks[3].ring.next = (struct fz_link *)16;
    assert_true(run_one(description, strlen(description), NULL, &gaps) >= 39);
    assert_true(gaps > 0);
}

static unsigned rounds(void)
{
    const char *full = getenv("CA_FULL");
    return full && *full && strcmp(full, "0") != 0 ? 10000 : 300;
}

static uint64_t odd_word(void)
{
    switch (random_u64() % 6) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX >> random_u64() % 64;
    case 2:
        return (uintptr_t)fz_all + random_u64() % ARENA;
    case 3:
        return (uintptr_t)fz_all + (random_u64() % ARENA & ~7ull);
    case 4:
        return random_u64() % 4096;
    default:
        return random_u64();
    }
}

static void lie(void)
{
    uint64_t *words = (uint64_t *)fz_all;
    size_t used = offsetof(struct fz_all, stack) / 8;
    for (uint64_t n = 1 + random_u64() % 12; n; n--)
        words[random_u64() % used] = odd_word();
}

static size_t mutate(char *text, size_t size, size_t room)
{
    static const char *const words[] = {"0xffffffffffffffff",
                                        "-1",
                                        "&.",
                                        "[99999999]",
                                        "->",
                                        ".next",
                                        " as fz_task",
                                        "^",
                                        "..",
                                        "*",
                                        " in fz_task.ring",
                                        "{",
                                        "}",
                                        "\n  - ",
                                        ": ",
                                        "fz_all",
                                        "\"",
                                        " & 7",
                                        " + 8",
                                        "|",
                                        "?:",
                                        "each:",
                                        "(",
                                        ")",
                                        "cases",
                                        "\xff",
                                        "0",
                                        ".[5]",
                                        "where: ",
                                        "within"};
    for (uint64_t n = 1 + random_u64() % 4; n; n--) {
        size_t at = size ? random_u64() % size : 0, len = random_u64() % 24;
        const char *word = words[random_u64() % (sizeof(words) / sizeof(*words))];
        switch (random_u64() % 4) {
        case 0:
            if (size)
                text[at] = (char)random_u64();
            break;
        case 1: /* cut */
            if (at + len < size) {
                memmove(text + at, text + at + len, size - at - len);
                size -= len;
            }
            break;
        case 2: /* double */
            if (at + len < size && size + len < room) {
                memmove(text + at + len, text + at, size - at);
                size += len;
            }
            break;
        default:
            len = strlen(word);
            if (size + len < room) {
                memmove(text + at + len, text + at, size - at);
                memcpy(text + at, word, len);
                size += len;
            }
        }
    }
    return size;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void in_time(double start, uint64_t before)
{
    if (seconds() - start > 20)
        fail_msg("seed %llu took longer than 20 s", (unsigned long long)before);
}

static void memory_that_lies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rounds(); i++) {
        uint64_t before = seed;
        double start = seconds();
        make_all();
        lie();
        assert_true(run_one(description, strlen(description), NULL, NULL) >= 0);
        in_time(start, before);
    }
}

static void descriptions_that_lie(void **state)
{
    (void)state;
    char text[sizeof(description) + 4096];
    unsigned fitting = 0;
    make_all();
    for (unsigned i = 0; i < rounds(); i++) {
        uint64_t before = seed;
        double start = seconds();
        memcpy(text, description, sizeof(description));
        size_t size = mutate(text, strlen(description), sizeof(text));
        fitting += run_one(text, size, NULL, NULL) >= 0;
        in_time(start, before);
    }
    assert_true(fitting > rounds() / 50); /* else nothing behind the parser was tried */
}

static void shipped_descriptions_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ca_embedded_description_count; i++) {
        const struct ca_embedded_description *e = &ca_embedded_descriptions[i];
        assert_int_equal(run_one(e->text, e->size, NULL, NULL), -1); /* and match nothing here */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(a_broken_ring_is_a_gap),
        cmocka_unit_test(shipped_descriptions_parse),
        cmocka_unit_test(memory_that_lies),
        cmocka_unit_test(descriptions_that_lie),
    };
    return cmocka_run_group_tests(tests, open_target, close_target);
}
