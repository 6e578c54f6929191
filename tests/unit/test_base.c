/* base/: what every other room is built from, with memory and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "base/strings.h"
#include "base/vec.h"
#include "fail_alloc.h"

static int all_allocs_work(void **state)
{
    (void)state;
    ca_test_fail_alloc(0);
    return 0;
}

static void error_carries_code_address_and_words(void **state)
{
    (void)state;
    struct ca_error *error = ca_error_at(CA_ERROR_FAULT, 0xc000012345, "cannot read %d bytes", 8);
    assert_int_equal(error->code, CA_ERROR_FAULT);
    assert_true(error->has_address);
    assert_int_equal(error->address, 0xc000012345);
    assert_ptr_equal(ca_error_prefix(error, "goroutine %d", 17), error);
    assert_string_equal(error->message, "goroutine 17: cannot read 8 bytes");
    ca_error_destroy(error);

    error = ca_error_create(CA_ERROR_IO, "%s", "no such file");
    assert_false(error->has_address);
    assert_string_equal(error->message, "no such file");
    ca_error_destroy(error);
    ca_error_destroy(NULL);
}

static void error_without_memory_is_the_static_one(void **state)
{
    (void)state;
    ca_test_fail_alloc(1);
    struct ca_error *error = ca_error_at(CA_ERROR_FAULT, 1, "lost");
    assert_ptr_equal(error, &ca_error_nomem);
    assert_int_equal(error->code, CA_ERROR_NOMEM);
    assert_false(error->has_address);
    assert_ptr_equal(ca_error_prefix(error, "more"), error);
    ca_error_destroy(error);
    assert_string_equal(ca_error_nomem.message, "out of memory");
}

static void vec_keeps_elements_across_growth(void **state)
{
    (void)state;
    CA_VEC(uint64_t) numbers = {0};
    for (uint64_t i = 0; i < 10000; i++)
        assert_true(ca_vec_push(&numbers, i * i));
    assert_int_equal(numbers.len, 10000);
    for (uint64_t i = 0; i < numbers.len; i++)
        assert_int_equal(numbers.data[i], i * i);
    ca_vec_deinit(&numbers);
    assert_null(numbers.data);
    assert_int_equal(numbers.cap, 0);
}

static void vec_that_cannot_grow_stays_as_it_was(void **state)
{
    (void)state;
    CA_VEC(uint32_t) numbers = {0};
    size_t full = 0;
    while (full == 0 || full < numbers.cap) {
        assert_true(ca_vec_push(&numbers, (uint32_t)full));
        full++;
    }
    ca_test_fail_alloc(1);
    assert_false(ca_vec_push(&numbers, 1));
    assert_int_equal(numbers.len, full);
    assert_int_equal(numbers.data[full - 1], full - 1);
    assert_false(ca_vec_reserve(&numbers, SIZE_MAX));
    assert_false(ca_vec_reserve(&numbers, SIZE_MAX / 4 + 1 - full));
    assert_true(ca_vec_push(&numbers, 1));
    ca_vec_deinit(&numbers);
}

static void map_finds_every_key_and_no_other(void **state)
{
    (void)state;
    /* Addresses as they come: many zero bits at the end, equal high halves. */
    static const uint64_t strides[] = {1, 8, 8192, UINT64_C(1) << 32};
    for (size_t s = 0; s < sizeof(strides) / sizeof(*strides); s++) {
        struct ca_map map = {0};
        assert_null(ca_map_get(&map, 0));
        if (s % 2)
            ca_map_expect(&map, 4000); /* that more came than expected is no error */
        for (uint64_t i = 0; i < 5000; i++) {
            bool fresh = false;
            uint64_t *value = ca_map_put(&map, i * strides[s], &fresh);
            assert_non_null(value);
            assert_true(fresh);
            assert_int_equal(*value, 0);
            *value = i + 1;
        }
        for (uint64_t i = 0; i < 5000; i++) {
            uint64_t *value = ca_map_get(&map, i * strides[s]);
            assert_non_null(value);
            assert_int_equal(*value, i + 1);
            bool fresh = true;
            assert_ptr_equal(ca_map_put(&map, i * strides[s], &fresh), value);
            assert_false(fresh);
        }
        assert_int_equal(map.len, 5000);
        assert_null(ca_map_get(&map, 5000 * strides[s]));
        assert_null(ca_map_get(&map, UINT64_MAX));
        ca_map_deinit(&map);
    }
}

static void map_survives_every_failed_allocation(void **state)
{
    (void)state;
    for (unsigned nth = 1;; nth++) {
        struct ca_map map = {0};
        unsigned refused = 0;
        ca_test_fail_alloc(nth);
        for (uint64_t i = 0; i < 100; i++) {
            uint64_t *value = ca_map_put(&map, i, NULL);
            if (value)
                *value = i;
            else
                refused++;
        }
        unsigned allocs = ca_test_count_allocs();
        ca_test_fail_alloc(0);
        assert_int_equal(map.len, 100 - refused);
        unsigned found = 0;
        for (uint64_t i = 0; i < 100; i++) {
            uint64_t *value = ca_map_get(&map, i);
            if (value) {
                assert_int_equal(*value, i);
                found++;
            }
        }
        assert_int_equal(found, map.len);
        ca_map_deinit(&map);
        if (allocs < nth) {
            assert_int_equal(refused, 0);
            assert_true(nth > 2);
            break;
        }
        assert_int_equal(refused, 1);
    }
}

static void strings_of_equal_text_are_one(void **state)
{
    (void)state;
    struct ca_strings strings = {0};
    const char *first[3000];
    for (int i = 0; i < 3000; i++) {
        first[i] = ca_strings_printf(&strings, "main.worker.func%d", i);
        assert_non_null(first[i]);
    }
    for (int i = 0; i < 3000; i++) {
        char text[64];
        int size = snprintf(text, sizeof(text), "main.worker.func%d+rest", i) - 5;
        assert_ptr_equal(ca_strings_intern(&strings, text, (size_t)size), first[i]);
        text[size] = 0;
        assert_string_equal(first[i], text);
    }
    assert_int_equal(strings.len, 3000);
    /* A prefix is another string, a NUL ends one, and a long one has room. */
    const char *prefix = ca_strings_intern(&strings, "main.work", 9);
    assert_string_equal(prefix, "main.work");
    assert_ptr_equal(ca_strings_intern(&strings, "main.work\0xyz", 13), prefix);
    assert_string_equal(ca_strings_intern(&strings, "", 0), "");
    static char lengthy[100001];
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    assert_string_equal(ca_strings_intern(&strings, lengthy, sizeof(lengthy)), lengthy);
    ca_strings_deinit(&strings);
}

static void strings_without_memory_give_null_and_go_on(void **state)
{
    (void)state;
    struct ca_strings strings = {0};
    for (unsigned nth = 1; nth <= 2; nth++) {
        ca_test_fail_alloc(nth);
        assert_null(ca_strings_intern(&strings, "a", 1));
        ca_strings_deinit(&strings);
    }
    assert_string_equal(ca_strings_intern(&strings, "a", 1), "a");
    ca_strings_deinit(&strings);
}

static void buf_grows_and_formats(void **state)
{
    (void)state;
    struct ca_buf buf = {0};
    char lengthy[1000];
    memset(lengthy, 'y', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = 0;
    ca_buf_puts(&buf, "a");
    ca_buf_putc(&buf, 'b');
    ca_buf_add(&buf, "c\0d", 3);
    ca_buf_printf(&buf, "%d", 42);
    assert_int_equal(buf.len, 7);
    assert_memory_equal(buf.data, "abc\0d42", 8);
    ca_buf_printf(&buf, "%s|%s", lengthy, "end");
    assert_int_equal(buf.len, 7 + 999 + 4);
    assert_string_equal(buf.data + 7 + 999, "|end");
    assert_false(buf.failed);
    ca_buf_deinit(&buf);
}

static void buf_remembers_that_it_failed(void **state)
{
    (void)state;
    struct ca_buf buf = {0};
    ca_buf_puts(&buf, "kept");
    ca_test_fail_alloc(1);
    ca_buf_printf(&buf, "%2000d", 1);
    assert_true(buf.failed);
    ca_buf_puts(&buf, "!");
    assert_string_equal(buf.data, "kept");
    ca_buf_deinit(&buf);
    assert_false(buf.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(error_carries_code_address_and_words, all_allocs_work),
        cmocka_unit_test_teardown(error_without_memory_is_the_static_one, all_allocs_work),
        cmocka_unit_test_teardown(vec_keeps_elements_across_growth, all_allocs_work),
        cmocka_unit_test_teardown(vec_that_cannot_grow_stays_as_it_was, all_allocs_work),
        cmocka_unit_test_teardown(map_finds_every_key_and_no_other, all_allocs_work),
        cmocka_unit_test_teardown(map_survives_every_failed_allocation, all_allocs_work),
        cmocka_unit_test_teardown(strings_of_equal_text_are_one, all_allocs_work),
        cmocka_unit_test_teardown(strings_without_memory_give_null_and_go_on, all_allocs_work),
        cmocka_unit_test_teardown(buf_grows_and_formats, all_allocs_work),
        cmocka_unit_test_teardown(buf_remembers_that_it_failed, all_allocs_work),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
