/* Memory that is loaded through callbacks as a debugger gives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <string.h>

#include "target/target.h"

/* Three stretches of a made-up target; what is there at an address is a function of it. */
enum {
    LOW = 0x10000,
    LOW_END = 0x13000,
    HIGH = 0x20000,
    HIGH_END = 0x60000,
    BORDER = 16 * CA_WINDOW_SIZE, /* memory on both sides of a window's */
};

struct fake {
    unsigned reads, threads, mappings;
};

static uint8_t byte_at(uint64_t address)
{
    return (uint8_t)(address * 7 ^ address >> 8);
}

static bool inside(uint64_t start, uint64_t end, uint64_t address, size_t size)
{
    return address >= start && address < end && size <= end - address;
}

static bool fake_read(void *arg, uint64_t address, void *buffer, size_t size)
{
    ((struct fake *)arg)->reads++;
    if (!inside(LOW, LOW_END, address, size) && !inside(HIGH, HIGH_END, address, size) &&
        !inside(BORDER - 0x1000, BORDER + 0x1000, address, size))
        return false;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buffer)[i] = byte_at(address + i);
    return true;
}

static bool fake_thread(void *arg, size_t i, int64_t *tid, struct ca_regs *regs, uint64_t *tls,
                        char name[16])
{
    if (i >= ((struct fake *)arg)->threads)
        return false;
    *tid = 100 + (int64_t)i;
    regs->value[16] = 0x1234;
    regs->known = 1 << 16;
    *tls = 5;
    memset(name, 'x', 16); /* no NUL */
    return true;
}

static bool fake_mapping(void *arg, size_t i, uint64_t *start, uint64_t *end, uint64_t *offset,
                         uint32_t *flags, const char **path)
{
    static const uint64_t starts[] = {0x9000, 0x1000, 0x9800, 0x5000};
    if (i >= ((struct fake *)arg)->mappings)
        return false;
    *start = starts[i];
    *end = i == 3 ? 0x4000 : starts[i] + 0x1000; /* the last one ends before it starts */
    *offset = 0;
    *flags = PF_R;
    *path = i ? NULL : "/bin/x (deleted)";
    return true;
}

static struct ca_target *create(struct fake *fake)
{
    struct ca_target_ops ops = {.size = sizeof(ops),
                                .read = fake_read,
                                .thread = fake_thread,
                                .mapping = fake_mapping,
                                .arch = "amd64",
                                .executable = "/bin/x",
                                .pid = 9,
                                .now_ns = 77};
    struct ca_gaps gaps = {0};
    struct ca_target *target = NULL;
    assert_null(ca_target_from_ops(&ops, fake, &gaps, &target));
    ca_gaps_deinit(&gaps);
    return target;
}

static void expect_bytes(struct ca_target *target, uint64_t address, size_t size)
{
    uint8_t got[0x20000];
    assert_true(ca_target_read(target, address, got, size));
    for (size_t i = 0; i < size; i++)
        if (got[i] != byte_at(address + i))
            fail_msg("byte %zu at %#lx", i, (unsigned long)address);
}

static void test_windows(void **state)
{
    (void)state;
    struct fake fake = {0};
    uint8_t got[16];
    struct ca_target *target = create(&fake);
    expect_bytes(target, HIGH + 5, 0x10001);
    expect_bytes(target, LOW, LOW_END - LOW);
    expect_bytes(target, HIGH_END - 1, 1);
    assert_false(ca_target_read(target, LOW - 1, got, 1));
    assert_false(ca_target_read(target, LOW - 1, got, 2));
    assert_false(ca_target_read(target, LOW_END - 1, got, 2));
    assert_false(ca_target_read(target, HIGH_END - 1, got, 2));
    assert_false(ca_target_read(target, UINT64_MAX, got, 1));
    assert_false(ca_target_read(target, UINT64_MAX - 1, got, 16));
    /* What was asked for once is not asked for again, there or not. */
    unsigned reads = fake.reads;
    for (int i = 0; i < 1000; i++) {
        expect_bytes(target, HIGH + i, 8);
        assert_false(ca_target_read(target, LOW_END + i, got, 1));
        assert_false(ca_target_read(target, UINT64_MAX, got, 1));
    }
    assert_int_equal(fake.reads, reads);
    /* In place within a window, loaded as far as it is wanted; copied where it crosses one. */
    const uint8_t *view = ca_target_view(target, HIGH + 0x100, 16);
    assert_non_null(view);
    assert_int_equal(view[3], byte_at(HIGH + 0x103));
    view = ca_target_view(target, HIGH + 0x10ff8, 0x8010);
    assert_non_null(view);
    assert_int_equal(view[0x800f], byte_at(HIGH + 0x19007));
    assert_null(ca_target_view(target, HIGH_END - 8, 16));
    expect_bytes(target, BORDER - 0x1000, 0x2000);
    assert_null(ca_target_view(target, BORDER - 8, 16));
    const uint8_t *peek = ca_target_peek(target, BORDER - 8, got, 16);
    assert_ptr_equal(peek, got);
    assert_int_equal(peek[15], byte_at(BORDER + 7));
    reads = fake.reads;
    ca_target_release(target);
    expect_bytes(target, HIGH + 5, 8);
    assert_false(ca_target_read(target, HIGH_END - 0x10000, got, 1));
    assert_int_equal(fake.reads, reads);
    ca_target_destroy(target);
}

static void test_hold(void **state)
{
    (void)state;
    struct fake fake = {0};
    uint8_t got[8];
    struct ca_target *target = create(&fake);
    assert_true(ca_target_hold(target, HIGH + 0x3800, 0x20000));
    assert_false(ca_target_hold(target, LOW_END - 4, 8));
    assert_false(ca_target_hold(target, UINT64_MAX - 4, 8));
    assert_false(ca_target_hold(target, UINT64_MAX - 4, 4));
    assert_true(ca_target_hold(target, 0, 0));
    unsigned reads = fake.reads;
    assert_true(ca_target_hold(target, HIGH + 0x4000, 0x1000));
    expect_bytes(target, HIGH + 0x3800, 0x20000);
    expect_bytes(target, LOW_END - 4, 4);
    assert_int_equal(fake.reads, reads);
    ca_target_release(target);
    expect_bytes(target, HIGH + 0x3000, 0x20000);
    expect_bytes(target, HIGH + 0x23000, 0x800);
    assert_false(ca_target_read(target, HIGH + 0x30000, got, 1));
    assert_false(ca_target_hold(target, HIGH + 0x23000, 0x2000));
    ca_target_destroy(target);
}

static void test_added_bytes(void **state)
{
    (void)state;
    static uint8_t first[0x100], second[0x1000];
    struct fake fake = {0};
    uint8_t got[8];
    memset(first, 1, sizeof(first));
    memset(second, 2, sizeof(second));
    struct ca_target *target = create(&fake);
    assert_null(ca_target_add_bytes(target, HIGH + 0x200, sizeof(first), first));
    /* Only where there is nothing yet: before and behind the first. */
    assert_null(ca_target_add_bytes(target, HIGH, sizeof(second), second));
    assert_null(ca_target_add_bytes(target, HIGH + 0x10, 16, first));
    assert_int_equal(target->segments.len, 3);
    assert_true(ca_target_read(target, HIGH + 0x1fc, got, 8));
    assert_memory_equal(got, "\2\2\2\2\1\1\1\1", 8);
    assert_true(ca_target_read(target, HIGH + 0x2fc, got, 8));
    assert_memory_equal(got, "\1\1\1\1\2\2\2\2", 8);
    /* From added bytes into a chunk. */
    assert_true(ca_target_read(target, HIGH + 0xffc, got, 8));
    assert_int_equal(got[3], 2);
    assert_int_equal(got[4], byte_at(HIGH + 0x1000));
    struct ca_error *error = ca_target_add_bytes(target, UINT64_MAX - 5, 100, first);
    assert_int_equal(error->code, CA_ERROR_INVALID);
    ca_error_destroy(error);
    ca_target_destroy(target);
}

static void test_strings(void **state)
{
    (void)state;
    static char text[0x100] = "hello";
    struct fake fake = {0};
    struct ca_target *target = create(&fake);
    memset(text + 0x80, 'y', 0x80);
    assert_null(ca_target_add_bytes(target, 0x1000, sizeof(text), (const uint8_t *)text));
    const char *got = ca_target_read_string(target, 0x1000, 100);
    assert_string_equal(got, "hello");
    assert_ptr_equal(got, ca_target_read_string(target, 0x1000, 6));
    assert_null(ca_target_read_string(target, 0x1000, 5)); /* no end within the limit */
    assert_string_equal(ca_target_read_string(target, 0x1005, 5), "");
    assert_null(ca_target_read_string(target, 0x1080, 1000)); /* runs out of memory */
    assert_null(ca_target_read_string(target, 0x900, 1000));
    ca_target_destroy(target);
}

static void test_callback(void **state)
{
    (void)state;
    struct fake fake = {.threads = 3, .mappings = 4};
    struct ca_target *target = create(&fake);
    assert_int_equal(target->threads.len, 3);
    assert_int_equal(target->threads.data[2].tid, 102);
    assert_int_equal(strlen(target->threads.data[0].name), 15);
    assert_int_equal(target->pid, 9);
    assert_int_equal(target->now_ns, 77);
    /* Sorted; one that overlaps or ends before it starts is left out. */
    assert_int_equal(target->mappings.len, 2);
    assert_int_equal(target->mappings.data[0].start, 0x1000);
    assert_string_equal(target->mappings.data[1].path, "/bin/x");
    assert_true(target->mappings.data[1].deleted);
    ca_target_destroy(target);
    struct ca_target_ops ops = {.size = sizeof(ops), .read = fake_read, .arch = "pdp11"};
    struct ca_gaps gaps = {0};
    struct ca_error *error = ca_target_from_ops(&ops, &fake, &gaps, &target);
    assert_int_equal(error->code, CA_ERROR_UNSUPPORTED);
    ca_error_destroy(error);
    /* An older caller, whose struct ends before arch. */
    ops.size = offsetof(struct ca_target_ops, arch);
    error = ca_target_from_ops(&ops, &fake, &gaps, &target);
    assert_int_equal(error->code, CA_ERROR_INVALID);
    ca_error_destroy(error);
    ca_gaps_deinit(&gaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),     cmocka_unit_test(test_hold),
        cmocka_unit_test(test_added_bytes), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
