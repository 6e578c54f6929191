/* Modules, symbols and layouts: those of this very program, in a child that stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbols/layout.h"
#include "symbols/modules.h"

/* What the layout tests look for. */
struct inner {
    char pad[12];
    union {
        int number;
        short half;
    };
    const struct inner *next;
};
typedef volatile struct inner alias_of_inner;
struct layout_sample {
    long first;
    alias_of_inner nested;
    unsigned short many[7];
    struct inner *pointer;
};
struct layout_sample ca_test_sample;
__attribute__((noinline)) void ca_test_function(void)
{
    __asm__ volatile("" ::: "memory");
}

static pid_t start_child(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        pause();
}

struct opened {
    pid_t pid;
    struct ca_gaps gaps;
    struct ca_target *target;
    struct ca_modules *modules;
    struct ca_error *error;
};

static struct opened open_child(struct ca_options options)
{
    struct opened opened = {.pid = start_child()};
    options.size = sizeof(options);
    assert_null(ca_target_attach(opened.pid, true, &opened.gaps, &opened.target));
    opened.error = ca_modules_open(opened.target, &options, &opened.gaps, &opened.modules);
    return opened;
}

static void close_opened(struct opened *opened)
{
    ca_modules_destroy(opened->modules);
    ca_target_destroy(opened->target);
    ca_error_destroy(opened->error);
    ca_gaps_deinit(&opened->gaps);
    kill(opened->pid, SIGKILL);
    waitpid(opened->pid, NULL, 0);
}

static bool has_gap(const struct opened *opened, const char *words)
{
    for (size_t i = 0; i < opened->gaps.list.len; i++)
        if (strstr(opened->gaps.list.data[i].why, words))
            return true;
    return false;
}

static void test_own_program(void **state)
{
    (void)state;
    struct opened opened = open_child((struct ca_options){0});
    assert_null(opened.error);
    struct ca_module *module = ca_modules_main(opened.modules);
    assert_non_null(module);
    assert_true(module->verified);
    assert_int_equal(module->build_id_size, 20);
    uint64_t address, size, text;
    assert_true(ca_module_has_symtab(module));
    assert_true(ca_module_symbol(module, "ca_test_function", &address, &size));
    assert_int_equal(address, (uintptr_t)ca_test_function);
    assert_true(ca_module_symbol(module, "ca_test_sample", &address, &size));
    assert_int_equal(address, (uintptr_t)&ca_test_sample);
    assert_int_equal(size, sizeof(ca_test_sample));
    assert_false(ca_module_symbol(module, "no_such_symbol", &address, &size));
    assert_true(ca_module_section(module, ".text", &text, &size));
    assert_true((uintptr_t)ca_test_function - text < size);
    assert_false(ca_module_section(module, ".nosuch", &text, &size));
    assert_ptr_equal(ca_modules_at(opened.modules, (uintptr_t)ca_test_function), module);
    assert_null(ca_modules_at(opened.modules, 16));
    /* libdwfl agrees about the place. */
    Dwfl_Module *dwfl = ca_module_dwfl(opened.modules, module);
    Dwarf_Addr bias;
    assert_non_null(dwfl);
    assert_non_null(dwfl_module_getdwarf(dwfl, &bias));
    assert_int_equal(bias, module->bias);
    /* A library, with a name that has versions. */
    struct ca_module *libc = ca_modules_at(opened.modules, (uintptr_t)getpid);
    assert_non_null(libc);
    assert_true(libc != module && libc->verified);
    assert_true(ca_module_symbol(libc, "getpid", &address, NULL));
    assert_int_equal(address, (uintptr_t)getpid);
    close_opened(&opened);
}

static void test_wrong_program(void **state)
{
    (void)state;
    struct opened opened = open_child((struct ca_options){.exe = "/bin/true"});
    assert_int_equal(opened.error->code, CA_ERROR_MISMATCH);
    const char *message = opened.error->message;
    assert_non_null(strstr(message, "--force"));
    /* Both ids, of 40 digits each. */
    const char *is = strstr(message, "its build id is "), *was = strstr(message, "target's is ");
    assert_true(is && was);
    assert_int_equal(strspn(is + 16, "0123456789abcdef"), 40);
    assert_int_equal(strspn(was + 12, "0123456789abcdef"), 40);
    close_opened(&opened);
    opened = open_child((struct ca_options){.exe = "/bin/true", .force = true});
    assert_null(opened.error);
    assert_false(ca_modules_main(opened.modules)->verified);
    assert_true(has_gap(&opened, "because of --force"));
    close_opened(&opened);
}

static void expect_error(const char *exe, enum ca_error_code code, const char *words)
{
    struct opened opened = open_child((struct ca_options){.exe = exe});
    assert_non_null(opened.error);
    assert_int_equal(opened.error->code, code);
    assert_non_null(strstr(opened.error->message, words));
    close_opened(&opened);
}

static void test_odd_files(void **state)
{
    (void)state;
    char path[64] = "/tmp/modules-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    expect_error(path, CA_ERROR_FORMAT, "not an ELF file");
    assert_int_equal(write(fd, "\177ELF\2\1\1", 7), 7);
    expect_error(path, CA_ERROR_FORMAT, "not an ELF file");
    close(fd);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_error(path, CA_ERROR_FORMAT, "not a regular file");
    unlink(path);
    expect_error(path, CA_ERROR_IO, "No such file");
    expect_error("/dev/zero", CA_ERROR_FORMAT, "not a regular file");
}

static void test_debug_binary(void **state)
{
    (void)state;
    struct opened opened = open_child((struct ca_options){.debug_binary = "/proc/self/exe"});
    assert_null(opened.error);
    assert_non_null(opened.modules->debug_binary);
    assert_non_null(ca_module_dwarf(opened.modules, opened.modules->debug_binary));
    close_opened(&opened);
    opened = open_child((struct ca_options){.debug_binary = "/etc/passwd"});
    assert_int_equal(opened.error->code, CA_ERROR_FORMAT);
    close_opened(&opened);
}

static void test_layout(void **state)
{
    (void)state;
    struct opened opened = open_child((struct ca_options){0});
    Dwarf *dwarf = ca_module_dwarf(opened.modules, ca_modules_main(opened.modules));
    static const struct {
        struct ca_layout_want want;
        int32_t offset;
    } rows[] = {
        {{"layout_sample", "", false}, sizeof(struct layout_sample)},
        {{"layout_sample", "first", false}, 0},
        {{"layout_sample", "nested.next", false}, offsetof(struct layout_sample, nested.next)},
        {{"layout_sample", "nested.half", false}, offsetof(struct layout_sample, nested.half)},
        {{"layout_sample", "nested.half:size", false}, sizeof(short)},
        {{"layout_sample", "many[n]", false}, 7},
        {{"layout_sample", "many[]", false}, sizeof(unsigned short)},
        {{"layout_sample", "many:size", false}, 14},
        {{"layout_sample", "pointer[]", false}, sizeof(struct inner)},
        {{"layout_sample", "older|newer|many", false}, offsetof(struct layout_sample, many)},
        {{"nosuch|alias_of_inner", "number", false}, offsetof(struct inner, number)},
        {{"layout_sample", "nested.nosuch", true}, CA_LAYOUT_ABSENT},
        {{"layout_sample", "first.nosuch", true}, CA_LAYOUT_ABSENT},
        {{"layout_sample", "first[n]", true}, CA_LAYOUT_ABSENT},
        {{"nosuch", "", true}, CA_LAYOUT_ABSENT},
    };
    enum { COUNT = sizeof(rows) / sizeof(*rows) };
    struct ca_layout_want wants[COUNT];
    int32_t offsets[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        wants[i] = rows[i].want;
    assert_null(ca_layout_bind(dwarf, NULL, wants, COUNT, offsets));
    for (size_t i = 0; i < COUNT; i++)
        if (offsets[i] != rows[i].offset)
            fail_msg("%s: %d, expected %d", wants[i].path, offsets[i], rows[i].offset);
    /* A unit of that name only; errors name what is missing. */
    struct ca_error *error = ca_layout_bind(dwarf, "nosuch.c", wants, 1, offsets);
    assert_int_equal(error->code, CA_ERROR_NOT_FOUND);
    ca_error_destroy(error);
    assert_null(ca_layout_bind(dwarf, "tests/unit/test_modules.c", wants, 1, offsets));
    wants[0] = (struct ca_layout_want){"layout_sample", "nosuch", false};
    error = ca_layout_bind(dwarf, NULL, wants, 1, offsets);
    assert_non_null(strstr(error->message, "no nosuch in type layout_sample"));
    ca_error_destroy(error);
    close_opened(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_program), cmocka_unit_test(test_wrong_program),
        cmocka_unit_test(test_odd_files),   cmocka_unit_test(test_debug_binary),
        cmocka_unit_test(test_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
