/* analysis/verdict and analysis/groups on tables made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/groups.h"

struct fixture {
    struct ca_tasks tasks;
    struct ca_sites sites;
    struct ca_groups groups;
};

/* Names a stack by its innermost pc: one user frame, so each pc is a site. */
static struct ca_error *name_stack(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                   const struct ca_raw_frame *frames, uint32_t count,
                                   struct ca_frames *ret)
{
    (void)runtime;
    for (uint32_t i = 0; i < count; i++) {
        struct ca_frame frame = {.pc = frames[i].pc,
                                 .function =
                                     ca_strings_printf(&tasks->strings, "f%d", (int)frames[i].pc)};
        if (!frame.function || !ca_vec_push(&ret->list, frame))
            return &ca_error_nomem;
    }
    return NULL;
}

static const struct ca_runtime_ops ops = {.name = "fake", .name_stack = name_stack};

static uint32_t add(struct fixture *f, enum ca_state state, uint64_t pc, struct ca_wait wait)
{
    struct ca_raw_frame frame = {pc, 0x1000, false};
    struct ca_task task = {.number = f->tasks.list.len + 1,
                           .state = (uint8_t)state,
                           .since_ns = CA_UNKNOWN,
                           .wait = CA_NONE,
                           .entry = CA_NONE,
                           .created = CA_NONE,
                           .stack = ca_stacks_intern(&f->tasks.stacks, &frame, 1, CA_STACK_WHOLE)};
    if (wait.kind != CA_WAIT_UNKNOWN)
        assert_true(ca_waits_add(&f->tasks.waits, &wait, &task.wait));
    assert_true(ca_vec_push(&f->tasks.list, task));
    return (uint32_t)f->tasks.list.len - 1;
}

static void judge(struct fixture *f, int64_t threshold, int64_t min_age)
{
    static struct ca_runtime runtime = {.ops = &ops};
    struct ca_runtime *runtimes[] = {&runtime};
    struct ca_verdict_limits limits = {threshold, min_age, NULL};
    assert_null(ca_sites_name(&f->sites, &f->tasks, runtimes));
    assert_true(ca_verdict_judge(&f->tasks, &f->sites, &limits));
    assert_true(ca_groups_make(&f->groups, &f->tasks, &f->sites));
}

static void done(struct fixture *f)
{
    ca_groups_deinit(&f->groups);
    ca_sites_deinit(&f->sites);
    ca_tasks_deinit(&f->tasks);
}

static struct ca_wait channel(uint64_t address)
{
    struct ca_wait wait = ca_wait_unknown(CA_WAIT_CHANNEL);
    wait.has_address = true;
    wait.channel.address = address;
    return wait;
}

#define VERDICT(f, i) ((f).tasks.list.data[i].verdict)
#define RULE(f, i) ((f).tasks.list.data[i].rule)

static void test_nil_channel_is_leaked(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct ca_wait unread = channel(0);
    unread.has_address = false; /* its address could not be read: nothing is claimed */
    add(&f, CA_STATE_WAITING, 1, channel(0));
    add(&f, CA_STATE_WAITING, 1, channel(0xc000));
    add(&f, CA_STATE_WAITING, 1, unread);
    add(&f, CA_STATE_RUNNABLE, 1, channel(0));
    judge(&f, 1000, 0);
    assert_int_equal(VERDICT(f, 0), CA_VERDICT_LEAKED);
    assert_int_equal(f.tasks.list.data[0].proof, CA_PROOF_UNREACHABLE);
    assert_int_equal(VERDICT(f, 1), CA_VERDICT_WAITING);
    assert_int_equal(VERDICT(f, 2), CA_VERDICT_WAITING);
    assert_int_equal(VERDICT(f, 3), CA_VERDICT_ACTIVE);
    done(&f);
}

static void test_empty_select_but_for_main(void **state)
{
    (void)state;
    struct fixture f = {0};
    add(&f, CA_STATE_WAITING, 1, ca_wait_unknown(CA_WAIT_NOTHING));
    uint32_t main_task = add(&f, CA_STATE_WAITING, 1, ca_wait_unknown(CA_WAIT_NOTHING));
    f.tasks.list.data[main_task].flags = CA_TASK_MAIN;
    judge(&f, 1, 0);
    assert_int_equal(VERDICT(f, 0), CA_VERDICT_LEAKED);
    assert_int_equal(VERDICT(f, 1), CA_VERDICT_WAITING);
    done(&f);
}

static void test_threshold_counts_one_site(void **state)
{
    (void)state;
    struct fixture f = {0};
    for (int i = 0; i < 3; i++)
        add(&f, CA_STATE_WAITING, 1, channel(0xc000));
    add(&f, CA_STATE_WAITING, 2, channel(0xc000));
    struct ca_wait timed = channel(0xc000);
    timed.ends_by_timer = true;
    uint32_t with_timer = add(&f, CA_STATE_WAITING, 1, timed);
    judge(&f, 3, 0);
    assert_int_equal(VERDICT(f, 0), CA_VERDICT_SUSPECT);
    assert_int_equal(RULE(f, 0), CA_RULE_THRESHOLD);
    assert_int_equal(VERDICT(f, 3), CA_VERDICT_WAITING);
    assert_int_equal(VERDICT(f, with_timer), CA_VERDICT_WAITING);
    judge(&f, 4, 0);
    assert_int_equal(VERDICT(f, 0), CA_VERDICT_WAITING);
    done(&f);
}

static void test_age_and_io(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct ca_wait io = ca_wait_unknown(CA_WAIT_IO), limited = io;
    limited.ends_by_timer = true;
    add(&f, CA_STATE_WAITING, 1, channel(0xc000));
    add(&f, CA_STATE_WAITING, 2, io);
    add(&f, CA_STATE_WAITING, 3, limited);
    add(&f, CA_STATE_WAITING, 4, ca_wait_unknown(CA_WAIT_SLEEP));
    uint32_t unknown_age = add(&f, CA_STATE_WAITING, 5, channel(0xc000));
    for (size_t i = 0; i < f.tasks.list.len; i++)
        if (i != unknown_age)
            f.tasks.list.data[i].since_ns = 100;
    judge(&f, 1000, 100);
    assert_int_equal(RULE(f, 0), CA_RULE_MIN_AGE);
    assert_int_equal(RULE(f, 1), CA_RULE_IO_NO_DEADLINE);
    assert_int_equal(VERDICT(f, 2), CA_VERDICT_ACTIVE);
    assert_int_equal(VERDICT(f, 3), CA_VERDICT_ACTIVE);
    assert_int_equal(VERDICT(f, unknown_age), CA_VERDICT_WAITING);
    done(&f);
}

static void test_deferred_calls_piled_up(void **state)
{
    (void)state;
    struct fixture f = {0};
    add(&f, CA_STATE_RUNNING, 1, ca_wait_unknown(CA_WAIT_UNKNOWN));
    add(&f, CA_STATE_RUNNING, 1, ca_wait_unknown(CA_WAIT_UNKNOWN));
    f.tasks.list.data[0].defers = CA_DEFERS_MANY;
    f.tasks.list.data[1].defers = CA_DEFERS_MANY - 1;
    judge(&f, 1000, 0);
    assert_int_equal(RULE(f, 0), CA_RULE_DEEP_DEFERS);
    assert_int_equal(VERDICT(f, 1), CA_VERDICT_ACTIVE);
    done(&f);
}

static void test_groups_are_ordered(void **state)
{
    (void)state;
    struct fixture f = {0};
    add(&f, CA_STATE_WAITING, 1, channel(0xc000));
    add(&f, CA_STATE_WAITING, 2, channel(0xc000));
    add(&f, CA_STATE_WAITING, 2, channel(0xc000));
    add(&f, CA_STATE_WAITING, 3, channel(0));
    add(&f, CA_STATE_RUNNING, 4, ca_wait_unknown(CA_WAIT_UNKNOWN));
    f.tasks.list.data[4].flags = CA_TASK_SYSTEM;
    judge(&f, 1000, 0);
    assert_int_equal(f.groups.list.len, 4);
    assert_int_equal(f.groups.list.data[0].verdict, CA_VERDICT_LEAKED);
    assert_int_equal(f.groups.list.data[1].count, 2);
    assert_int_equal(f.groups.list.data[2].count, 1);
    assert_int_equal(f.groups.list.data[3].verdict, CA_VERDICT_SYSTEM);
    const size_t *members = f.groups.members.data + f.groups.list.data[1].first;
    assert_int_equal(members[0], 1);
    assert_int_equal(members[1], 2);
    assert_int_equal(f.tasks.list.data[2].group, 1);
    done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nil_channel_is_leaked),
        cmocka_unit_test(test_empty_select_but_for_main),
        cmocka_unit_test(test_threshold_counts_one_site),
        cmocka_unit_test(test_age_and_io),
        cmocka_unit_test(test_deferred_calls_piled_up),
        cmocka_unit_test(test_groups_are_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
