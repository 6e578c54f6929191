// A caller waits for an answer, but not for longer than a millisecond; the worker is slower and
// then wants to send, to a channel that the caller has forgotten. Repaired: the channel has room
// for it.
//
// expect: count=1200 reason="chan send" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=timeout-leak site=work
// account: leak=1201 repaired=1
#include "sample.h"

static void work(void *answer)
{
    int value = 42;

    co_sleep(3 * MS);
    ABOUT_TO(work, "chan send", answer);
    co_send(answer, &value);
    sample_done();
}

static void caller(void *room)
{
    struct co_chan *answer = co_chan_create(sizeof(int), *(size_t *)room);
    int value;
    struct co_case cases[] = {{answer, CO_RECEIVE, &value}};

    co_spawn(work, answer, "worker");
    co_select(cases, 1, 1 * MS, NULL);
}

static void callers(size_t room)
{
    struct co_handle handles[100];

    for (int i = 0; i < SAMPLE_TASKS / 100; i++) {
        for (int k = 0; k < 100; k++)
            handles[k] = co_spawn(caller, &room, "caller");
        for (int k = 0; k < 100; k++)
            co_join(handles[k]);
    }
}

static void leak(void)
{
    callers(0);
}

static void repaired(void)
{
    callers(1);
}

SAMPLE_MAIN
