/* What is kept of waits: all of it comes back, and what is alike takes room once. */
#include "runtimes/waits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "coreanalyze.h"

static struct ca_wait on_channel(uint64_t address)
{
    struct ca_wait wait = ca_wait_unknown(CA_WAIT_CHANNEL);
    wait.has_address = true;
    wait.channel.address = address;
    wait.channel.capacity = 3;
    return wait;
}

static uint32_t keep(struct ca_waits *waits, struct ca_wait wait)
{
    uint32_t index;
    assert_true(ca_waits_add(waits, &wait, &index));
    return index;
}

static void test_alike(void **state)
{
    (void)state;
    struct ca_waits waits = {0};
    for (uint64_t i = 0; i < 5000; i++) {
        struct ca_wait wait = on_channel(0xc000000000 + 96 * i);
        wait.deadline_ns = (int64_t)i;
        assert_int_equal(keep(&waits, wait), i);
    }
    assert_int_equal(waits.rests.len, 1);
    for (uint32_t i = 0; i < 5000; i++) {
        struct ca_wait wait = ca_waits_get(&waits, i);
        assert_int_equal(wait.kind, CA_WAIT_CHANNEL);
        assert_int_equal(wait.channel.address, 0xc000000000 + 96 * i);
        assert_int_equal(wait.channel.capacity, 3);
        assert_int_equal(wait.deadline_ns, i);
        assert_int_equal(wait.fd, CA_UNKNOWN);
        assert_int_equal(wait.first_case, 0);
    }
    ca_waits_deinit(&waits);
}

static void test_descriptors(void **state)
{
    (void)state;
    static const int64_t fds[] = {0, 7, UINT32_MAX - 1, UINT32_MAX, INT64_MAX, -1, CA_UNKNOWN};
    struct ca_waits waits = {0};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        struct ca_wait wait = ca_wait_unknown(CA_WAIT_IO);
        wait.fd = fds[i];
        assert_int_equal(ca_waits_get(&waits, keep(&waits, wait)).fd, fds[i]);
        wait.first_case = 5;
        wait.case_count = 2;
        wait = ca_waits_get(&waits, keep(&waits, wait));
        assert_int_equal(wait.fd, fds[i]);
        assert_int_equal(wait.first_case, 5);
    }
    ca_waits_deinit(&waits);
}

static void add_cases(struct ca_waits *waits, uint64_t address, struct ca_wait *wait)
{
    *wait = ca_wait_unknown(CA_WAIT_SELECT);
    wait->first_case = ca_waits_case_count(waits);
    wait->case_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct ca_case one = ca_case_unknown(address + 96 * i, CA_DIRECTION_RECEIVE);
        one.length = i;
        assert_true(ca_waits_add_case(waits, &one));
    }
}

static void test_cases(void **state)
{
    (void)state;
    struct ca_waits waits = {0};
    struct ca_wait one, same, other;
    add_cases(&waits, 0x1000, &one);
    uint32_t index = keep(&waits, one);
    add_cases(&waits, 0x1000, &same);
    assert_true(ca_waits_is(&waits, index, &same));
    ca_waits_cut_cases(&waits, same.first_case);
    add_cases(&waits, 0x1008, &other);
    assert_false(ca_waits_is(&waits, index, &other));
    uint32_t second = keep(&waits, other);
    assert_int_equal(waits.rests.len, 1);
    assert_int_equal(waits.case_rests.len, 2);
    other = ca_waits_get(&waits, second);
    struct ca_case last = ca_waits_case(&waits, other.first_case + 1);
    assert_int_equal(last.address, 0x1068);
    assert_int_equal(last.length, 1);
    assert_int_equal(last.direction, CA_DIRECTION_RECEIVE);
    ca_waits_deinit(&waits);
}

/* One of many that are alike gets an owner: only that one. */
static void test_owner(void **state)
{
    (void)state;
    static const uint32_t place[] = {2, 0, 1};
    struct ca_waits waits = {0};
    uint32_t first = keep(&waits, on_channel(0x1000)), second = keep(&waits, on_channel(0x2000));
    struct ca_wait wait = ca_waits_get(&waits, second);
    wait.owner = 1;
    assert_true(ca_waits_set(&waits, second, &wait));
    ca_waits_renumber(&waits, place);
    assert_int_equal(ca_waits_get(&waits, first).owner, CA_NONE);
    assert_int_equal(ca_waits_get(&waits, second).owner, 0);
    assert_int_equal(ca_waits_get(&waits, second).channel.address, 0x2000);
    assert_false(ca_waits_is(&waits, first, &wait));
    ca_waits_deinit(&waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
