/* A mark for each of many addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/marks.h"

static void test_marks_are_kept(void **state)
{
    (void)state;
    struct ca_marks marks = {0};
    bool fresh;
    assert_int_equal(ca_marks_get(&marks, 0xc000000000), 0);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_true(ca_marks_put(&marks, 0xc000000000 + i * 72, i % 3 + 1, &fresh));
        assert_true(fresh);
    }
    for (uint64_t i = 0; i < 100000; i++) {
        assert_int_equal(ca_marks_get(&marks, 0xc000000000 + i * 72), i % 3 + 1);
        assert_int_equal(ca_marks_get(&marks, 0xc000000000 + i * 72 + 8), 0);
    }
    assert_true(ca_marks_put(&marks, 0xc000000000, 3, &fresh));
    assert_false(fresh);
    assert_int_equal(ca_marks_get(&marks, 0xc000000000), 1);
    ca_marks_deinit(&marks);
}

static void test_pages_apart(void **state)
{
    (void)state;
    struct ca_marks marks = {0};
    bool fresh;
    static const uint64_t far[] = {0, UINT64_MAX - 7, 1ull << 63, 65528, 65536};
    for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++) {
        assert_true(ca_marks_put(&marks, far[i], 2, &fresh));
        assert_true(fresh);
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++)
        assert_int_equal(ca_marks_get(&marks, far[i]), 2);
    assert_int_equal(ca_marks_get(&marks, 65544), 0);
    assert_int_equal(ca_marks_get(&marks, 1 << 20), 0);
    ca_marks_deinit(&marks);
}

static void test_no_two_in_the_same_place(void **state)
{
    (void)state;
    struct ca_marks marks = {0};
    bool fresh;
    assert_true(ca_marks_put(&marks, 0xc000000008, 1, &fresh));
    assert_true(fresh);
    assert_true(ca_marks_put(&marks, 0xc000000010, 2, &fresh));
    assert_false(fresh);
    assert_true(ca_marks_put(&marks, 0xc000000044, 2, &fresh));
    assert_false(fresh);
    assert_int_equal(ca_marks_get(&marks, 0xc000000008), 1);
    assert_int_equal(ca_marks_get(&marks, 0xc000000000), 0);
    assert_int_equal(ca_marks_get(&marks, 0xc000000009), 0);
    assert_int_equal(ca_marks_get(&marks, 0xc000000010), 0);
    assert_int_equal(ca_marks_get(&marks, 0xc000000044), 0);
    ca_marks_deinit(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_are_kept),
        cmocka_unit_test(test_pages_apart),
        cmocka_unit_test(test_no_two_in_the_same_place),
    };
    return cmocka_run_group_tests_name("marks", tests, NULL, NULL);
}
