/* analysis/mark, proof, retained, explain and deadlock on a heap made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "analysis/explain.h"
#include "analysis/proof.h"

/* Slot i of the heap is 64 bytes at BASE + 64 * i, its eight words are pointers. Each task waits
 * for one slot and holds two addresses on its stack. */
enum { SLOTS = 4096, TASKS = 1024, BASE = 0x10000 };

struct fake {
    struct ca_heap heap;
    uint64_t words[SLOTS][8];
    uint64_t roots[8];
    size_t root_count;
    bool inexact; /* the roots only look like pointers */
    bool stale;   /* what tasks hold only looks like pointers */
    uint64_t waits[TASKS], holds[TASKS][2];
};

static struct fake fake;

static uint64_t at(size_t slot)
{
    return BASE + 64 * slot;
}

static struct ca_error *prepare(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                struct ca_heap **ret)
{
    struct ca_region region = {.start = BASE,
                               .size = 64,
                               .count = SLOTS,
                               .free_index = SLOTS - 1, /* the last one is free */
                               .bytes = (const uint8_t *)fake.words};
    fake.heap.ops = runtime->ops->heap;
    fake.heap.runtime = runtime;
    fake.heap.tasks = tasks;
    assert_true(ca_vec_push(&fake.heap.regions, region));
    *ret = &fake.heap;
    return NULL;
}

static void give(const struct ca_root_sink *sink, enum ca_root_kind kind, const uint64_t *values,
                 size_t count, bool exact)
{
    struct ca_root root = {.kind = kind, .frame = CA_NONE, .exact = exact};
    for (size_t i = 0; i < count; i++)
        sink->add(sink->arg, &root, &(struct ca_word){8 * i + 8, values[i]}, 1);
}

static void roots(struct ca_heap *heap, const struct ca_root_sink *sink)
{
    (void)heap;
    give(sink, CA_ROOT_GLOBAL, fake.roots, fake.root_count, !fake.inexact);
}

static void task_roots(struct ca_heap *heap, uint32_t task, const struct ca_root_sink *sink)
{
    (void)heap;
    give(sink, CA_ROOT_STACK, fake.holds[task], 2, !fake.stale);
}

static size_t task_objects(struct ca_heap *heap, uint32_t task, uint64_t *objects, size_t cap)
{
    (void)heap;
    (void)task;
    (void)objects;
    (void)cap;
    return 0;
}

static size_t waits_on(struct ca_heap *heap, uint32_t task, uint64_t *objects, size_t cap)
{
    (void)heap;
    (void)cap;
    objects[0] = fake.waits[task];
    return fake.waits[task] != 0;
}

static size_t scan(struct ca_heap *heap, const struct ca_region *region, uint32_t slot,
                   uint64_t *from, uint64_t *values, uint32_t *offsets, size_t cap, bool *exact)
{
    size_t n = 0;
    (void)heap;
    (void)region;
    (void)cap;
    (void)exact;
    for (uint32_t i = 0; i < 8; i++)
        if (fake.words[slot][i]) {
            if (offsets)
                offsets[n] = i;
            values[n++] = fake.words[slot][i];
        }
    *from = UINT64_MAX;
    return n;
}

static void destroy(struct ca_heap *heap)
{
    ca_vec_deinit(&heap->regions);
    ca_vec_deinit(&heap->specials);
    ca_vec_deinit(&heap->opaque);
}

static const struct ca_heap_ops heap_ops = {.prepare = prepare,
                                            .roots = roots,
                                            .task_roots = task_roots,
                                            .task_objects = task_objects,
                                            .waits_on = waits_on,
                                            .scan = scan,
                                            .destroy = destroy};
static const struct ca_runtime_ops ops = {.name = "fake", .heap = &heap_ops};

struct fixture {
    struct ca_runtime runtime;
    struct ca_runtime *list[1];
    struct ca_tasks tasks;
    struct ca_gaps gaps;
    struct ca_options options;
    struct ca_provers provers;
};

static void start(struct fixture *f)
{
    memset(&fake, 0, sizeof(fake));
    *f = (struct fixture){.runtime = {.ops = &ops}};
    f->list[0] = &f->runtime;
}

static uint32_t add(struct fixture *f, uint64_t waits, uint64_t a, uint64_t b)
{
    struct ca_wait wait = ca_wait_unknown(CA_WAIT_CHANNEL);
    struct ca_task task = {.number = f->tasks.list.len + 1,
                           .state = waits ? CA_STATE_WAITING : CA_STATE_RUNNING,
                           .verdict = waits ? CA_VERDICT_WAITING : CA_VERDICT_ACTIVE,
                           .wait = waits ? 0 : CA_NONE,
                           .stack = CA_STACK_NONE,
                           .created = CA_NONE,
                           .entry = CA_NONE};
    uint32_t index = (uint32_t)f->tasks.list.len;
    if (waits)
        assert_true(ca_waits_add(&f->tasks.waits, &wait, &task.wait));
    assert_true(ca_vec_push(&f->tasks.list, task));
    fake.waits[index] = waits;
    fake.holds[index][0] = a;
    fake.holds[index][1] = b;
    return index;
}

static void prove(struct fixture *f)
{
    assert_null(ca_proof_prepare(&f->provers, f->list, 1, &f->tasks, &f->options, &f->gaps));
    assert_null(ca_proof_run(&f->provers, f->list, 1, &f->tasks, &f->options));
}

static bool leaked(const struct fixture *f, uint32_t task)
{
    return f->tasks.list.data[task].verdict == CA_VERDICT_LEAKED;
}

static void stop(struct fixture *f)
{
    ca_proof_deinit(&f->provers);
    ca_tasks_deinit(&f->tasks);
    ca_gaps_deinit(&f->gaps);
}

static void test_reached(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t lost = add(&f, at(1), at(1), 0);
    uint32_t held = add(&f, at(2), at(2), 0);
    uint32_t outside = add(&f, 0x100, 0, 0); /* in no object: a global */
    fake.roots[fake.root_count++] = at(10);
    fake.words[10][3] = at(11) + 8; /* into the middle */
    fake.words[11][0] = at(2);
    prove(&f);
    assert_true(leaked(&f, lost));
    assert_int_equal(f.tasks.list.data[lost].proof, CA_PROOF_UNREACHABLE);
    assert_false(leaked(&f, held));
    assert_false(leaked(&f, outside));

    struct ca_steps steps = {0};
    assert_null(ca_explain_path(&f.provers.list.data[0], held, &steps));
    assert_int_equal(steps.list.len, 4);
    assert_true(steps.list.data[0].root);
    assert_int_equal(steps.list.data[2].address, at(11));
    assert_int_equal(steps.list.data[2].offset, 24);
    assert_int_equal(steps.list.data[3].address, at(2));
    ca_vec_deinit(&steps.list);
    stop(&f);
}

/* A longer way from a root that is certain says more than one from a word that may be stale; where
 * there is no other, that one is told. */
static void test_way_from_a_stale_word(void **state)
{
    (void)state;
    for (size_t certain = 0; certain < 2; certain++) {
        struct fixture f;
        struct ca_steps steps = {0};
        start(&f);
        fake.stale = true;
        uint32_t held = add(&f, at(2), 0, 0);
        add(&f, 0, at(2), 0); /* it runs */
        fake.words[10][3] = at(2);
        if (certain)
            fake.roots[fake.root_count++] = at(10);
        prove(&f);
        assert_false(leaked(&f, held));
        assert_null(ca_explain_path(&f.provers.list.data[0], held, &steps));
        assert_int_equal(steps.list.len, certain ? 3 : 2);
        assert_int_equal(steps.list.data[1].address, certain ? at(10) : at(2));
        ca_vec_deinit(&steps.list);
        stop(&f);
    }
}

/* A running task holds the first link; each woken one holds what the next waits for. */
static void chain(bool held)
{
    struct fixture f;
    start(&f);
    add(&f, 0, held ? at(1) : 0, 0);
    for (size_t i = 1; i < TASKS; i++)
        add(&f, at(i), at(i), at(i + 1));
    prove(&f);
    for (uint32_t i = 1; i < TASKS; i++)
        assert_int_equal(leaked(&f, i), !held);
    stop(&f);
}

static void test_chain(void **state)
{
    (void)state;
    chain(true);
    chain(false);
}

static void test_opaque(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t lost = add(&f, at(1), at(1), 0);
    fake.roots[fake.root_count++] = at(5); /* the runtime's list of who waits */
    fake.words[5][0] = at(1);
    assert_true(ca_vec_push(&fake.heap.opaque, at(5)));
    prove(&f);
    assert_true(leaked(&f, lost));
    stop(&f);
}

static void special(enum ca_special_kind kind, uint64_t object, uint64_t value)
{
    assert_true(ca_vec_push(&fake.heap.specials, (struct ca_special){
                                                     .kind = kind,
                                                     .object = object,
                                                     .values = {value},
                                                 }));
}

static void test_specials(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    /* Nobody holds slot 20: its finalizer will run, and it reaches what task 0 waits for. */
    uint32_t will_run = add(&f, at(1), at(1), 0);
    special(CA_SPECIAL_FINALIZER, at(20), at(21));
    fake.words[21][0] = at(1);
    /* Only a leaked task holds slot 30: its finalizer never runs. */
    uint32_t never = add(&f, at(2), at(2), at(30));
    special(CA_SPECIAL_FINALIZER, at(30), at(31));
    fake.words[31][0] = at(2);
    /* A weak pointer whose handle is reached leads to its object; the other one does not. */
    uint32_t weak = add(&f, at(3), at(3), 0), lost = add(&f, at(4), at(4), 0);
    special(CA_SPECIAL_WEAK, at(40), at(3));
    special(CA_SPECIAL_WEAK, at(41), at(4));
    fake.roots[fake.root_count++] = at(40);
    prove(&f);
    assert_false(leaked(&f, will_run));
    assert_true(leaked(&f, never));
    assert_false(leaked(&f, weak));
    assert_true(leaked(&f, lost));
    stop(&f);
}

/* Until the collector has got to it, a weak pointer's object may be dead, and what it points to
 * freed already: that is no damage. */
static void test_weak_of_dead(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t weak = add(&f, at(3), at(3), 0), lost = add(&f, at(4), at(4), 0);
    special(CA_SPECIAL_WEAK, at(40), at(3));
    fake.heap.specials.data[0].unsure = true;
    fake.words[3][0] = at(SLOTS - 1);
    fake.roots[fake.root_count++] = at(40);
    prove(&f);
    assert_int_equal(f.gaps.list.len, 0);
    assert_false(leaked(&f, weak));
    assert_true(leaked(&f, lost));
    stop(&f);
}

/* A word on a leaked task's stack that may be stale is no proof that a finalizer never runs. */
static void test_stale_holder(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t may_run = add(&f, at(2), at(2), at(30));
    fake.stale = true;
    special(CA_SPECIAL_FINALIZER, at(30), at(31));
    fake.words[31][0] = at(2);
    prove(&f);
    assert_false(leaked(&f, may_run));
    stop(&f);
}

/* What hangs on a free slot is damaged or in somebody's hands: its finalizer is not passed over. */
static void test_special_of_free(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t lost = add(&f, at(1), at(1), 0);
    special(CA_SPECIAL_FINALIZER, at(SLOTS - 1), at(21));
    fake.words[21][0] = at(1);
    prove(&f);
    assert_false(leaked(&f, lost));
    assert_int_equal(f.gaps.list.len, 1);
    stop(&f);
}

/* An exact pointer to a free slot: something is damaged, so nothing is claimed. */
static void test_astray(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t lost = add(&f, at(1), at(1), 0);
    fake.roots[fake.root_count++] = at(SLOTS - 1);
    prove(&f);
    assert_false(leaked(&f, lost));
    assert_int_equal(f.gaps.list.len, 1);
    stop(&f);
}

/* What a word only looked like a pointer to may be dead, and its pointers stale: no damage. Yet it
 * keeps alive what it leads to, through what looks free as well. */
static void test_doubtful(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t lost = add(&f, at(1), at(1), 0);
    uint32_t held = add(&f, at(2), at(2), 0);
    uint32_t behind = add(&f, at(3), at(3), 0);
    fake.roots[fake.root_count++] = at(5);
    fake.inexact = true;
    fake.words[SLOTS - 1][2] = at(3);
    fake.words[5][0] = at(SLOTS - 1);
    fake.words[5][1] = at(2);
    prove(&f);
    assert_true(leaked(&f, lost));
    assert_false(leaked(&f, held));
    assert_false(leaked(&f, behind));
    assert_int_equal(f.gaps.list.len, 0);
    stop(&f);
}

static void test_broken(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    uint32_t lost = add(&f, at(1), at(1), 0);
    fake.heap.broken = true;
    prove(&f);
    assert_false(leaked(&f, lost));
    assert_int_equal(f.gaps.list.len, 1);
    stop(&f);
}

static void test_retained(void **state)
{
    (void)state;
    struct fixture f;
    int64_t bytes[2] = {0}, shared[2] = {0};
    start(&f);
    uint32_t a = add(&f, at(1), at(1), at(6)), b = add(&f, at(2), at(2), at(6));
    fake.words[1][0] = at(3); /* 1, 3: only a's; 6, 7: both; 8: alive */
    fake.words[6][0] = at(7);
    fake.words[3][0] = at(8);
    fake.roots[fake.root_count++] = at(8);
    prove(&f);
    f.tasks.list.data[a].group = 0;
    f.tasks.list.data[b].group = 1;
    assert_null(ca_retained_run(&f.provers.list.data[0], 2, bytes, shared));
    assert_int_equal(bytes[0], 128);
    assert_int_equal(bytes[1], 64);
    assert_int_equal(shared[0], 128);
    assert_int_equal(shared[1], 128);
    stop(&f);
}

static void own(struct fixture *f, uint32_t task, uint32_t owner)
{
    struct ca_wait wait = ca_waits_get(&f->tasks.waits, f->tasks.list.data[task].wait);
    wait.kind = CA_WAIT_MUTEX;
    wait.owner = owner;
    assert_true(ca_waits_set(&f->tasks.waits, f->tasks.list.data[task].wait, &wait));
}

static void test_deadlock(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.runtime.owners = true;
    uint32_t running = add(&f, 0, 0, 0), a = add(&f, 1, 0, 0), b = add(&f, 1, 0, 0);
    uint32_t behind = add(&f, 1, 0, 0), fine = add(&f, 1, 0, 0), timed = add(&f, 1, 0, 0);
    uint32_t other = add(&f, 1, 0, 0);
    own(&f, a, b);
    own(&f, b, a);
    own(&f, behind, a);
    own(&f, fine, running);
    own(&f, timed, other);
    own(&f, other, timed);
    struct ca_wait wait = ca_waits_get(&f.tasks.waits, f.tasks.list.data[timed].wait);
    wait.ends_by_timer = true;
    assert_true(ca_waits_set(&f.tasks.waits, f.tasks.list.data[timed].wait, &wait));
    assert_true(ca_deadlock_run(f.list, 1, &f.tasks));
    assert_true(leaked(&f, a) && leaked(&f, b) && leaked(&f, behind));
    assert_int_equal(f.tasks.list.data[a].proof, CA_PROOF_DEADLOCK);
    assert_false(leaked(&f, fine) || leaked(&f, timed) || leaked(&f, other));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reached),         cmocka_unit_test(test_way_from_a_stale_word),
        cmocka_unit_test(test_chain),           cmocka_unit_test(test_opaque),
        cmocka_unit_test(test_specials),        cmocka_unit_test(test_astray),
        cmocka_unit_test(test_doubtful),        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_retained),        cmocka_unit_test(test_deadlock),
        cmocka_unit_test(test_weak_of_dead),    cmocka_unit_test(test_stale_holder),
        cmocka_unit_test(test_special_of_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
