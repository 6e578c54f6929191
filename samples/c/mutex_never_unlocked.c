// A task returns on an error with a mutex locked; all later ones wait for it, and its owner is no
// task any more. Repaired: it unlocks on every path.
//
// expect: count=1200 reason="mutex lock" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=lock-never-released site=store
// account: leak=1201 repaired=1
#include <stdlib.h>

#include "sample.h"

struct cache {
    struct co_mutex mutex;
    int values;
    bool unlock_on_error;
};

static bool store(struct cache *cache)
{
    ABOUT_TO(request, "mutex lock", &cache->mutex);
    co_mutex_lock(&cache->mutex);
    if (cache->values++ == 0 && !cache->unlock_on_error)
        return false;
    co_mutex_unlock(&cache->mutex);
    return true;
}

static void request(void *cache)
{
    store(cache);
    sample_done();
}

static void requests(bool unlock_on_error)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    cache->unlock_on_error = unlock_on_error;
    for (int i = 0; i < SAMPLE_TASKS + 1; i++)
        co_spawn(request, cache, "request");
}

static void leak(void)
{
    requests(false);
}

static void repaired(void)
{
    requests(true);
}

SAMPLE_MAIN
