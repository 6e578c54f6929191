#include "base/large.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/thread.h"

enum { FORGET_LEAST = 64 << 20 };

void ca_large_expect(void *data, size_t size)
{
    if (size < CA_LARGE_LEAST)
        return;
    uintptr_t start = ((uintptr_t)data + CA_LARGE_PAGE - 1) & -(uintptr_t)CA_LARGE_PAGE;
    uintptr_t end = ((uintptr_t)data + size) & -(uintptr_t)CA_LARGE_PAGE;
    if (start < end)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
}

void *ca_large_grow(void *old, size_t used, size_t size)
{
    void *data = NULL;
    if (posix_memalign(&data, CA_LARGE_PAGE, size))
        return NULL;
    ca_large_expect(data, size);
    if (used)
        memcpy(data, old, used);
    free(old);
    return data;
}

struct part {
    uint8_t *data;
    size_t size;
};

static void *let_go(void *arg)
{
    const struct part *part = arg;
    madvise(part->data, part->size, MADV_DONTNEED);
    return NULL;
}

void ca_large_forget(void *data, size_t size)
{
    size_t half = size / 2 & -(size_t)CA_LARGE_PAGE;
    struct part first = {data, half}, second = {(uint8_t *)data + half, size - half};
    pthread_t thread;
    if (!data || size < FORGET_LEAST || !ca_thread_start(&thread, let_go, &second))
        return;
    let_go(&first);
    pthread_join(thread, NULL);
}
