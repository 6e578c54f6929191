/* Writing a core in which more than the kernel's threads are threads: every parked task.
 *
 * export.c        the file: a name of its own until it is whole, then in place
 * export_notes.c  the notes: the target's own, then one thread for each task
 * export_copy.c   the memory of a core: cloned or copied with its holes, notes put behind it
 * export_dump.c   the memory of a process or of a debugger's target: read and written
 */
#ifndef CA_TARGET_EXPORT_H
#define CA_TARGET_EXPORT_H

#include <sys/types.h>

#include "base/buf.h"
#include "target/target.h"

/* A task as a thread. */
struct ca_export_thread {
    int64_t tid; /* another one than every thread's of the target, and positive 31 bits */
    struct ca_regs regs;
    char name[48];
};

struct ca_export {
    struct ca_target *target;
    const struct ca_export_thread *threads;
    size_t count;
    ca_progress_fn *progress; /* may be NULL */
    void *progress_arg;
};

/* The name of our note; its text has one line "TID NAME" for each task. gdb/leaks.py reads it. */
#define CA_EXPORT_NOTE "COREANALYZE"
enum { CA_EXPORT_NOTE_NAMES = 1 };

/* Writes the file, whole or not at all. An existing out is an error unless overwrite; the core that
 * the target comes from is one always, by whatever name. */
struct ca_error *ca_export_write(const struct ca_export *export, const char *out, bool overwrite);

/* Adds the notes of the tasks. own: the target's own notes as its core has them, or NULL, then they
 * are made of what the target knows. */
void ca_export_notes(const struct ca_export *export, const uint8_t *own, size_t own_size,
                     struct ca_buf *ret);

struct ca_error *ca_export_copy(const struct ca_export *export, int fd);
struct ca_error *ca_export_dump(const struct ca_export *export, int fd);

/* Writes all, at a place in the file. */
struct ca_error *ca_export_put(int fd, const void *bytes, size_t size, uint64_t at);
/* CA_ERROR_CANCELLED when the progress callback says so. */
struct ca_error *ca_export_poll(const struct ca_export *export, uint64_t done, uint64_t total);

#endif
