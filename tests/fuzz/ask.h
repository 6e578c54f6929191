/* What the fuzzers share: their arguments, random numbers, a copy of a file that can be damaged and
 * mended again, everything that a session can be asked, and the clock that ends a seed that takes
 * too long. A fuzzer is
 *
 *   read_arguments(...); learn what can be damaged;
 *   while (next_seed()) { damage(...); try_session(...); mend(); }
 */
#ifndef FUZZ_ASK_H
#define FUZZ_ASK_H

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "coreanalyze.h"

enum {
    EDITS_MAX = 16,
#ifdef __SANITIZE_ADDRESS__
    LIMIT = 25, /* sanitizers make it several times slower */
#else
    LIMIT = 5,
#endif
};

static uint64_t state, seed, slowest_seed, opened, refused;
static double slowest;
static clock_t began;

/* The arguments: so many files and words, then SEEDS and FIRST. */
static struct {
    char *const *argv;
    int files;
    uint64_t first, count;
} run;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15ull;
    return ca_hash_u64(state);
}

static uint64_t below(uint64_t limit)
{
    return limit ? next_random() % limit : 0;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void read_arguments(int argc, char **argv, int files, const char *usage)
{
    if (argc < files + 2) {
        fprintf(stderr, "usage: %s %s SEEDS [FIRST]\n", argv[0], usage);
        exit(2);
    }
    run.argv = argv;
    run.files = files;
    run.count = strtoull(argv[files + 1], NULL, 0);
    run.first = argc > files + 2 ? strtoull(argv[files + 2], NULL, 0) : 1;
    seed = run.first - 1;
}

/* ---- a copy ---- */

/* A file's copy in memory, which a session opens by its path; holes stay holes. */
struct copy {
    uint8_t *bytes;
    uint64_t size;
    char path[64];
};

static void copy_file(const char *from, struct copy *ret)
{
    static uint8_t buffer[1 << 16], zero[1 << 16];
    struct stat st;
    int in = open(from, O_RDONLY), out = memfd_create("copy", 0);
    if (in < 0 || out < 0 || fstat(in, &st) || ftruncate(out, st.st_size))
        die(from);
    ret->size = (uint64_t)st.st_size;
    for (off_t at = 0; at < st.st_size;) {
        ssize_t got = pread(in, buffer, sizeof(buffer), at);
        if (got <= 0)
            die(from);
        if (memcmp(buffer, zero, (size_t)got) != 0 && pwrite(out, buffer, (size_t)got, at) != got)
            die(from);
        at += got;
    }
    close(in);
    ret->bytes = mmap(NULL, ret->size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    if (ret->bytes == MAP_FAILED)
        die("mmap");
    snprintf(ret->path, sizeof(ret->path), "/proc/self/fd/%d", out);
}

/* Where the bytes of a target's address lie in the copy of its core, or of its executable when that
 * is not moved; NULL: not there in one piece. */
static inline uint8_t *place_in(const struct copy *copy, uint64_t address, uint64_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)copy->bytes;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(copy->bytes + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        uint64_t at = address - phdr[i].p_vaddr;
        if (phdr[i].p_type == PT_LOAD && at < phdr[i].p_filesz && size <= phdr[i].p_filesz - at &&
            phdr[i].p_offset + at + size <= copy->size)
            return copy->bytes + phdr[i].p_offset + at;
    }
    return NULL;
}

/* ---- damage ---- */

/* Eight bytes that were changed, and what they were. */
struct edit {
    uint8_t *at, before[8];
};
static struct edit edits[EDITS_MAX];
static size_t edit_count;

static struct edit edit_at(uint8_t *at)
{
    struct edit edit = {.at = at};
    memcpy(edit.before, at, 8);
    return edit;
}

/* Another word for a pointer, a length or a number; other, size: a place that pointers may lead to.
 */
static inline uint64_t bad_word(uint64_t before, uint64_t other, uint64_t size)
{
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
        return other; /* cycles, and structures taken for others */
    case 6:
        return other + below(size);
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

/* Changes up to so many places. */
static void damage(struct edit (*change)(void), size_t most)
{
    edit_count = 1 + below(most < EDITS_MAX ? most : EDITS_MAX);
    for (size_t i = 0; i < edit_count; i++)
        edits[i] = change();
}

/* Backwards: a place may have been changed twice. */
static void mend(void)
{
    for (; edit_count; edit_count--)
        memcpy(edits[edit_count - 1].at, edits[edit_count - 1].before, 8);
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

static void ask_locals(struct ca_session *session, size_t task)
{
    const struct ca_local_info *locals;
    struct ca_regs regs;
    size_t count;
    for (size_t frame = 0; frame < 4; frame++) {
        ca_error_destroy(ca_session_frame_regs(session, task, frame, &regs));
        ca_error_destroy(ca_session_locals(session, task, frame, &locals, &count));
    }
}

static void ask(struct ca_session *session)
{
    static const char *const commands[] = {"leaks", "tasks", "info", "describe"};
    size_t count = ca_session_task_count(session);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        write_one(session, commands[i], NULL, true);
        write_one(session, commands[i], NULL, false);
    }
    for (int i = 0; i < 3 && count; i++) {
        char id[48];
        size_t task = below(count);
        ca_session_task_id(session, task, id);
        write_one(session, "task", id, i & 1);
        write_one(session, "explain", id, i & 1);
        ask_locals(session, task);
    }
}

/* ---- a seed ---- */

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

/* What a sanitizer or a crash needs to be repeated goes to FUZZ_LAST. */
static void say_seed(void)
{
    const char *last = getenv("FUZZ_LAST");
    FILE *file = last ? fopen(last, "w") : NULL;
    if (!file)
        return;
    for (int i = 0; i <= run.files; i++)
        fprintf(file, "%s ", run.argv[i]);
    fprintf(file, "1 %llu\n", (unsigned long long)seed);
    fclose(file);
}

/* Whether there is another one; random numbers begin again with each. */
static bool next_seed(void)
{
    if (++seed - run.first >= run.count)
        return false;
    state = seed * 0x9e3779b97f4a7c15ull;
    return true;
}

static void begin_seed(void)
{
    struct itimerval limit = {.it_value = {.tv_sec = LIMIT}};
    say_seed();
    signal(SIGPROF, late);
    setitimer(ITIMER_PROF, &limit, NULL);
    began = clock();
}

static void end_seed(void)
{
    double took = (double)(clock() - began) / CLOCKS_PER_SEC;
    if (took > slowest) {
        slowest = took;
        slowest_seed = seed;
    }
}

/* Opens what is damaged and asks it everything. */
static inline void try_session(const char *path, const struct ca_options *options)
{
    struct ca_session *session;
    begin_seed();
    struct ca_error *error = ca_session_open_core(path, options, &session);
    if (error) {
        refused++;
    } else {
        opened++;
        ask(session);
        ca_session_destroy(session);
    }
    ca_error_destroy(error);
    end_seed();
}

static void say_result(void)
{
    printf("%llu seeds: %llu opened, %llu refused, the slowest (%llu) took %.2f s",
           (unsigned long long)run.count, (unsigned long long)opened, (unsigned long long)refused,
           (unsigned long long)slowest_seed, slowest);
}

#endif
