/* The second thread that looks ahead, and large memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/ahead.h"
#include "base/large.h"
#include "base/vec.h"

struct looks {
    _Atomic uint64_t count, last;
    _Atomic bool rises;
};

static void look(void *arg, uint64_t i)
{
    struct looks *looks = arg;
    if (looks->count > 0 && i <= looks->last)
        looks->rises = false;
    looks->last = i;
    looks->count++;
}

/* It ends whether the caller comes to the end or not, and never goes back or beyond the end. */
static void test_ahead_ends(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    static const uint64_t stops[] = {0, 1, 777, COUNT / 2, COUNT};
    for (size_t n = 0; n < sizeof(stops) / sizeof(*stops); n++) {
        struct looks looks = {.rises = true};
        struct ca_ahead *ahead = ca_ahead_start(look, &looks, COUNT);
        for (uint64_t i = 0; i < stops[n]; i++)
            ca_ahead_tell(ahead, i);
        ca_ahead_stop(ahead);
        assert_true(looks.rises);
        assert_true(looks.count <= COUNT);
        assert_true(looks.count == 0 || looks.last < COUNT);
    }
}

static void test_little_needs_no_thread(void **state)
{
    (void)state;
    struct looks looks = {.rises = true};
    struct ca_ahead *ahead = ca_ahead_start(look, &looks, 10);
    assert_null(ahead);
    ca_ahead_tell(ahead, 0);
    ca_ahead_stop(ahead);
    assert_int_equal(looks.count, 0);
}

/* An array that grows from small to large keeps what is in it. */
static void test_large_arrays_grow(void **state)
{
    (void)state;
    CA_VEC(uint64_t) list = {0};
    for (uint64_t i = 0; i < 3000000; i++)
        assert_true(ca_vec_push(&list, i * 3));
    for (uint64_t i = 0; i < 3000000; i++)
        assert_int_equal(list.data[i], i * 3);
    ca_vec_deinit(&list);
}

static void test_large_is_forgotten(void **state)
{
    (void)state;
    size_t size = 96 << 20;
    uint8_t *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(data, MAP_FAILED);
    data[0] = data[size / 2] = data[size - 1] = 7;
    ca_large_forget(data, size);
    /* Without a second processor nothing is done. */
    assert_int_equal(data[0], data[size / 2]);
    assert_int_equal(data[0], data[size - 1]);
    munmap(data, size);
    ca_large_forget(NULL, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ahead_ends),
        cmocka_unit_test(test_little_needs_no_thread),
        cmocka_unit_test(test_large_arrays_grow),
        cmocka_unit_test(test_large_is_forgotten),
    };
    return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
