/* The processes of this machine in which a known runtime lives: `ps`. Nobody is stopped. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mapped.h"
#include "runtimes/runtime.h"

enum { RUNTIMES_MAX = 8, ARGUMENT_MAX = 4096, VERSION_MAX = 128 };

struct process {
    int64_t pid, threads;
    const char *program, *why;
    bool readable;
    int stripped;        /* -1: not known */
    size_t first, count; /* in runtimes */
};

struct ca_processes {
    struct ca_strings strings;
    CA_VEC(struct process) list;
    CA_VEC(struct ca_runtime_info) runtimes;
    /* Files (device and inode, hashed) that lay in processes without a known runtime. A process
     * made of such files only is not looked into again: a machine runs the same few many times. */
    struct ca_map plain;
    struct ca_options options;
};

void ca_processes_destroy(struct ca_processes *processes)
{
    if (!processes)
        return;
    ca_strings_deinit(&processes->strings);
    ca_vec_deinit(&processes->list);
    ca_vec_deinit(&processes->runtimes);
    ca_map_deinit(&processes->plain);
    free(processes);
}

static const char *intern(struct ca_processes *processes, const char *text)
{
    return text ? ca_strings_intern(&processes->strings, text, strlen(text)) : NULL;
}

/* A small file of /proc, NUL-terminated; its size, or -1 with errno. */
static ssize_t read_proc(int64_t pid, const char *name, char *buffer, size_t room)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t size = 0;
    ssize_t got;
    while (size + 1 < room && (got = read(fd, buffer + size, room - 1 - size)) > 0)
        size += (size_t)got;
    close(fd);
    buffer[size] = 0;
    return (ssize_t)size;
}

/* Threads by /proc/PID/status, which everybody may read; -1: gone, or dead and not yet waited for.
 */
static int64_t count_threads(int64_t pid)
{
    char text[8192];
    if (read_proc(pid, "status", text, sizeof(text)) <= 0)
        return -1;
    const char *state = strstr(text, "\nState:\t"), *threads = strstr(text, "\nThreads:\t");
    if (!threads || (state && (state[8] == 'Z' || state[8] == 'X')))
        return -1;
    return strtoll(threads + 10, NULL, 10);
}

static uint64_t file_key(const char *device, uint64_t inode)
{
    return ca_hash_u64(ca_hash_bytes(device, strlen(device)) ^ inode);
}

/* Calls fn on every executable file mapping of a process. false: its maps cannot be read (errno),
 * or fn said stop. */
static bool each_file(int64_t pid, bool (*fn)(struct ca_processes *, uint64_t key),
                      struct ca_processes *processes)
{
    char path[64], line[ARGUMENT_MAX + 128];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/maps", pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return false;
    bool on = true;
    while (on && fgets(line, sizeof(line), maps)) {
        char flags[8], device[16];
        uint64_t inode;
        if (sscanf(line, "%*x-%*x %7s %*x %15s %" SCNu64, flags, device, &inode) == 3 && inode &&
            strchr(flags, 'x'))
            on = fn(processes, file_key(device, inode));
    }
    fclose(maps);
    return on;
}

static bool is_plain(struct ca_processes *processes, uint64_t key)
{
    return ca_map_get(&processes->plain, key) != NULL;
}

/* Out of memory here only costs time later. */
static bool note_plain(struct ca_processes *processes, uint64_t key)
{
    ca_map_put(&processes->plain, key, NULL);
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The name of the executable's file, else the short name that the kernel keeps. */
static const char *program_name(struct ca_processes *processes, int64_t pid)
{
    char path[64], target[ARGUMENT_MAX], comm[64];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/exe", pid);
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    if (size > 0) {
        target[size] = 0;
        char *deleted = strstr(target, " (deleted)");
        if (deleted && !deleted[10])
            *deleted = 0;
        return intern(processes, base_name(target));
    }
    ssize_t got = read_proc(pid, "comm", comm, sizeof(comm));
    if (got <= 0)
        return NULL;
    comm[strcspn(comm, "\n")] = 0;
    return intern(processes, comm);
}

static struct ca_error *add_process(struct ca_processes *processes, struct process *process)
{
    return ca_vec_push(&processes->list, *process) ? NULL : &ca_error_nomem;
}

static struct ca_error *add_runtime(struct ca_processes *processes, struct process *process,
                                    const struct ca_runtime_info *info)
{
    struct ca_runtime_info copy = *info;
    copy.name = intern(processes, info->name);
    copy.title = intern(processes, info->title);
    copy.version = intern(processes, info->version);
    copy.layout = intern(processes, info->layout);
    copy.task_noun = intern(processes, info->task_noun);
    if (!copy.name || !ca_vec_push(&processes->runtimes, copy))
        return &ca_error_nomem;
    process->count++;
    return NULL;
}

/* ---- processes that may be read ---- */

struct look {
    struct ca_processes *processes;
    struct process *process;
    struct ca_gaps gaps;
    struct ca_target *target;
    struct ca_modules *modules;
    struct ca_runtime *runtimes;
    struct ca_tasks tasks;
};

static void look_deinit(struct look *look)
{
    while (look->runtimes) {
        struct ca_runtime *next = look->runtimes->next;
        look->runtimes->ops->destroy(look->runtimes);
        look->runtimes = next;
    }
    ca_tasks_deinit(&look->tasks);
    ca_modules_destroy(look->modules);
    ca_target_destroy(look->target);
    ca_gaps_deinit(&look->gaps);
}

/* The tasks of one runtime, into look->process. */
static struct ca_error *count_tasks(struct look *look, struct ca_runtime *runtime)
{
    size_t before = look->tasks.list.len;
    int64_t count = runtime->ops->count ? runtime->ops->count(runtime) : CA_UNKNOWN;
    struct ca_error *error = NULL;
    if (count == CA_UNKNOWN)
        error = runtime->ops->collect(runtime, &look->tasks);
    else
        runtime->counted = count;
    if (error == &ca_error_nomem)
        return error;
    if (!error && count == CA_UNKNOWN)
        count = (int64_t)(look->tasks.list.len - before);
    struct ca_runtime_info info = {
        .name = runtime->name,
        .title = runtime->title,
        .version = runtime->version,
        .layout = runtime->layout,
        .task_noun = runtime->task_noun,
        .tasks = error ? CA_UNKNOWN : count,
        .counted = runtime->counted,
    };
    if (error && !look->process->why)
        look->process->why = intern(look->processes, error->message);
    ca_error_destroy(error);
    return add_runtime(look->processes, look->process, &info);
}

/* Asks every runtime. One that is there but cannot be read is told by `why`. */
static struct ca_error *find_runtimes(struct look *look)
{
    struct ca_context context = {look->target, look->modules, &look->gaps,
                                 &look->processes->options};
    struct ca_runtime **tail = &look->runtimes;
    for (size_t i = 0; ca_runtimes[i]; i++) {
        struct ca_error *error = ca_runtimes[i]->probe(&context, tail);
        if (error == &ca_error_nomem)
            return error;
        if (error) {
            look->process->why = intern(look->processes, error->message);
            look->process->readable = false;
            ca_error_destroy(error);
        }
        while (*tail)
            tail = &(*tail)->next;
    }
    uint16_t index = 0;
    for (struct ca_runtime *runtime = look->runtimes; runtime; runtime = runtime->next) {
        runtime->index = index++;
        struct ca_error *error = count_tasks(look, runtime);
        if (error)
            return error;
    }
    const struct ca_module *main = ca_modules_main(look->modules);
    if (main && main->file)
        look->process->stripped = !ca_module_has_symtab((struct ca_module *)main);
    return NULL;
}

static struct ca_error *look_inside(struct look *look)
{
    struct ca_error *error =
        ca_target_attach(look->process->pid, false, &look->gaps, &look->target);
    if (!error)
        error =
            ca_modules_open(look->target, &look->processes->options, &look->gaps, &look->modules);
    return error ? error : find_runtimes(look);
}

/* ---- processes that may not ---- */

/* 1 or 0; -1: cannot be told. */
static int is_stripped(const uint8_t *bytes, size_t size)
{
    Elf *elf = elf_memory((char *)bytes, size);
    Elf_Scn *section = NULL;
    int stripped = elf ? 1 : -1;
    GElf_Shdr header;
    while (elf && (section = elf_nextscn(elf, section)) != NULL)
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
            stripped = 0;
    elf_end(elf);
    return stripped;
}

/* Asks the runtimes whether an executable file is theirs. */
static struct ca_error *recognise_bytes(struct ca_processes *processes, struct process *process,
                                        const uint8_t *bytes, size_t size)
{
    char version[VERSION_MAX];
    for (size_t i = 0; ca_runtimes[i]; i++) {
        const struct ca_runtime_ops *ops = ca_runtimes[i];
        if (!ops->recognise || !ops->recognise(bytes, size, version, sizeof(version)))
            continue;
        struct ca_runtime_info info = {.name = ops->name,
                                       .title = ops->title,
                                       .version = version[0] ? version : NULL,
                                       .tasks = CA_UNKNOWN,
                                       .counted = CA_UNKNOWN};
        process->stripped = is_stripped(bytes, size);
        return add_runtime(processes, process, &info);
    }
    return NULL;
}

static struct ca_error *recognise_file(struct ca_processes *processes, struct process *process,
                                       const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    void *bytes = NULL;
    if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && stat.st_size > 64)
        bytes = ca_mapped_create(fd, (size_t)stat.st_size, false);
    close(fd);
    if (!bytes)
        return NULL;
    struct ca_error *error = NULL;
    if (!memcmp(bytes, ELFMAG, SELFMAG))
        error = recognise_bytes(processes, process, bytes, (size_t)stat.st_size);
    ca_mapped_destroy(bytes, (size_t)stat.st_size);
    return error;
}

/* What another user's process runs cannot be seen; its command line can, and the file of that name
 * most likely is what it runs. */
static struct ca_error *recognise(struct ca_processes *processes, struct process *process)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};
    char argument[ARGUMENT_MAX], path[ARGUMENT_MAX + 64];
    if (read_proc(process->pid, "cmdline", argument, sizeof(argument)) <= 0 || !argument[0])
        return NULL;
    if (argument[0] == '/')
        return recognise_file(processes, process, argument);
    struct ca_error *error = NULL;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (strchr(argument, '/') || error || process->count)
            break;
        snprintf(path, sizeof(path), "%s/%s", folders[i], argument);
        error = recognise_file(processes, process, path);
    }
    return error;
}

/* ---- all of them ---- */

static struct ca_error *read_process(struct ca_processes *processes, int64_t pid)
{
    struct process process = {.pid = pid,
                              .threads = count_threads(pid),
                              .readable = true,
                              .stripped = -1,
                              .first = processes->runtimes.len};
    if (process.threads < 0 || each_file(pid, is_plain, processes))
        return NULL;
    struct look look = {.processes = processes, .process = &process};
    struct ca_error *error = look_inside(&look);
    look_deinit(&look);
    if (error == &ca_error_nomem)
        return error;
    if (error && count_threads(pid) >= 0) {
        process.readable = false;
        process.why = intern(processes, error->message);
        struct ca_error *failed = recognise(processes, &process);
        if (failed) {
            ca_error_destroy(error);
            return failed;
        }
    } else if (!error && !process.count && !process.why) {
        each_file(pid, note_plain, processes);
    }
    ca_error_destroy(error);
    if (!process.count && (process.readable || error))
        return NULL;
    process.program = program_name(processes, pid);
    return add_process(processes, &process);
}

static int by_pid(const void *a, const void *b)
{
    const struct process *left = a, *right = b;
    return left->pid < right->pid ? -1 : left->pid > right->pid;
}

static struct ca_error *read_all(struct ca_processes *processes)
{
    struct ca_error *error = NULL;
    const struct dirent *entry;
    uint64_t done = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return ca_error_create(CA_ERROR_IO, "/proc: %s", strerror(errno));
    while (!error && (entry = readdir(proc)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        int64_t pid = strtoll(entry->d_name, NULL, 10);
        const struct ca_options *options = &processes->options;
        if (options->progress &&
            !options->progress(options->progress_arg, "looking at processes", done++, 0))
            error = ca_error_create(CA_ERROR_CANCELLED, "stopped on request");
        else if (pid != getpid())
            error = read_process(processes, pid);
    }
    closedir(proc);
    if (processes->list.len)
        qsort(processes->list.data, processes->list.len, sizeof(struct process), by_pid);
    return error;
}

struct ca_error *ca_processes_create(const struct ca_options *options, struct ca_processes **ret)
{
    CA_MAPPED_SCOPE;
    struct ca_processes *processes = calloc(1, sizeof(*processes));
    if (!processes)
        return &ca_error_nomem;
    if (options && options->size)
        memcpy(&processes->options, options,
               options->size < sizeof(*options) ? options->size : sizeof(*options));
    processes->options.no_stop = true;
    processes->options.no_proof = true;
    processes->options.exe = NULL; /* names one program; these are many */
    elf_version(EV_CURRENT);
    struct ca_error *error = read_all(processes);
    if (error) {
        ca_processes_destroy(processes);
        return error;
    }
    *ret = processes;
    return NULL;
}

size_t ca_processes_count(const struct ca_processes *processes)
{
    return processes->list.len;
}

bool ca_processes_get(const struct ca_processes *processes, size_t i, struct ca_process_info *ret)
{
    if (i >= processes->list.len)
        return false;
    const struct process *process = &processes->list.data[i];
    *ret = (struct ca_process_info){
        .pid = process->pid,
        .program = process->program,
        .runtimes = process->count ? processes->runtimes.data + process->first : NULL,
        .runtime_count = process->count,
        .stripped = process->stripped,
        .threads = process->threads,
        .readable = process->readable,
        .why = process->why,
    };
    return true;
}
