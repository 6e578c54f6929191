/* What /proc tells about a process. All of it may be gone at any moment: every call can fail. */
#ifndef CA_TARGET_PROCFS_H
#define CA_TARGET_PROCFS_H

#include <sys/types.h>

#include "base/buf.h"
#include "target/target.h"

/* A whole file of /proc into text (empty before). 0, or an errno. */
int ca_procfs_read(struct ca_buf *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A field of /proc/PID/status ("TracerPid") as a number of this base; false: not there. */
bool ca_procfs_status(int64_t pid, const char *field, int base, uint64_t *ret);

/* The one-letter state of a process or thread ('R', 'Z', ...); 0: it is gone. */
char ca_procfs_state(int64_t tid);

/* Whether a thread has ended, or is so far on the way that it has no memory any more. */
bool ca_procfs_ended(int64_t tid);

/* comm, without its newline; "" when it is gone. */
void ca_procfs_name(int64_t tid, char name[16]);

/* How long it has been running, in ns; CA_UNKNOWN. */
int64_t ca_procfs_uptime(int64_t pid);

/* The memory that programs may still take on this machine, in bytes; 0: not known. */
uint64_t ca_procfs_memory_available(void);

/* The threads of a process. False: it is gone. */
struct ca_tids {
    CA_VEC(pid_t) list;
};
bool ca_procfs_tids(int64_t pid, struct ca_tids *ret);

/* Whether two processes have the same namespace of this kind ("user", "mnt"); true when that cannot
 * be told. */
bool ca_procfs_same_namespace(int64_t pid, const char *kind);

/* Fills mappings and auxv from those of a thread. */
struct ca_error *ca_procfs_mappings(struct ca_target *target, int64_t tid);
struct ca_error *ca_procfs_auxv(struct ca_target *target, int64_t tid);

#endif
