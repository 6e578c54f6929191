/* Files that lose bytes while they are mapped: base/mapped.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapped.h"

enum { PAGE = 4096, PAGES = 64, SIZE = PAGE * PAGES };

static int make_file(void)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    char page[PAGE];
    memset(page, 'x', sizeof(page));
    assert_true(fd >= 0);
    for (int i = 0; i < PAGES; i++)
        assert_int_equal(write(fd, page, PAGE), PAGE);
    return fd;
}

static unsigned sum_first(const volatile char *bytes)
{
    unsigned sum = 0;
    for (int i = 0; i < PAGES; i++)
        sum += bytes[i * PAGE] == 'x';
    return sum;
}

static void expect_message(const void *bytes, const char *word)
{
    struct ca_error *error = ca_mapped_check(bytes, "the name");
    assert_non_null(error);
    assert_int_equal(error->code, CA_ERROR_IO);
    assert_non_null(strstr(error->message, "the name"));
    assert_non_null(strstr(error->message, word));
    ca_error_destroy(error);
}

static void cut_file_reads_as_zeros(void **state)
{
    (void)state;
    for (int writable = 0; writable < 2; writable++) {
        int fd = make_file();
        const char *bytes = ca_mapped_create(fd, SIZE, writable);
        assert_non_null(bytes);
        CA_MAPPED_SCOPE;
        assert_int_equal(sum_first(bytes), PAGES);
        assert_null(ca_mapped_check(bytes, "the name"));
        assert_int_equal(ftruncate(fd, 10 * PAGE + 1), 0);
        assert_int_equal(sum_first(bytes), 11);
        expect_message(bytes, "cut to 40961 bytes");
        assert_true(ca_mapped_any_lost());
        uint64_t size;
        assert_true(ca_mapped_changed(bytes, &size));
        assert_int_equal(size, 10 * PAGE + 1);
        close(fd);
        ca_mapped_destroy(bytes, SIZE);
        assert_null(ca_mapped_check(bytes, "gone"));
    }
}

static void what_others_map_is_guarded(void **state)
{
    (void)state;
    int fd = make_file();
    char *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    CA_MAPPED_SCOPE;
    assert_true(ca_mapped_watch(bytes, SIZE));
    assert_null(ca_mapped_check(bytes, "the name"));
    assert_int_equal(ftruncate(fd, PAGE), 0);
    assert_int_equal(sum_first(bytes), 1);
    expect_message(bytes, "cannot be read at byte 4096");
    ca_mapped_unwatch(bytes);
    munmap(bytes, SIZE);

    assert_true(ca_mapped_watch_thread());
    assert_false(ca_mapped_unwatch_thread());
    bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_true(ca_mapped_watch_thread());
    assert_int_equal(sum_first(bytes), 1);
    assert_true(ca_mapped_unwatch_thread());
    munmap(bytes, SIZE);
    close(fd);
}

static sigjmp_buf away;

static void jump(int number)
{
    siglongjmp(away, number);
}

static void jump_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    siglongjmp(away, info->si_addr ? number : -1);
}

/* A mapping that is not ours: the handler of the host gets the signal, as it was set up. */
static void expect_jump(const volatile char *bytes, bool inside)
{
    if (!sigsetjmp(away, 1)) {
        if (inside)
            ca_mapped_enter();
        (void)bytes[PAGE];
        fail_msg("no SIGBUS");
    }
    if (inside)
        ca_mapped_leave(NULL);
}

static void other_faults_reach_the_host(void **state)
{
    (void)state;
    int fd = make_file();
    char *bytes = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_int_equal(ftruncate(fd, PAGE), 0);
    struct sigaction plain = {.sa_handler = jump}, before, now;
    struct sigaction info = {.sa_sigaction = jump_info, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    assert_int_equal(sigaction(SIGBUS, &plain, &before), 0);
    expect_jump(bytes, false);
    expect_jump(bytes, true);
    assert_int_equal(sigaction(SIGBUS, &info, &now), 0);
    assert_ptr_equal(now.sa_handler, jump);
    expect_jump(bytes, true);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_ptr_equal(now.sa_sigaction, jump_info);
    assert_int_equal(now.sa_flags & (SA_SIGINFO | SA_ONSTACK), SA_SIGINFO | SA_ONSTACK);
    sigaction(SIGBUS, &before, NULL);
    munmap(bytes, SIZE);
    close(fd);
}

/* A handler that the host installs in the middle of a call stays. */
static void a_new_handler_is_kept(void **state)
{
    (void)state;
    struct sigaction plain = {.sa_handler = jump}, before, now;
    sigaction(SIGBUS, NULL, &before);
    ca_mapped_enter();
    sigaction(SIGBUS, &plain, NULL);
    ca_mapped_leave(NULL);
    sigaction(SIGBUS, NULL, &now);
    assert_ptr_equal(now.sa_handler, jump);
    sigaction(SIGBUS, &before, NULL);
}

enum end { FAULT, SENT, SENT_IGNORED };

static int status_of(enum end end)
{
    pid_t pid = fork();
    if (!pid) {
        int fd = make_file();
        const volatile char *bytes = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
        signal(SIGBUS, end == SENT_IGNORED ? SIG_IGN : SIG_DFL);
        CA_MAPPED_SCOPE;
        if (end != FAULT)
            raise(SIGBUS);
        else if (!ftruncate(fd, 0))
            (void)bytes[0];
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void without_a_handler_it_ends_as_ever(void **state)
{
    (void)state;
#ifndef __SANITIZE_ADDRESS__
    int status = status_of(FAULT);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
#endif
    int sent = status_of(SENT);
    assert_true(WIFSIGNALED(sent));
    assert_int_equal(WTERMSIG(sent), SIGBUS);
    assert_int_equal(status_of(SENT_IGNORED), 0);
}

static void *reader(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        int fd = make_file();
        const char *bytes = ca_mapped_create(fd, SIZE, i & 1);
        CA_MAPPED_SCOPE;
        if (sum_first(bytes) != PAGES || ftruncate(fd, (i % PAGES) * PAGE) ||
            sum_first(bytes) != (unsigned)(i % PAGES))
            return "wrong bytes";
        struct ca_error *error = ca_mapped_check(bytes, "it");
        if (!error)
            return "no loss is told";
        ca_error_destroy(error);
        ca_mapped_destroy(bytes, SIZE);
        close(fd);
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct sigaction before, now;
    sigaction(SIGBUS, NULL, &before);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            fail_msg("%s", (const char *)wrong);
    }
    sigaction(SIGBUS, NULL, &now);
    assert_ptr_equal(now.sa_handler, before.sa_handler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_file_reads_as_zeros),
        cmocka_unit_test(what_others_map_is_guarded),
        cmocka_unit_test(other_faults_reach_the_host),
        cmocka_unit_test(a_new_handler_is_kept),
        cmocka_unit_test(without_a_handler_it_ends_as_ever),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
