/* A second thread that looks at what the first will look at soon, so that the page faults and cache
 * misses are over by then. It decides nothing and changes nothing: with it or without it the
 * results are the same, and whoever starts one need not care whether it could be.
 */
#ifndef CA_BASE_AHEAD_H
#define CA_BASE_AHEAD_H

#include <stdint.h>

struct ca_ahead;

/* Calls look(arg, i) on the other thread for ascending i below count, not for all of them, ahead of
 * where ca_ahead_tell says that the caller is. look reads only what nobody writes meanwhile. NULL:
 * there is no thread (a single processor, little to do, no memory); the other calls take it. */
struct ca_ahead *ca_ahead_start(void (*look)(void *arg, uint64_t i), void *arg, uint64_t count);
void ca_ahead_tell(struct ca_ahead *ahead, uint64_t i);
/* Reads a word of every cache line of size bytes; NULL: nothing. */
void ca_ahead_touch(const uint8_t *bytes, uint64_t size);
/* Returns when the thread has ended. */
void ca_ahead_stop(struct ca_ahead *ahead);

#endif
