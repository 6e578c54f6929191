#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "target/procfs.h"
#include "target/trace.h"

enum { CAP_SYS_PTRACE_BIT = 19 };

static bool may_trace_all(void)
{
    uint64_t caps;
    return ca_procfs_status(getpid(), "CapEff", 16, &caps) && caps >> CAP_SYS_PTRACE_BIT & 1;
}

/* Yama's ptrace_scope; 0 where there is no Yama. */
static int yama_scope(void)
{
    struct ca_buf text = {0};
    int scope = 0;
    if (!ca_procfs_read(&text, "/proc/sys/kernel/yama/ptrace_scope") && text.data)
        scope = (int)strtol(text.data, NULL, 10);
    ca_buf_deinit(&text);
    return scope;
}

static struct ca_error *busy(int64_t pid, uint64_t tracer)
{
    char name[16];
    ca_procfs_name((int64_t)tracer, name);
    return ca_error_create(CA_ERROR_BUSY,
                           "process %" PRId64 " is already traced by process %" PRIu64 " (%s): end "
                           "that one, or read it there, or by --no-stop",
                           pid, tracer, *name ? name : "?");
}

struct ca_error *ca_trace_busy(int64_t pid)
{
    struct ca_tids tids = {0};
    struct ca_error *error = NULL;
    uint64_t tracer;
    if (ca_procfs_tids(pid, &tids))
        for (size_t i = 0; !error && i < tids.list.len; i++)
            if (ca_procfs_status(tids.list.data[i], "TracerPid", 10, &tracer) && tracer)
                error = busy(pid, tracer);
    ca_vec_deinit(&tids.list);
    return error;
}

struct ca_error *ca_trace_gone(int64_t pid)
{
    struct ca_tids tids = {0};
    bool lives = false;
    if (ca_procfs_tids(pid, &tids))
        for (size_t i = 0; !lives && i < tids.list.len; i++)
            lives = !ca_procfs_ended(tids.list.data[i]);
    ca_vec_deinit(&tids.list);
    return lives ? NULL : ca_error_create(CA_ERROR_NOT_FOUND, "process %" PRId64 " has ended", pid);
}

static struct ca_error *foreign(int64_t pid)
{
    uint64_t uid;
    char path[64];
    struct stat st;
    if (geteuid() != 0 && ca_procfs_status(pid, "Uid", 10, &uid) && uid != geteuid())
        return ca_error_create(CA_ERROR_PERMISSION,
                               "process %" PRId64 " belongs to another user (uid %" PRIu64
                               "): run as that user or as root",
                               pid, uid);
    snprintf(path, sizeof(path), "/proc/%" PRId64, pid);
    if (geteuid() != 0 && !stat(path, &st) && st.st_uid != geteuid())
        return ca_error_create(CA_ERROR_PERMISSION,
                               "process %" PRId64 " is not dumpable (it changed its user, has "
                               "capabilities, or asked for it): run as root",
                               pid);
    return NULL;
}

/* Who is about to end may not be traced any more, a moment before it can be seen. */
static bool is_ending(int64_t tid)
{
    static const struct timespec pause = {0, 1000000};
    for (int i = 0; i < 30; i++) {
        if (ca_procfs_ended(tid))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

struct ca_error *ca_trace_denied(int64_t pid, int64_t tid)
{
    uint64_t tracer;
    if (ca_procfs_status(tid, "TracerPid", 10, &tracer) && tracer && tracer != (uint64_t)getpid())
        return busy(pid, tracer);
    if (is_ending(tid))
        return ca_error_create(CA_ERROR_NOT_FOUND, "process %" PRId64 " has ended", pid);
    struct ca_error *error = foreign(pid);
    if (error)
        return error;
    int scope = yama_scope();
    if (scope >= 3)
        return ca_error_create(CA_ERROR_PERMISSION,
                               "attaching to process %" PRId64 " is not allowed on this machine "
                               "(kernel.yama.ptrace_scope is 3, until it boots again): take a core",
                               pid);
    if (!may_trace_all() && scope)
        return ca_error_create(CA_ERROR_PERMISSION,
                               "attaching to process %" PRId64 " needs root "
                               "(kernel.yama.ptrace_scope is %d): use sudo%s",
                               pid, scope,
                               scope == 1 ? ", or sysctl kernel.yama.ptrace_scope=0" : "");
    if (!ca_procfs_same_namespace(pid, "user"))
        return ca_error_create(CA_ERROR_PERMISSION,
                               "process %" PRId64 " is in another user namespace (a container): "
                               "run as root of the host, or inside of it",
                               pid);
    if (!may_trace_all())
        return ca_error_create(CA_ERROR_PERMISSION,
                               "the kernel does not let us attach to process %" PRId64
                               ": the capability SYS_PTRACE is missing (in a container: "
                               "--cap-add=SYS_PTRACE)",
                               pid);
    return ca_error_create(CA_ERROR_PERMISSION,
                           "the kernel does not let us attach to process %" PRId64
                           ": a security module or a seccomp filter may forbid it",
                           pid);
}
