// Tasks wait for a configuration that is sent to the first of them only. Repaired: closing the
// channel tells all.
//
// expect: count=1200 reason="chan receive" verdict=suspect rule=threshold threshold=1000
//     final=leaked pattern=orphaned-receiver site=await_config
// account: leak=1201 repaired=1
#include "sample.h"

static void await_config(struct co_chan *configured)
{
    ABOUT_TO(subscriber, "chan receive", configured);
    co_receive(configured, NULL);
    sample_done();
}

static void subscriber(void *configured)
{
    await_config(configured);
}

static void configure(bool tell_all)
{
    struct co_chan *configured = co_chan_create(0, 0);

    for (int i = 0; i < SAMPLE_TASKS + 1; i++)
        co_spawn(subscriber, configured, "subscriber");
    co_yield ();
    if (tell_all)
        co_chan_close(configured);
    else
        co_send(configured, NULL);
}

static void leak(void)
{
    configure(false);
}

static void repaired(void)
{
    configure(true);
}

SAMPLE_MAIN
