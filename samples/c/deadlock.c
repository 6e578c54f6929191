// Transfers between two accounts lock the one, look something up, then lock the other: two of them
// in opposite directions wait for each other for ever. Repaired: always the lower address first.
//
// expect: count=1200 reason="mutex lock" verdict=leaked proof=deadlock final=leaked
//     pattern=deadlock-cycle site=transfer
// account: leak=1201 repaired=1
#include <stdlib.h>

#include "sample.h"

struct transfer {
    struct co_mutex *from;
    struct co_mutex *to;
};

static void transfer(void *argument)
{
    struct transfer *t = argument;

    co_mutex_lock(t->from);
    co_sleep(1 * MS);
    ABOUT_TO(transfer, "mutex lock", t->to);
    co_mutex_lock(t->to);
    sample_done();
    co_mutex_unlock(t->to);
    co_mutex_unlock(t->from);
}

static void transfer_in_order(void *argument)
{
    struct transfer *t = argument;
    struct co_mutex *low = t->from < t->to ? t->from : t->to;
    struct co_mutex *high = t->from < t->to ? t->to : t->from;

    ABOUT_TO(transfer_in_order, "mutex lock", low);
    co_mutex_lock(low);
    sample_done();
    co_sleep(1 * MS);
    co_mutex_lock(high);
    co_mutex_unlock(high);
    co_mutex_unlock(low);
}

static void pairs(void (*task)(void *))
{
    for (int i = 0; i < SAMPLE_TASKS / 2; i++) {
        struct co_mutex *accounts = calloc(2, sizeof(*accounts));
        struct transfer *transfers = calloc(2, sizeof(*transfers));

        transfers[0] = (struct transfer){.from = &accounts[0], .to = &accounts[1]};
        transfers[1] = (struct transfer){.from = &accounts[1], .to = &accounts[0]};
        co_spawn(task, &transfers[0], "there");
        co_spawn(task, &transfers[1], "back");
    }
}

static void leak(void)
{
    pairs(transfer);
}

static void repaired(void)
{
    pairs(transfer_in_order);
}

SAMPLE_MAIN
