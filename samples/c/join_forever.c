// Requests wait for the end of a refresh that itself waits for a channel to which nobody sends.
// Repaired: the channel is closed when there is nothing to refresh.
//
// expect: count=1200 reason="join" verdict=suspect rule=threshold threshold=1000 final=leaked
//     site=request
// expect: count=1 reason="chan receive" verdict=waiting final=leaked site=refresh
// account: leak=1202 repaired=1
#include "sample.h"

static struct co_handle refreshing;

static void refresh(void *changes)
{
    int change;

    ABOUT_TO(refresh, "chan receive", changes);
    while (co_receive(changes, &change))
        ;
    sample_done();
}

static void request(void *unused)
{
    (void)unused;
    ABOUT_TO(request, "join", refreshing.task);
    co_join(refreshing);
    sample_done();
}

static void requests(bool close)
{
    struct co_chan *changes = co_chan_create(sizeof(int), 0);

    refreshing = co_spawn(refresh, changes, "refresh");
    for (int i = 0; i < SAMPLE_TASKS; i++)
        co_spawn(request, NULL, "request");
    co_yield ();
    if (close)
        co_chan_close(changes);
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
