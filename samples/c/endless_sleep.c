// A retry whose delay was computed from a missing setting sleeps for ever. Repaired: it has a
// default of a millisecond.
//
// expect: count=1200 reason="sleep" verdict=suspect rule=threshold threshold=1000 final=leaked
//     site=retry
// account: leak=1201 repaired=1
#include "sample.h"

static void retry(void *delay)
{
    ABOUT_TO(retry, "sleep", NULL);
    co_sleep(*(int64_t *)delay);
    sample_done();
}

static void retries(int64_t delay)
{
    static int64_t setting;

    setting = delay;
    for (int i = 0; i < SAMPLE_TASKS; i++)
        co_spawn(retry, &setting, "retry");
}

static void leak(void)
{
    retries(CO_FOREVER);
}

static void repaired(void)
{
    retries(1 * MS);
}

SAMPLE_MAIN
