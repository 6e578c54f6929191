/* What the fuzzers share: random numbers, a copy of a file that can be damaged, everything that a
 * session can be asked, and the clock that ends a seed that takes too long. */
#ifndef FUZZ_ASK_H
#define FUZZ_ASK_H

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
#ifdef __SANITIZE_ADDRESS__
    LIMIT = 25, /* sanitizers make it several times slower */
#else
    LIMIT = 5,
#endif
};

static uint64_t state, seed, slowest_seed;
static double slowest;
static clock_t began;

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
    static const char *const commands[] = {"leaks", "tasks", "info"};
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
static void begin_seed(char *const *argv)
{
    struct itimerval limit = {.it_value = {.tv_sec = LIMIT}};
    const char *last = getenv("FUZZ_LAST");
    FILE *file = last ? fopen(last, "w") : NULL;
    if (file) {
        fprintf(file, "%s %s %s 1 %llu\n", argv[0], argv[1], argv[2], (unsigned long long)seed);
        fclose(file);
    }
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

/* Opens what is damaged and asks it everything; whether it could be opened. */
static bool __attribute__((unused))
try_session(const char *path, const struct ca_options *options, char *const *argv)
{
    struct ca_session *session;
    begin_seed(argv);
    struct ca_error *error = ca_session_open_core(path, options, &session);
    bool opened = !error;
    if (opened) {
        ask(session);
        ca_session_destroy(session);
    }
    ca_error_destroy(error);
    end_seed();
    return opened;
}

#endif
