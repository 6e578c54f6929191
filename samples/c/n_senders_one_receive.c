// Many tasks report to one channel, and only one report is read. Repaired: all are.
//
// expect: count=1200 reason="chan send" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=n-cast site=report
// account: leak=1201 repaired=1
#include "sample.h"

static void report(void *reports)
{
    int value = 1;

    ABOUT_TO(report, "chan send", reports);
    co_send(reports, &value);
    sample_done();
}

static void collect(int tasks, int reads)
{
    struct co_chan *reports = co_chan_create(sizeof(int), 0);
    int value;

    for (int i = 0; i < tasks; i++)
        co_spawn(report, reports, NULL);
    for (int i = 0; i < reads; i++)
        co_receive(reports, &value);
}

static void leak(void)
{
    collect(SAMPLE_TASKS + 1, 1);
}

static void repaired(void)
{
    collect(SAMPLE_TASKS + 1, SAMPLE_TASKS + 1);
}

SAMPLE_MAIN
