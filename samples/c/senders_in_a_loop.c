// Monitors send measurements in an endless loop; their receivers read ten and leave. Repaired: a
// receiver that leaves closes a channel that its monitor watches.
//
// expect: count=1200 reason="chan send" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=senders-in-a-loop site=monitor
// account: leak=1201 repaired=1
#include <stdlib.h>

#include "sample.h"

struct session {
    struct co_chan *values;
    struct co_chan *over;
};

static void monitor(void *argument)
{
    struct session *session = argument;

    for (int value = 0;; value++) {
        ABOUT_TO(monitor, "chan send", session->values);
        co_send(session->values, &value);
    }
}

static void monitor_until_over(void *argument)
{
    struct session *session = argument;
    int value = 0;
    struct co_case cases[] = {{session->values, CO_SEND, &value},
                              {session->over, CO_RECEIVE, NULL}};

    ABOUT_TO(monitor_until_over, "select", cases);
    while (co_select(cases, 2, CO_FOREVER, NULL) == 0)
        value++;
    sample_done();
}

static void sessions(void (*task)(void *))
{
    for (int i = 0; i < SAMPLE_TASKS; i++) {
        struct session *session = malloc(sizeof(*session));
        int value;

        session->values = co_chan_create(sizeof(int), 0);
        session->over = co_chan_create(0, 0);
        co_spawn(task, session, "monitor");
        for (int k = 0; k < 10; k++)
            co_receive(session->values, &value);
        co_chan_close(session->over);
    }
}

static void leak(void)
{
    sessions(monitor);
}

static void repaired(void)
{
    sessions(monitor_until_over);
}

SAMPLE_MAIN
