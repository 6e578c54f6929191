/* Live processes: children of this one that spin, sleep, are stopped, or are held by another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/target.h"

/* Shared with the children. */
static struct shared {
    atomic_ulong spins, signals;
    atomic_int ready;
} * shared;

static char room[1 << 20]; /* nobody reads the middle of it */
static char marker[64] = "a marker in the child's memory";

static void *spin(void *arg)
{
    for (;;)
        atomic_fetch_add(&shared->spins, 1);
    return arg;
}

static void *sleeper(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void *nothing(void *arg)
{
    return arg;
}

/* Makes threads all the time: attaching must get all of them. */
static void *breeder(void *arg)
{
    for (;;) {
        pthread_t thread;
        if (!pthread_create(&thread, NULL, nothing, NULL))
            pthread_join(thread, NULL);
    }
    return arg;
}

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&shared->signals, 1);
}

enum { WITH_BREEDER = 1, WITHOUT_MAIN = 2 };

static void child(int how)
{
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, count_signal);
    for (int i = 0; i < 5; i++)
        pthread_create(&thread, NULL, sleeper, NULL);
    pthread_create(&thread, NULL, spin, NULL);
    if (how & WITH_BREEDER)
        pthread_create(&thread, NULL, breeder, NULL);
    atomic_store(&shared->ready, 1);
    if (how & WITHOUT_MAIN)
        syscall(SYS_exit, 0);
    sleeper(NULL);
}

static pid_t start(int how)
{
    atomic_store(&shared->ready, 0);
    atomic_store(&shared->signals, 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        child(how);
    for (int i = 0; i < 5000 && !atomic_load(&shared->ready); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&shared->ready), 1);
    usleep(20000);
    return pid;
}

static void finish(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool spins(void)
{
    for (int i = 0; i < 200; i++) {
        unsigned long before = atomic_load(&shared->spins);
        usleep(10000);
        if (atomic_load(&shared->spins) != before)
            return true;
    }
    return false;
}

static char state_of(pid_t pid)
{
    char path[64], line[256], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "State: %c", &state) == 1)
            break;
    if (file)
        fclose(file);
    return state;
}

static struct ca_target *attach(pid_t pid, bool stop, struct ca_gaps *gaps)
{
    struct ca_target *target = NULL;
    struct ca_error *error = ca_target_attach(pid, stop, gaps, &target);
    if (error)
        fail_msg("%s", error->message);
    return target;
}

static void test_attach(void **state)
{
    (void)state;
    struct ca_gaps gaps = {0};
    pid_t pid = start(WITH_BREEDER);
    struct ca_target *target = attach(pid, true, &gaps);
    unsigned long before = atomic_load(&shared->spins);
    char text[64];
    usleep(30000);
    assert_int_equal(atomic_load(&shared->spins), before);
    assert_true(target->threads.len >= 8);
    for (size_t i = 0; i < target->threads.len; i++) {
        uint64_t pc, sp, word;
        const struct ca_thread *thread = &target->threads.data[i];
        assert_true(ca_target_pc(target->arch, &thread->regs, &pc));
        assert_true(ca_target_sp(target->arch, &thread->regs, &sp));
        assert_true(ca_target_read_u64(target, sp, &word));
        assert_true(ca_target_mapping(target, pc)->flags & 1);
        assert_non_null(thread->vector);
    }
    assert_true(ca_target_read(target, (uintptr_t)marker, text, sizeof(text)));
    assert_string_equal(text, marker);
    assert_false(ca_target_read(target, 8, text, 8));
    assert_false(ca_target_read(target, UINT64_MAX - 7, text, 8));
    assert_true(target->uptime_ns >= 0 && target->uptime_ns < 60000000000);
    assert_true(target->now_ns > 0);
    ca_target_release(target);
    assert_true(target->stopped_ns >= 30000000 && target->stopped_ns < 20000000000);
    assert_true(spins());
    /* What was read stays, the rest is gone. */
    assert_true(ca_target_read(target, (uintptr_t)marker, text, sizeof(text)));
    assert_false(ca_target_read(target, (uintptr_t)target - (1ull << 30), text, 8));
    assert_null(target->load);
    ca_target_destroy(target);
    assert_int_equal(gaps.list.len, 0);
    ca_gaps_deinit(&gaps);
    finish(pid);
}

static void test_stays_stopped(void **state)
{
    (void)state;
    struct ca_gaps gaps = {0};
    pid_t pid = start(0);
    kill(pid, SIGSTOP);
    for (int i = 0; i < 1000 && state_of(pid) != 'T'; i++)
        usleep(1000);
    ca_target_destroy(attach(pid, true, &gaps));
    usleep(50000);
    assert_int_equal(state_of(pid), 'T');
    unsigned long before = atomic_load(&shared->spins);
    usleep(30000);
    assert_int_equal(atomic_load(&shared->spins), before);
    kill(pid, SIGCONT);
    assert_true(spins());
    ca_gaps_deinit(&gaps);
    finish(pid);
}

static void test_signals_arrive(void **state)
{
    (void)state;
    struct ca_gaps gaps = {0};
    pid_t pid = start(0);
    /* Some of these are on their way while we attach. None may get lost. */
    unsigned long sent = 0;
    for (int i = 0; i < 50; i++) {
        unsigned long seen = atomic_load(&shared->signals);
        kill(pid, SIGUSR1);
        sent++;
        ca_target_destroy(attach(pid, true, &gaps));
        for (int wait = 0; wait < 2000 && atomic_load(&shared->signals) == seen; wait++)
            usleep(500);
    }
    assert_int_equal(atomic_load(&shared->signals), sent);
    ca_gaps_deinit(&gaps);
    finish(pid);
}

static void test_without_main_thread(void **state)
{
    (void)state;
    struct ca_gaps gaps = {0};
    char text[64];
    pid_t pid = start(WITHOUT_MAIN);
    struct ca_target *target = attach(pid, true, &gaps);
    assert_int_equal(target->threads.len, 6);
    assert_true(ca_target_read(target, (uintptr_t)marker, text, sizeof(text)));
    assert_string_equal(text, marker);
    ca_target_destroy(target);
    assert_true(spins());
    ca_gaps_deinit(&gaps);
    finish(pid);
}

static void test_no_stop(void **state)
{
    (void)state;
    struct ca_gaps gaps = {0};
    char text[64];
    pid_t pid = start(0);
    struct ca_target *target = attach(pid, false, &gaps);
    assert_true(spins());
    assert_int_equal(target->threads.len, 7);
    assert_true(ca_target_read(target, (uintptr_t)marker, text, sizeof(text)));
    assert_int_equal(gaps.list.len, 1);
    ca_target_release(target);
    assert_int_equal(target->stopped_ns, 0);
    ca_target_destroy(target);
    ca_gaps_deinit(&gaps);
    finish(pid);
}

/* Read while it runs, then stopped: what is here is copied again. */
static void test_freeze(void **state)
{
    (void)state;
    struct ca_gaps gaps = {0};
    bool moved = true;
    unsigned long then, now;
    pid_t pid = start(WITH_BREEDER);
    struct ca_target *target = attach(pid, false, &gaps);
    assert_true(ca_target_read(target, (uintptr_t)&shared->spins, &then, sizeof(then)));
    assert_true(spins());
    for (int i = 0; i < 3; i++) {
        struct ca_error *error = ca_target_freeze(target, &gaps, &moved);
        assert_null(error);
        assert_false(moved);
        unsigned long real = atomic_load(&shared->spins);
        int64_t before = target->stopped_ns;
        assert_true(target->threads.len >= 8);
        for (size_t t = 0; t < target->threads.len; t++)
            assert_non_null(target->threads.data[t].vector);
        usleep(10000);
        ca_target_release(target);
        assert_true(target->stopped_ns >= before + 10000000);
        assert_true(spins());
        assert_true(ca_target_read(target, (uintptr_t)&shared->spins, &now, sizeof(now)));
        assert_int_equal(now, real);
        assert_true(now > then);
        then = now;
        /* Mapped, but never read while that was possible. */
        assert_int_equal(target->missed, 0);
        assert_false(ca_target_read(target, (uintptr_t)room + sizeof(room) / 2, &now, 1));
        assert_int_equal(target->missed, 1);
    }
    ca_target_destroy(target);
    ca_gaps_deinit(&gaps);
    finish(pid);
}

/* A reader that dies while it holds the target: the target goes on. */
static void test_reader_dies(void **state)
{
    (void)state;
    pid_t pid = start(0);
    pid_t reader = fork();
    if (!reader) {
        struct ca_gaps gaps = {0};
        struct ca_target *target;
        _exit(ca_target_attach(pid, true, &gaps, &target) ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    assert_true(spins());
    finish(pid);
}

static void refuse(int64_t pid, enum ca_error_code code, const char *words)
{
    struct ca_gaps gaps = {0};
    struct ca_target *target;
    struct ca_error *error = ca_target_attach(pid, true, &gaps, &target);
    assert_non_null(error);
    assert_int_equal(error->code, code);
    assert_non_null(strstr(error->message, words));
    ca_error_destroy(error);
    ca_gaps_deinit(&gaps);
}

static void test_refusals(void **state)
{
    (void)state;
    char words[64];
    refuse(0, CA_ERROR_INVALID, "not a process id");
    refuse(-5, CA_ERROR_INVALID, "not a process id");
    refuse(getpid(), CA_ERROR_INVALID, "is this one");
    pid_t pid = fork();
    if (!pid)
        _exit(0);
    for (int i = 0; i < 1000 && state_of(pid) != 'Z'; i++)
        usleep(1000);
    refuse(pid, CA_ERROR_NOT_FOUND, "zombie");
    waitpid(pid, NULL, 0);
    refuse(pid, CA_ERROR_NOT_FOUND, "no process");
    /* One that another process holds: named with its pid and name. */
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid = start(0);
    pid_t tracer = fork();
    if (!tracer) {
        prctl(PR_SET_NAME, "the-tracer");
        long failed = ptrace(PTRACE_SEIZE, pid, NULL, NULL);
        if (write(ready[1], failed ? "n" : "y", 1) == 1)
            pause();
        _exit(0);
    }
    char answer;
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    snprintf(words, sizeof(words), "process %d (the-tracer)", tracer);
    refuse(pid, CA_ERROR_BUSY, words);
    assert_true(spins());
    finish(tracer);
    finish(pid);
}

static int set_up(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attach),         cmocka_unit_test(test_stays_stopped),
        cmocka_unit_test(test_signals_arrive), cmocka_unit_test(test_without_main_thread),
        cmocka_unit_test(test_no_stop),        cmocka_unit_test(test_reader_dies),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_freeze),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
