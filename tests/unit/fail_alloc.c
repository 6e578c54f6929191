#include "fail_alloc.h"

#include <stdbool.h>
#include <stddef.h>

static unsigned failing, count;

void ca_test_fail_alloc(unsigned nth)
{
    failing = nth;
    count = 0;
}

unsigned ca_test_count_allocs(void)
{
    return count;
}

static bool fails(void)
{
    return ++count == failing;
}

/* The names are the linker's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    return fails() ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}
