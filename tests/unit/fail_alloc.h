/* Allocations that fail on demand. Unit tests are linked with --wrap for malloc, calloc and
 * realloc, so that it holds for the library under test as well.
 */
#ifndef CA_TESTS_FAIL_ALLOC_H
#define CA_TESTS_FAIL_ALLOC_H

/* The nth allocation from now fails (1: the next), once. 0: none fails, from now on. */
void ca_test_fail_alloc(unsigned nth);

/* How many allocations there were since the last ca_test_fail_alloc. */
unsigned ca_test_count_allocs(void);

#endif
