/* unwind/stacks: equal stacks are one entry, wherever they lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unwind/stacks.h"

static void test_same_shape_is_one_stack(void **state)
{
    (void)state;
    struct ca_stacks stacks = {0};
    struct ca_raw_frame here[] = {{0x10, 0x1000, false}, {0x20, 0x1040, false}};
    struct ca_raw_frame there[] = {{0x10, 0x9000, false}, {0x20, 0x9040, false}};
    uint32_t first = ca_stacks_intern(&stacks, here, 2, CA_STACK_WHOLE);
    assert_int_not_equal(first, CA_STACK_NONE);
    assert_int_equal(ca_stacks_intern(&stacks, there, 2, CA_STACK_WHOLE), first);
    assert_int_equal(stacks.list.len, 1);
    ca_stacks_deinit(&stacks);
}

static void test_differences_are_kept_apart(void **state)
{
    (void)state;
    struct ca_stacks stacks = {0};
    struct ca_raw_frame base[] = {{0x10, 0x1000, false}, {0x20, 0x1040, false}};
    struct ca_raw_frame wider[] = {{0x10, 0x1000, false}, {0x20, 0x1048, false}};
    struct ca_raw_frame exact[] = {{0x10, 0x1000, true}, {0x20, 0x1040, false}};
    uint32_t ids[] = {
        ca_stacks_intern(&stacks, base, 2, CA_STACK_WHOLE),
        ca_stacks_intern(&stacks, wider, 2, CA_STACK_WHOLE),
        ca_stacks_intern(&stacks, exact, 2, CA_STACK_WHOLE),
        ca_stacks_intern(&stacks, base, 1, CA_STACK_WHOLE),
        ca_stacks_intern(&stacks, base, 2, CA_STACK_CUT),
    };
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(ids[i], ids[j]);
    ca_stacks_deinit(&stacks);
}

static void test_many_stacks_survive_growth(void **state)
{
    (void)state;
    struct ca_stacks stacks = {0};
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < 5000; i++) {
            struct ca_raw_frame frames[] = {{i, i * 16, false}, {i + 1, i * 16 + 8, false}};
            assert_int_equal(ca_stacks_intern(&stacks, frames, 2, CA_STACK_WHOLE), i);
        }
    assert_int_equal(stacks.list.len, 5000);
    ca_stacks_deinit(&stacks);
}

static void test_no_frames_is_no_stack(void **state)
{
    (void)state;
    struct ca_stacks stacks = {0};
    assert_int_equal(ca_stacks_intern(&stacks, NULL, 0, CA_STACK_WHOLE), CA_STACK_NONE);
    ca_stacks_deinit(&stacks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_shape_is_one_stack),
        cmocka_unit_test(test_differences_are_kept_apart),
        cmocka_unit_test(test_many_stacks_survive_growth),
        cmocka_unit_test(test_no_frames_is_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
