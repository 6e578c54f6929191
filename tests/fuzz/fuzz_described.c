/* Opens a core of a described runtime again and again, in one process: with other random bytes in
 * its tasks, stacks, waited-for objects and variables, or with a description that random changes
 * have made a lie. Everything that a session can be asked is asked. A crash, a sanitizer's word, or
 * more than LIMIT seconds of processor time end it; what is answered does not matter.
 *
 *   fuzz_described core CORE EXECUTABLE DESCRIPTION|- SEEDS [FIRST]
 *   fuzz_described text CORE EXECUTABLE DESCRIPTION SEEDS [FIRST]
 *
 * DESCRIPTION -: what ships, or what the program has in itself.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "session.h"

enum {
    EDITS_MAX = 16,
    TASK = 1024, /* bytes from a task's struct on */
    STACK = 768,
    OBJECT = 128,
    DATA = 1 << 20, /* writable segments up to this size are variables */
    TEXT = 1 << 16,
#ifdef __SANITIZE_ADDRESS__
    LIMIT = 25, /* sanitizers make it several times slower */
#else
    LIMIT = 5,
#endif
};

struct region {
    uint64_t address, size;
};

enum { TASKS, STACKS, OBJECTS, VARIABLES, KINDS };
static struct kind {
    CA_VEC(struct region) list;
} kinds[KINDS];

static char text[TEXT], changed[2 * TEXT], text_path[64];
static size_t text_size, changed_size;
static int text_file = -1;

static uint8_t *core; /* the copy that is changed */
static uint64_t core_size;
static char path[64];
static uint64_t state, seed;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15ull;
    return ca_hash_u64(state);
}

static uint64_t below(uint64_t limit)
{
    return limit ? next_random() % limit : 0;
}

/* ---- the copy ---- */

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* A copy in memory, which the session opens as a file; holes stay holes. */
static void copy_core(const char *from)
{
    static uint8_t buffer[1 << 16], zero[1 << 16];
    struct stat st;
    int in = open(from, O_RDONLY), out = memfd_create("core", 0);
    if (in < 0 || out < 0 || fstat(in, &st) || ftruncate(out, st.st_size))
        die(from);
    core_size = (uint64_t)st.st_size;
    for (off_t at = 0; at < st.st_size;) {
        ssize_t got = pread(in, buffer, sizeof(buffer), at);
        if (got <= 0)
            die(from);
        if (memcmp(buffer, zero, (size_t)got) != 0 && pwrite(out, buffer, (size_t)got, at) != got)
            die(from);
        at += got;
    }
    close(in);
    core = mmap(NULL, core_size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    if (core == MAP_FAILED)
        die("mmap");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
}

/* Where the target's bytes at address lie in the copy; NULL: not there in one piece. */
static uint8_t *place_of(uint64_t address, uint64_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)core;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(core + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        uint64_t at = address - phdr[i].p_vaddr;
        if (phdr[i].p_type == PT_LOAD && at < phdr[i].p_filesz && size <= phdr[i].p_filesz - at &&
            phdr[i].p_offset + at + size <= core_size)
            return core + phdr[i].p_offset + at;
    }
    return NULL;
}

/* ---- what to change ---- */

static void add(int kind, uint64_t address, uint64_t size)
{
    address &= ~7ull;
    while (size > 8 && !place_of(address, size))
        size /= 2;
    if (place_of(address, size))
        (void)ca_vec_push(&kinds[kind].list, (struct region){address, size});
}

static void add_variables(void)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)core;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(core + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (phdr[i].p_type == PT_LOAD && phdr[i].p_flags & PF_W && phdr[i].p_filesz <= DATA)
            add(VARIABLES, phdr[i].p_vaddr, phdr[i].p_filesz);
}

static struct ca_session *open_session(const struct ca_options *options)
{
    struct ca_session *session = NULL;
    struct ca_error *error = ca_session_open_core(path, options, &session);
    if (error && !seed)
        fprintf(stderr, "fuzz_described: %s\n", error->message);
    if (error)
        session = NULL;
    ca_error_destroy(error);
    return session;
}

/* Learns from an undamaged session where the structures are. */
static void learn(const struct ca_options *options)
{
    struct ca_session *session = open_session(options);
    if (!session || !session->tasks.list.len)
        exit(2);
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        add(TASKS, task->address, TASK);
        add(STACKS, task->sp, STACK);
        if (task->wait != CA_NONE && session->tasks.waits.data[task->wait].has_address)
            add(OBJECTS, session->tasks.waits.data[task->wait].channel.address, OBJECT);
    }
    ca_session_destroy(session);
    add_variables();
}

/* ---- changing the core ---- */

struct edit {
    uint8_t *at, before[8];
};

static struct region any_region(void)
{
    const struct kind *kind;
    do
        kind = &kinds[below(KINDS)];
    while (!kind->list.len);
    return kind->list.data[below(kind->list.len)];
}

static uint64_t bad_word(uint64_t before)
{
    struct region other = any_region();
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - below(16);
    case 2:
        return 1ull << below(64);
    case 3:
        return before ^ 1ull << below(64);
    case 4:
        return before + below(33) - 16;
    case 5:
        return other.address; /* cycles, and structures taken for others */
    case 6:
        return other.address + below(other.size);
    case 7:
        return below(4096);
    case 8:
        return before << 32 | before >> 32;
    case 9:
        return INT64_MAX - below(4096);
    case 10:
        return (1ull << 32) - below(64);
    default:
        return next_random();
    }
}

static struct edit change(void)
{
    struct region region = any_region();
    struct edit edit;
    uint64_t word;
    edit.at = place_of(region.address + below(region.size / 8) * 8, 8);
    memcpy(edit.before, edit.at, 8);
    memcpy(&word, edit.at, 8);
    if (below(4)) {
        word = bad_word(word);
        memcpy(edit.at, &word, 8);
    } else {
        edit.at[below(8)] = (uint8_t)next_random();
    }
    return edit;
}

/* ---- changing the description ---- */

/* Puts `size` bytes in the place of `cut` bytes at `at`. */
static void replace_at(size_t at, size_t cut, const char *with, size_t size)
{
    char kept[4096];
    if (at > changed_size || size > sizeof(kept))
        return;
    if (cut > changed_size - at)
        cut = changed_size - at;
    if (changed_size - cut + size > sizeof(changed))
        return;
    memcpy(kept, with, size);
    memmove(changed + at + size, changed + at + cut, changed_size - at - cut);
    memcpy(changed + at, kept, size);
    changed_size += size - cut;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '&' || c == '*';
}

/* The word of the text that is around a place. */
static size_t word_at(const char *in, size_t size, size_t at, size_t *start)
{
    while (at && is_word(in[at - 1]))
        at--;
    *start = at;
    while (at < size && is_word(in[at]))
        at++;
    return at - *start;
}

static size_t line_at(size_t at, size_t *start)
{
    while (at && changed[at - 1] != '\n')
        at--;
    *start = at;
    while (at < changed_size && changed[at] != '\n')
        at++;
    return at - *start + (at < changed_size);
}

static void change_text(void)
{
    static const char *const signs[] = {"0",
                                        "-1",
                                        "0xffffffffffffffff",
                                        "0x7fffffffffffffff",
                                        "4096",
                                        ".",
                                        "^",
                                        "&.",
                                        "*",
                                        ".[1]",
                                        " as u8",
                                        " as code*",
                                        " in ",
                                        " + 8",
                                        " - 0x1000",
                                        " & 0xff",
                                        " >> 3",
                                        "[.x]",
                                        " demangled",
                                        " | ",
                                        " && ",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        ", ",
                                        ": ",
                                        "\n",
                                        "  ",
                                        "?",
                                        "ring",
                                        "list",
                                        "tree",
                                        "scan",
                                        "array",
                                        "vector",
                                        "cycle",
                                        "each",
                                        "exclude",
                                        "count",
                                        "end",
                                        "any-of",
                                        "object-ring",
                                        "cases"};
    const char *sign = signs[below(sizeof(signs) / sizeof(*signs))];
    size_t at = below(changed_size), start, other,
           size = word_at(changed, changed_size, at, &start);
    char byte = (char)below(256);
    switch (below(9)) {
    case 0:
        replace_at(at, 1, &byte, 1);
        break;
    case 1:
        replace_at(at, 1 + below(12), "", 0);
        break;
    case 2: /* one word for another */
    case 3: {
        size_t length = word_at(text, text_size, below(text_size), &other);
        replace_at(start, size, text + other, length < 64 ? length : 64);
        break;
    }
    case 4:
        replace_at(start, size, sign, strlen(sign));
        break;
    case 5:
        replace_at(start + size, 0, sign, strlen(sign));
        break;
    case 6: /* a line twice */
        size = line_at(at, &start);
        replace_at(start, 0, changed + start, size);
        break;
    case 7:
        changed_size = below(8) ? changed_size : at;
        break;
    default:
        replace_at(start, size, "0x10000000", below(11));
        break;
    }
    if (!changed_size)
        changed[changed_size++] = '#';
}

static void write_text(void)
{
    memcpy(changed, text, text_size);
    changed_size = text_size;
    for (uint64_t n = 1 + below(6); n; n--)
        change_text();
    if (ftruncate(text_file, 0) ||
        pwrite(text_file, changed, changed_size, 0) != (ssize_t)changed_size)
        die("memfd");
}

static void read_text(const char *from)
{
    int in = open(from, O_RDONLY);
    ssize_t got = in < 0 ? -1 : read(in, text, sizeof(text));
    text_file = memfd_create("text", 0);
    if (got <= 0 || text_file < 0)
        die(from);
    close(in);
    text_size = (size_t)got;
    snprintf(text_path, sizeof(text_path), "/proc/self/fd/%d", text_file);
}

/* ---- asking ---- */

static bool sink(void *arg, const char *text, size_t size)
{
    *(uint64_t *)arg += size + (unsigned char)text[size ? size - 1 : 0];
    return true;
}

static void write_one(struct ca_session *session, const char *command, const char *argument,
                      bool json)
{
    uint64_t sum = 0;
    int status;
    struct ca_request request = {
        .command = command, .argument = argument, .json = json, .limit = CA_UNKNOWN, .full = true};
    ca_error_destroy(ca_session_write(session, &request, sink, &sum, &status));
}

static void ask(struct ca_session *session)
{
    static const char *const commands[] = {"leaks", "tasks", "info", "describe"};
    size_t count = ca_session_task_count(session);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        write_one(session, commands[i], NULL, (seed + i) & 1);
    }
    for (int i = 0; i < 3 && count; i++) {
        char id[48];
        ca_session_task_id(session, below(count), id);
        write_one(session, "task", id, i & 1);
        write_one(session, "explain", id, i & 1);
    }
}

static void late(int signal)
{
    static char text[80];
    (void)signal;
    int size = snprintf(text, sizeof(text), "seed %llu takes more than %d s\n",
                        (unsigned long long)seed, LIMIT);
    if (write(2, text, (size_t)size) < 0)
        _exit(4);
    abort();
}

static void clock_start(void)
{
    struct itimerval limit = {.it_value = {.tv_sec = LIMIT}};
    setitimer(ITIMER_PROF, &limit, NULL);
}

/* What a sanitizer or a crash needs to be repeated. */
static void say_seed(char **argv)
{
    const char *last = getenv("FUZZ_LAST");
    FILE *file = last ? fopen(last, "w") : NULL;
    if (!file)
        return;
    fprintf(file, "fuzz_described %s %s %s %s 1 %llu\n", argv[1], argv[2], argv[3], argv[4],
            (unsigned long long)seed);
    fclose(file);
}

static bool one(const struct ca_options *options, bool lie)
{
    struct edit edits[EDITS_MAX];
    size_t changes = lie ? 0 : 1 + below(EDITS_MAX);
    for (size_t i = 0; i < changes; i++)
        edits[i] = change();
    if (lie)
        write_text();
    clock_start();
    struct ca_session *session = open_session(options);
    if (session)
        ask(session);
    ca_session_destroy(session);
    while (changes--)
        memcpy(edits[changes].at, edits[changes].before, 8);
    return session != NULL;
}

int main(int argc, char **argv)
{
    if (argc < 6 || (strcmp(argv[1], "core") != 0 && strcmp(argv[1], "text") != 0)) {
        fprintf(stderr, "usage: fuzz_described core|text CORE EXECUTABLE DESCRIPTION SEEDS "
                        "[FIRST]\n");
        return 2;
    }
    bool lie = argv[1][0] == 't';
    uint64_t count = strtoull(argv[5], NULL, 0), opened = 0;
    uint64_t first = argc > 6 ? strtoull(argv[6], NULL, 0) : 1;
    const char *files[] = {argv[4], NULL};
    struct ca_options options = {.size = sizeof(options), .exe = argv[3], .threshold = 5};
    if (strcmp(argv[4], "-") != 0)
        options.runtime_files = files;
    copy_core(argv[2]);
    learn(&options);
    if (lie)
        read_text(argv[4]);
    signal(SIGPROF, late);
    for (seed = first; seed < first + count; seed++) {
        state = seed * 0x9e3779b97f4a7c15ull;
        files[0] = lie ? text_path : argv[4];
        options.check = lie && seed & 1 ? text_path : NULL;
        say_seed(argv);
        opened += one(&options, lie);
    }
    printf("%llu seeds: %llu opened, %llu refused\n", (unsigned long long)count,
           (unsigned long long)opened, (unsigned long long)(count - opened));
    return 0;
}
