#include "target/procfs.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "target/notes.h"

int ca_procfs_read(struct ca_buf *text, const char *format, ...)
{
    char path[128], part[16384];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t got;
    while ((got = read(fd, part, sizeof(part))) > 0 || (got < 0 && errno == EINTR))
        if (got > 0)
            ca_buf_add(text, part, (size_t)got);
    int error = got < 0 ? errno : 0;
    close(fd);
    if (text->failed)
        return ENOMEM;
    ca_buf_puts(text, ""); /* so that data is a string even when there was nothing */
    return error;
}

bool ca_procfs_status(int64_t pid, const char *field, int base, uint64_t *ret)
{
    struct ca_buf text = {0};
    bool found = false;
    if (!ca_procfs_read(&text, "/proc/%" PRId64 "/status", pid) && text.data) {
        size_t size = strlen(field);
        for (const char *line = text.data; line && !found; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (strncmp(line, field, size) || line[size] != ':')
                continue;
            *ret = strtoull(line + size + 1, NULL, base);
            found = true;
        }
    }
    ca_buf_deinit(&text);
    return found;
}

/* The fields behind the name in /proc/PID/stat: the name may hold anything, even ')'. */
static const char *stat_fields(struct ca_buf *text, int64_t tid)
{
    if (ca_procfs_read(text, "/proc/%" PRId64 "/stat", tid) || !text->data)
        return NULL;
    const char *end = strrchr(text->data, ')');
    return end && end[1] == ' ' ? end + 2 : NULL;
}

char ca_procfs_state(int64_t tid)
{
    struct ca_buf text = {0};
    const char *fields = stat_fields(&text, tid);
    char state = fields ? *fields : 0;
    ca_buf_deinit(&text);
    return state;
}

bool ca_procfs_ended(int64_t tid)
{
    uint64_t size;
    char state = ca_procfs_state(tid);
    return !state || state == 'Z' || state == 'X' || state == 'x' ||
           !ca_procfs_status(tid, "VmSize", 10, &size);
}

void ca_procfs_name(int64_t tid, char name[16])
{
    struct ca_buf text = {0};
    memset(name, 0, 16);
    if (!ca_procfs_read(&text, "/proc/%" PRId64 "/comm", tid) && text.data) {
        size_t size = strcspn(text.data, "\n");
        memcpy(name, text.data, size < 15 ? size : 15);
    }
    ca_buf_deinit(&text);
}

int64_t ca_procfs_uptime(int64_t pid)
{
    enum { STARTTIME = 22 - 3 }; /* the 22nd field; fields begin with the third */
    struct ca_buf text = {0};
    const char *at = stat_fields(&text, pid);
    for (int i = 0; at && i < STARTTIME; i++) {
        at = strchr(at, ' ');
        at += at != NULL;
    }
    struct timespec now;
    int64_t uptime = CA_UNKNOWN, ticks = sysconf(_SC_CLK_TCK);
    if (at && ticks > 0 && !clock_gettime(CLOCK_BOOTTIME, &now)) {
        int64_t start = (int64_t)strtoull(at, NULL, 10);
        uptime = now.tv_sec * 1000000000 + now.tv_nsec -
                 (start / ticks * 1000000000 + start % ticks * (1000000000 / ticks));
        if (uptime < 0)
            uptime = 0;
    }
    ca_buf_deinit(&text);
    return uptime;
}

uint64_t ca_procfs_memory_available(void)
{
    struct ca_buf text = {0};
    uint64_t kilobytes = 0;
    if (!ca_procfs_read(&text, "/proc/meminfo") && text.data) {
        const char *line = strstr(text.data, "MemAvailable:");
        if (line)
            kilobytes = strtoull(line + strlen("MemAvailable:"), NULL, 10);
    }
    ca_buf_deinit(&text);
    return kilobytes << 10;
}

bool ca_procfs_tids(int64_t pid, struct ca_tids *ret)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/task", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    ret->list.len = 0;
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        long tid = strtol(entry->d_name, NULL, 10);
        if (tid > 0 && tid <= INT32_MAX && !ca_vec_push(&ret->list, (pid_t)tid))
            break;
    }
    closedir(folder);
    return true;
}

bool ca_procfs_same_namespace(int64_t pid, const char *kind)
{
    char path[64];
    struct stat own, other;
    snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
    if (stat(path, &own))
        return true;
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/ns/%s", pid, kind);
    return stat(path, &other) || (own.st_dev == other.st_dev && own.st_ino == other.st_ino);
}

/* The kernel writes a newline in a name as \012. */
static size_t unescape(char *text, size_t size)
{
    size_t to = 0;
    for (size_t at = 0; at < size; at++) {
        if (size - at >= 4 && !memcmp(text + at, "\\012", 4)) {
            text[to++] = '\n';
            at += 3;
        } else {
            text[to++] = text[at];
        }
    }
    return to;
}

/* "start-end rwxp offset device inode   path" */
static struct ca_error *add_line(struct ca_target *target, char *line, size_t size)
{
    struct ca_mapping mapping = {0};
    char flags[5];
    int at = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s%n", &mapping.start,
               &mapping.end, flags, &mapping.file_offset, &at) != 4 ||
        !at || mapping.start >= mapping.end)
        return NULL;
    mapping.flags =
        (flags[0] == 'r' ? PF_R : 0) | (flags[1] == 'w' ? PF_W : 0) | (flags[2] == 'x' ? PF_X : 0);
    char *path = line + at;
    path += strspn(path, " ");
    if (*path == '/') {
        size_t length = unescape(path, size - (size_t)(path - line));
        mapping.path = ca_path_intern(target, path, length, &mapping.deleted);
        if (!mapping.path)
            return &ca_error_nomem;
    }
    return ca_vec_push(&target->mappings, mapping) ? NULL : &ca_error_nomem;
}

struct ca_error *ca_procfs_mappings(struct ca_target *target, int64_t tid)
{
    struct ca_buf text = {0};
    int failed = ca_procfs_read(&text, "/proc/%" PRId64 "/maps", tid);
    struct ca_error *error = NULL;
    if (failed)
        error = ca_error_create(failed == ENOMEM                      ? CA_ERROR_NOMEM
                                : failed == EACCES || failed == EPERM ? CA_ERROR_PERMISSION
                                                                      : CA_ERROR_IO,
                                "/proc/%" PRId64 "/maps: %s", tid, strerror(failed));
    for (char *line = text.data; !error && line && *line;) {
        size_t size = strcspn(line, "\n");
        char *next = line[size] ? line + size + 1 : NULL;
        line[size] = 0;
        error = add_line(target, line, size);
        line = next;
    }
    ca_buf_deinit(&text);
    return error;
}

struct ca_error *ca_procfs_auxv(struct ca_target *target, int64_t tid)
{
    struct ca_buf text = {0};
    struct ca_error *error = NULL;
    if (!ca_procfs_read(&text, "/proc/%" PRId64 "/auxv", tid))
        for (size_t at = 0; text.len - at >= sizeof(struct ca_auxv); at += sizeof(struct ca_auxv)) {
            struct ca_auxv entry;
            memcpy(&entry, text.data + at, sizeof(entry));
            if (entry.type == AT_NULL)
                break;
            if (!ca_vec_push(&target->auxv, entry)) {
                error = &ca_error_nomem;
                break;
            }
        }
    ca_buf_deinit(&text);
    return error;
}
