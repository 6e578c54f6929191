// Watchers select between events and a cancel channel. Nobody sends events any more and nobody
// cancels. Repaired: whoever starts the watchers closes the cancel channel.
//
// expect: count=1200 reason="select" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=orphaned-receiver site=watch
// account: leak=1201 repaired=1
#include "sample.h"

static void watch(void *cancel)
{
    struct co_chan *events = co_chan_create(sizeof(int), 8);
    int event;
    struct co_case cases[] = {{events, CO_RECEIVE, &event}, {cancel, CO_RECEIVE, NULL}};

    ABOUT_TO(watch, "select", cases);
    while (co_select(cases, 2, CO_FOREVER, NULL) == 0)
        ;
    sample_done();
    co_chan_destroy(events);
}

static void watchers(bool cancelled)
{
    struct co_chan *cancel = co_chan_create(0, 0);

    for (int i = 0; i < SAMPLE_TASKS; i++)
        co_spawn(watch, cancel, "watcher");
    co_yield ();
    if (cancelled)
        co_chan_close(cancel);
}

static void leak(void)
{
    watchers(false);
}

static void repaired(void)
{
    watchers(true);
}

SAMPLE_MAIN
