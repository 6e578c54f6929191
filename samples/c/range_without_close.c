// Consumers take from a channel until it is closed, and nobody closes it. Repaired: the producer
// does when it has sent everything.
//
// expect: count=1200 reason="chan receive" verdict=suspect rule=threshold threshold=1000
//     final=leaked pattern=range-without-close site=consume
// account: leak=1201 repaired=1
#include "sample.h"

static void consume(void *items)
{
    int item;

    ABOUT_TO(consume, "chan receive", items);
    while (co_receive(items, &item))
        ;
    sample_done();
}

static void produce(bool close)
{
    for (int i = 0; i < SAMPLE_TASKS; i++) {
        struct co_chan *items = co_chan_create(sizeof(int), 4);

        co_spawn(consume, items, "consumer");
        for (int item = 0; item < 10; item++)
            co_send(items, &item);
        if (close)
            co_chan_close(items);
    }
}

static void leak(void)
{
    produce(false);
}

static void repaired(void)
{
    produce(true);
}

SAMPLE_MAIN
