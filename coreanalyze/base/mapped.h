/* Files mapped into this process whose bytes may go away while they are looked at: the file is cut,
 * its disk or file system fails. The kernel then sends SIGBUS to whoever reads, which would end the
 * whole process, a debugger's or a Python program's too.
 *
 * Between ca_mapped_enter and ca_mapped_leave a handler answers SIGBUS for addresses in mappings
 * that were made here: it puts zeros where the bytes were and remembers that, and the reading goes
 * on; whoever reads must ask ca_mapped_check before believing the result. Every other SIGBUS is
 * handed to the handler that was there before. Outside the calls of the library the process has
 * its own handler back.
 */
#ifndef CA_BASE_MAPPED_H
#define CA_BASE_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Maps the first size bytes (not 0) of a regular file, privately; NULL: errno says why. fd may be
 * closed. Writing to it, where it is writable, does not reach the file. */
void *ca_mapped_create(int fd, size_t size, bool writable);
/* Only unmaps what was not made by ca_mapped_create. NULL is allowed. */
void ca_mapped_destroy(const void *bytes, size_t size);

/* Guards a mapping that somebody else (libelf) made and will unmap. ca_mapped_unwatch comes before
 * that. False: no memory. */
bool ca_mapped_watch(const void *bytes, size_t size);
void ca_mapped_unwatch(const void *bytes);

/* While this thread calls what maps and reads files by itself: every SIGBUS of this thread is taken
 * for one of theirs. unwatch tells whether there was one. */
bool ca_mapped_watch_thread(void);
bool ca_mapped_unwatch_thread(void);

/* NULL while every byte that was looked at is the file's. Else CA_ERROR_IO: what happened to the
 * file, which the message calls name. bytes: as created or watched. */
struct ca_error *ca_mapped_check(const void *bytes, const char *name);

/* Where the file next has bytes of its own at or behind offset at, and where that stretch ends: the
 * rest are holes, which read as zeros, and cost memory and time when they are read. Both SIZE_MAX:
 * nothing more. Where it is not known, [at, SIZE_MAX). */
void ca_mapped_data(const void *bytes, uint64_t at, uint64_t *start, uint64_t *end);

/* Whether any mapping of this process ever lost bytes: false spares asking each. */
bool ca_mapped_any_lost(void);

/* Whether the file has been written to since it was mapped; *size is how large it is now. False for
 * what is only watched. */
bool ca_mapped_changed(const void *bytes, uint64_t *size);

/* Calls may nest, and come from several threads. */
void ca_mapped_enter(void);
void ca_mapped_leave(int *unused);

/* Guards the rest of the block. */
#define CA_MAPPED_SCOPE                                                                            \
    __attribute__((cleanup(ca_mapped_leave))) int ca_mapped_scope = (ca_mapped_enter(), 0);        \
    (void)ca_mapped_scope

#endif
