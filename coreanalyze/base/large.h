/* Large tables that will be filled soon: the kernel is asked for large pages, since a fault for
 * each small page costs more than what is written to it.
 */
#ifndef CA_BASE_LARGE_H
#define CA_BASE_LARGE_H

#include <stddef.h>

enum { CA_LARGE_PAGE = 2 << 20, CA_LARGE_LEAST = 2 * CA_LARGE_PAGE };

/* For bytes that were just allocated. The C library cannot move them by their pages any more, so
 * that realloc would copy. */
void ca_large_expect(void *data, size_t size);

/* Memory of at least CA_LARGE_LEAST bytes for free(), with the first `used` bytes of old, which is
 * freed. NULL: none; old is as it was. */
void *ca_large_grow(void *old, size_t used, size_t size);

/* Before a mapped file is unmapped: two threads let go of a half of its pages each, since the
 * kernel lets go of every page by itself. NULL: nothing. */
void ca_large_forget(void *data, size_t size);

#endif
