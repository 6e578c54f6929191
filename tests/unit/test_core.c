/* Core files: built by hand, cut, overlapping, hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core_builder.h"
#include "symbols/modules.h"
#include "target/target.h"

static uint8_t page_a[4096], page_b[4096];

static int fill_pages(void **state)
{
    (void)state;
    memset(page_a, 'a', sizeof(page_a));
    memset(page_b, 'b', sizeof(page_b));
    return 0;
}

struct opened {
    struct ca_target *target;
    struct ca_gaps gaps;
    struct ca_error *error;
};

static struct opened open_bytes(const void *bytes, size_t size)
{
    struct opened opened = {0};
    char path[64];
    core_write(path, bytes, size);
    opened.error = ca_target_open_core(path, &opened.gaps, &opened.target);
    unlink(path);
    return opened;
}

static struct opened open_builder(struct core_builder *core)
{
    struct ca_buf bytes = core_bytes(core);
    struct opened opened = open_bytes(bytes.data, bytes.len);
    ca_buf_deinit(&bytes);
    core_deinit(core);
    return opened;
}

static void close_opened(struct opened *opened)
{
    ca_target_destroy(opened->target);
    ca_error_destroy(opened->error);
    ca_gaps_deinit(&opened->gaps);
}

static bool has_gap(const struct opened *opened, const char *words)
{
    for (size_t i = 0; i < opened->gaps.list.len; i++)
        if (strstr(opened->gaps.list.data[i].why, words))
            return true;
    return false;
}

/* 0x11000 was never written to, if what is around it says nothing else: 'a', zeros, zeros, 'b'. */
static bool reads_blank(uint64_t before, uint32_t flags, size_t taken_out)
{
    struct core_builder core = {0};
    uint8_t got[4 * 4096] = {0};
    core_load(&core, 0x10000, page_a, before, 4096, PF_R | PF_W);
    core_load(&core, 0x11000, NULL, 0, 4096, flags);
    core_load(&core, 0x12000, page_b, taken_out, 4096, flags);
    core_load(&core, 0x13000, page_b, 4096, 4096, PF_R | PF_W);
    struct ca_buf bytes = core_bytes(&core);
    if (taken_out) {
        Elf64_Phdr *third = (Elf64_Phdr *)(bytes.data + sizeof(Elf64_Ehdr)) + 3;
        third->p_filesz = 0;
    }
    struct opened opened = open_bytes(bytes.data, bytes.len);
    ca_buf_deinit(&bytes);
    core_deinit(&core);
    assert_null(opened.error);
    assert_false(ca_target_read(opened.target, 0x11000, got, 8));
    bool read = ca_target_read_blank(opened.target, 0x10000, got, sizeof(got));
    assert_true(!read || (got[4095] == 'a' && !got[4096] && !got[0x2fff] && got[0x3000] == 'b'));
    assert_false(ca_target_read_blank(opened.target, 0x13000, got, 4097));
    assert_false(ca_target_read_blank(opened.target, UINT64_MAX - 8, got, 4097));
    close_opened(&opened);
    return read;
}

static void test_blank(void **state)
{
    (void)state;
    assert_true(reads_blank(4096, PF_R | PF_W, 0));
    assert_false(reads_blank(0, PF_R | PF_W, 0)); /* such memory was not wanted */
    assert_false(reads_blank(2048, PF_R | PF_W, 0));
    assert_false(reads_blank(4096, PF_R, 0));
    assert_false(reads_blank(4096, PF_R | PF_W, 4096)); /* its bytes are in the file */
}

static void test_reads(void **state)
{
    (void)state;
    struct core_builder core = {0};
    uint8_t got[4096];
    core_load(&core, 0x10000, page_a, 4096, 8192, PF_R | PF_W);
    core_load(&core, 0x20000, page_a, 4096, 4096, PF_R);
    core_load(&core, 0x21000, page_b, 4096, 4096, PF_R | PF_W);
    core_thread(&core, 7, 6, 0x1000);
    struct opened opened = open_builder(&core);
    assert_null(opened.error);
    struct ca_target *target = opened.target;
    assert_true(target->complete);
    /* Across two segments. */
    assert_true(ca_target_read(target, 0x20800, got, 4096));
    assert_int_equal(got[2047], 'a');
    assert_int_equal(got[2048], 'b');
    /* Up to the end, not beyond; nothing where the file has no bytes. */
    assert_true(ca_target_read(target, 0x21ff8, got, 8));
    assert_false(ca_target_read(target, 0x21ff9, got, 8));
    assert_false(ca_target_read(target, 0x11000, got, 1));
    assert_false(ca_target_read(target, 0xffff, got, 2));
    assert_false(ca_target_read(target, UINT64_MAX - 3, got, 8));
    assert_non_null(ca_target_view(target, 0x20800, 4096));
    assert_null(ca_target_view(target, 0x21800, 4096));
    assert_non_null(ca_target_mapping(target, 0x11fff));
    assert_null(ca_target_mapping(target, 0x12000));
    struct ca_error *error = ca_target_fetch(target, 0x5000, got, 8);
    assert_int_equal(error->code, CA_ERROR_FAULT);
    assert_int_equal(error->address, 0x5000);
    ca_error_destroy(error);
    close_opened(&opened);
}

static void test_threads(void **state)
{
    (void)state;
    struct core_builder core = {0};
    uint64_t auxv[] = {AT_ENTRY, 0x401000, AT_NULL, 0, AT_PHNUM, 9};
    uint8_t psinfo[136] = {0};
    uint8_t vector[64] = {1, 2, 3};
    int pid = 42;
    memcpy(psinfo + 24, &pid, 4);
    memcpy(psinfo + 40, "a-program-name-16", 16); /* fills the field: no NUL */
    core_load(&core, 0x10000, page_a, 4096, 4096, PF_R);
    core_thread(&core, 43, 11, 0x100000);
    core_note(&core, "CORE", NT_PRPSINFO, psinfo, sizeof(psinfo));
    core_note(&core, "CORE", NT_AUXV, auxv, sizeof(auxv));
    core_note(&core, "LINUX", NT_X86_XSTATE, vector, sizeof(vector));
    core_thread(&core, 44, 0, 0x200000);
    core_note(&core, "GNU", NT_PRSTATUS, vector, sizeof(vector)); /* a vendor's: no thread */
    struct opened opened = open_builder(&core);
    assert_null(opened.error);
    struct ca_target *target = opened.target;
    assert_int_equal(target->threads.len, 2);
    assert_int_equal(target->pid, 42);
    assert_int_equal(target->signal, 11);
    assert_string_equal(target->program, "a-program-name-1");
    uint64_t value;
    struct ca_thread *thread = &target->threads.data[0];
    assert_int_equal(thread->tid, 43);
    assert_true(ca_target_pc(target->arch, &thread->regs, &value));
    assert_int_equal(value, 0x100010);
    assert_true(ca_target_sp(target->arch, &thread->regs, &value));
    assert_int_equal(value, 0x100013);
    assert_true(ca_target_fp(target->arch, &thread->regs, &value));
    assert_int_equal(value, 0x100004);
    assert_int_equal(thread->regs.value[0], 0x10000a); /* rax */
    assert_int_equal(thread->tls, 0x100015);
    assert_int_equal(thread->vector_size, sizeof(vector));
    assert_memory_equal(thread->vector, vector, sizeof(vector));
    assert_null(target->threads.data[1].vector);
    assert_true(ca_target_auxv(target, AT_ENTRY, &value));
    assert_int_equal(value, 0x401000);
    assert_false(ca_target_auxv(target, AT_PHNUM, &value)); /* behind AT_NULL */
    close_opened(&opened);
}

static void test_files(void **state)
{
    (void)state;
    struct core_builder core = {0};
    struct {
        uint64_t count, page, entry[6];
        char names[32];
    } files = {2, 4096, {0x10800, 0x11000, 5, 0x30000, 0x31000, 0}, "/bin/a\0/bin/b (deleted)"};
    core_load(&core, 0x10000, page_a, 4096, 4096, PF_R | PF_X);
    core_note(&core, "CORE", NT_FILE, &files, sizeof(files));
    struct opened opened = open_builder(&core);
    assert_null(opened.error);
    struct ca_target *target = opened.target;
    assert_int_equal(target->mappings.len, 3);
    assert_null(ca_target_mapping(target, 0x107ff)->path);
    const struct ca_mapping *mapping = ca_target_mapping(target, 0x10800);
    assert_string_equal(mapping->path, "/bin/a");
    assert_int_equal(mapping->flags, PF_R | PF_X);
    assert_int_equal(mapping->file_offset, 5 * 4096);
    mapping = ca_target_mapping(target, 0x30fff);
    assert_string_equal(mapping->path, "/bin/b");
    assert_true(mapping->deleted);
    assert_true(has_gap(&opened, "no notes about threads"));
    close_opened(&opened);
}

static void test_overlap(void **state)
{
    (void)state;
    struct core_builder core = {0};
    uint8_t byte;
    core_load(&core, 0x10800, page_b, 4096, 4096, PF_R);
    core_load(&core, 0x10000, page_a, 4096, 4096, PF_R);
    core_load(&core, 0x10100, page_b, 16, 16, PF_R);
    core_load(&core, UINT64_MAX - 100, page_b, 4096, 4096, PF_R);
    struct opened opened = open_builder(&core);
    assert_null(opened.error);
    assert_true(has_gap(&opened, "beyond the end of the address space"));
    struct ca_target *target = opened.target;
    for (size_t i = 1; i < target->segments.len; i++)
        assert_true(target->segments.data[i].start >= target->segments.data[i - 1].end);
    for (size_t i = 1; i < target->mappings.len; i++)
        assert_true(target->mappings.data[i].start >= target->mappings.data[i - 1].end);
    assert_true(ca_target_read(target, 0x10fff, &byte, 1) && byte == 'a');
    assert_true(ca_target_read(target, 0x11000, &byte, 1) && byte == 'b');
    assert_true(ca_target_read(target, 0x117ff, &byte, 1) && byte == 'b');
    assert_false(ca_target_read(target, 0x11800, &byte, 1));
    close_opened(&opened);
}

static void test_cut(void **state)
{
    (void)state;
    struct core_builder core = {0};
    uint8_t byte;
    core_load(&core, 0x10000, page_a, 4096, 4096, PF_R);
    core_load(&core, 0x20000, page_b, 4096, 4096, PF_R);
    core_thread(&core, 1, 6, 0);
    struct ca_buf bytes = core_bytes(&core);
    struct opened opened = open_bytes(bytes.data, bytes.len - 2048);
    assert_null(opened.error);
    assert_false(opened.target->complete);
    assert_true(has_gap(&opened, "the core is cut at"));
    assert_true(ca_target_read(opened.target, 0x207ff, &byte, 1));
    assert_false(ca_target_read(opened.target, 0x20800, &byte, 1));
    close_opened(&opened);
    /* Every length: an error or a target that is not complete, and never a read outside. */
    size_t first = bytes.len - 2 * 4096;
    for (size_t size = 0; size < first + 16; size++) {
        opened = open_bytes(bytes.data, size);
        assert_true(opened.error || !opened.target->complete);
        close_opened(&opened);
    }
    ca_buf_deinit(&bytes);
    core_deinit(&core);
}

static void test_many_headers(void **state)
{
    (void)state;
    struct core_builder core = {.xnum = 1};
    core_load(&core, 0x10000, page_a, 4096, 4096, PF_R);
    core_load(&core, 0x20000, page_b, 4096, 4096, PF_R);
    struct opened opened = open_builder(&core);
    assert_null(opened.error);
    assert_int_equal(opened.target->segments.len, 2);
    close_opened(&opened);
}

static void test_hostile_notes(void **state)
{
    (void)state;
    struct core_builder core = {0};
    uint64_t files[] = {UINT64_MAX / 24, 4096, 1, 2, 3};
    uint64_t unnamed[] = {1, 4096, 0x1000, 0x2000, 0};
    core_load(&core, 0x10000, page_a, 4096, 4096, PF_R);
    core_thread(&core, 1, 6, 0);
    core_note(&core, "CORE", NT_FILE, files, sizeof(files));
    core_note(&core, "CORE", NT_FILE, files, 8);
    core_note(&core, "CORE", NT_FILE, unnamed, sizeof(unnamed));
    core_note(&core, "CORE", NT_PRSTATUS, files, 20);
    core_note(&core, "CORE", NT_PRPSINFO, files, 20);
    core_note(&core, "CORE", NT_AUXV, files, 20);
    Elf64_Nhdr lie = {5, 0xfffffff0, NT_PRSTATUS};
    ca_buf_add(&core.notes, (const char *)&lie, sizeof(lie));
    struct opened opened = open_builder(&core);
    assert_null(opened.error);
    assert_int_equal(opened.target->threads.len, 1);
    assert_true(has_gap(&opened, "list of mapped files is damaged"));
    assert_true(has_gap(&opened, "names in the core's list of mapped files end"));
    assert_true(has_gap(&opened, "note claims more bytes"));
    assert_true(has_gap(&opened, "too short"));
    close_opened(&opened);
}

static void expect_refusal(const char *path, enum ca_error_code code, const char *words)
{
    struct ca_gaps gaps = {0};
    struct ca_target *target;
    struct ca_error *error = ca_target_open_core(path, &gaps, &target);
    assert_non_null(error);
    assert_int_equal(error->code, code);
    assert_non_null(strstr(error->message, words));
    ca_error_destroy(error);
    ca_gaps_deinit(&gaps);
}

static void refuse_bytes(const void *bytes, size_t size, enum ca_error_code code, const char *words)
{
    char path[64];
    core_write(path, bytes, size);
    expect_refusal(path, code, words);
    unlink(path);
}

static void test_refusals(void **state)
{
    (void)state;
    char fifo[64] = "/tmp/core-fifo-XXXXXX";
    assert_non_null(mkdtemp(fifo));
    rmdir(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_refusal(fifo, CA_ERROR_FORMAT, "not a regular file");
    unlink(fifo);
    expect_refusal("/tmp", CA_ERROR_FORMAT, "not a regular file");
    expect_refusal("/dev/null", CA_ERROR_FORMAT, "not a regular file");
    expect_refusal("/no/such/file", CA_ERROR_IO, "No such file");
    expect_refusal("/proc/self/exe", CA_ERROR_FORMAT, "executable or library");
    refuse_bytes("", 0, CA_ERROR_FORMAT, "is empty");
    refuse_bytes("hello", 5, CA_ERROR_FORMAT, "not an ELF file");
    refuse_bytes("\x28\xb5\x2f\xfd...", 7, CA_ERROR_FORMAT, "compressed with zstd");
    struct core_builder core = {.machine = EM_RISCV};
    struct ca_buf bytes = core_bytes(&core);
    refuse_bytes(bytes.data, bytes.len, CA_ERROR_UNSUPPORTED, "only amd64 and arm64");
    bytes.data[EI_CLASS] = ELFCLASS32;
    refuse_bytes(bytes.data, bytes.len, CA_ERROR_UNSUPPORTED, "32-bit");
    ca_buf_deinit(&bytes);
}

/* Opens a core and its modules, touches what a caller would. */
static void exercise(const char *path, const char *exe)
{
    struct ca_gaps gaps = {0};
    struct ca_target *target;
    struct ca_modules *modules;
    struct ca_error *error = ca_target_open_core(path, &gaps, &target);
    if (!error) {
        struct ca_options options = {.size = sizeof(options), .exe = exe, .force = exe != NULL};
        error = ca_modules_open(target, &options, &gaps, &modules);
        for (size_t i = 0; !error && i < modules->list.len; i++) {
            struct ca_module *module = &modules->list.data[i];
            uint64_t address;
            ca_module_symbol(module, "main", &address, NULL);
            ca_module_section(module, ".text", &address, NULL);
            if (module->main)
                ca_module_dwarf(modules, module);
        }
        if (!error)
            ca_modules_destroy(modules);
        uint8_t buffer[256];
        for (size_t i = 0; i < target->threads.len; i++)
            for (size_t r = 0; r < CA_REGS_MAX; r++)
                ca_target_read(target, target->threads.data[i].regs.value[r], buffer,
                               sizeof(buffer));
        ca_target_destroy(target);
    }
    ca_error_destroy(error);
    ca_gaps_deinit(&gaps);
}

/* Bytes of headers and notes changed at random, a fixed sequence: no crash, no hang. */
static void test_mutations(void **state)
{
    (void)state;
    struct core_builder core = {0};
    struct {
        uint64_t count, page, entry[6];
        char names[32];
    } files = {2, 4096, {0x10000, 0x11000, 0, 0x20000, 0x21000, 1}, "/bin/true\0/bin/true"};
    uint64_t auxv[] = {AT_PHDR, 0x10040,         AT_ENTRY, 0x10100, AT_EXECFN,
                       0x20010, AT_SYSINFO_EHDR, 0x10000,  AT_NULL, 0};
    uint8_t image[4096];
    FILE *self = fopen("/proc/self/exe", "re");
    assert_non_null(self);
    assert_int_equal(fread(image, 1, sizeof(image), self), sizeof(image));
    fclose(self);
    core_load(&core, 0x10000, image, 4096, 4096, PF_R | PF_X);
    core_load(&core, 0x20000, page_b, 4096, 8192, PF_R | PF_W);
    core_thread(&core, 1, 6, 0x10000);
    core_note(&core, "CORE", NT_AUXV, auxv, sizeof(auxv));
    core_note(&core, "CORE", NT_FILE, &files, sizeof(files));
    struct ca_buf bytes = core_bytes(&core);
    char path[64];
    core_write(path, bytes.data, bytes.len);
    uint32_t random = 12345;
    for (int round = 0; round < 3000; round++) {
        char *copy = malloc(bytes.len);
        memcpy(copy, bytes.data, bytes.len);
        int changes = 1 + round % 8;
        for (int i = 0; i < changes; i++) {
            random = random * 1664525 + 1013904223;
            size_t at = (random >> 8) % (bytes.len - 4096);
            random = random * 1664525 + 1013904223;
            copy[at] = random & 1 ? (char)(random >> 24) : (char)(random & 2 ? 0xff : 0);
        }
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        fwrite(copy, 1, bytes.len, file);
        fclose(file);
        exercise(path, round % 3 ? NULL : "/bin/true");
        free(copy);
    }
    unlink(path);
    ca_buf_deinit(&bytes);
    core_deinit(&core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_blank),        cmocka_unit_test(test_files),
        cmocka_unit_test(test_overlap),      cmocka_unit_test(test_cut),
        cmocka_unit_test(test_many_headers), cmocka_unit_test(test_hostile_notes),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, fill_pages, NULL);
}
