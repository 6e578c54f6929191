#include "base/ahead.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"

enum {
    COUNT_LEAST = 4096,
    LINE = 64,
    ROUND = 64,           /* how often the two compare where they are */
    NEAR = 256,           /* nearer it does not look: the caller is there at once */
    FAR = 16384,          /* what it saw farther ahead would be out of the cache again */
    WAIT_NS = 100 * 1000, /* while it is too far ahead */
};

struct ca_ahead {
    pthread_t thread;
    void (*look)(void *arg, uint64_t i);
    void *arg;
    uint64_t count;
    _Atomic uint64_t caller; /* where it is */
    _Atomic bool stop;
};

static bool stopped(const struct ca_ahead *ahead)
{
    return atomic_load_explicit(&ahead->stop, memory_order_relaxed);
}

/* Where to go on: never behind the caller, not too far ahead of it. UINT64_MAX: nowhere. */
static uint64_t keep_distance(const struct ca_ahead *ahead, uint64_t i)
{
    static const struct timespec wait = {.tv_nsec = WAIT_NS};
    for (;;) {
        uint64_t caller = atomic_load_explicit(&ahead->caller, memory_order_relaxed);
        if (stopped(ahead))
            return UINT64_MAX;
        if (i < caller + NEAR)
            return (caller + 2 * NEAR) / ROUND * ROUND;
        if (i <= caller + FAR)
            return i;
        nanosleep(&wait, NULL);
    }
}

static void *run(void *arg)
{
    struct ca_ahead *ahead = arg;
    for (uint64_t i = 0; i < ahead->count; i++) {
        if (i % ROUND == 0 && (i = keep_distance(ahead, i)) >= ahead->count)
            break;
        ahead->look(ahead->arg, i);
    }
    return NULL;
}

struct ca_ahead *ca_ahead_start(void (*look)(void *arg, uint64_t i), void *arg, uint64_t count)
{
    if (count < COUNT_LEAST)
        return NULL;
    struct ca_ahead *ahead = calloc(1, sizeof(*ahead));
    if (!ahead)
        return NULL;
    ahead->look = look;
    ahead->arg = arg;
    ahead->count = count;
    if (ca_thread_start(&ahead->thread, run, ahead))
        return ahead;
    free(ahead);
    return NULL;
}

void ca_ahead_tell(struct ca_ahead *ahead, uint64_t i)
{
    if (ahead && i % ROUND == 0)
        atomic_store_explicit(&ahead->caller, i, memory_order_relaxed);
}

void ca_ahead_touch(const uint8_t *bytes, uint64_t size)
{
    const volatile uint8_t *touched = bytes;
    for (uint64_t i = 0; touched && i < size; i += LINE)
        (void)touched[i];
    if (touched && size)
        (void)touched[size - 1];
}

void ca_ahead_stop(struct ca_ahead *ahead)
{
    if (!ahead)
        return;
    atomic_store_explicit(&ahead->stop, true, memory_order_relaxed);
    pthread_join(ahead->thread, NULL);
    free(ahead);
}
