// Consumers wait for a condition; the producer changes it and forgets to signal. Repaired: it
// broadcasts.
//
// expect: count=1200 reason="cond wait" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=lost-signal site=await_stock
// account: leak=1201 repaired=1
#include <stdlib.h>

#include "sample.h"

struct shop {
    struct co_mutex mutex;
    struct co_cond delivered;
    bool stock;
};

static void await_stock(void *argument)
{
    struct shop *shop = argument;

    co_mutex_lock(&shop->mutex);
    ABOUT_TO(await_stock, "cond wait", &shop->delivered);
    while (!shop->stock)
        co_cond_wait(&shop->delivered, &shop->mutex);
    sample_done();
    co_mutex_unlock(&shop->mutex);
}

static void deliver(bool tell)
{
    struct shop *shop = calloc(1, sizeof(*shop));

    for (int i = 0; i < SAMPLE_TASKS; i++)
        co_spawn(await_stock, shop, "customer");
    co_yield ();
    co_mutex_lock(&shop->mutex);
    shop->stock = true;
    if (tell)
        co_cond_broadcast(&shop->delivered);
    co_mutex_unlock(&shop->mutex);
}

static void leak(void)
{
    deliver(false);
}

static void repaired(void)
{
    deliver(true);
}

SAMPLE_MAIN
