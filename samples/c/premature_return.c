// A caller starts two checks and returns at the first error; the second check waits to report for
// ever. Repaired: the caller hears both before it returns.
//
// expect: count=1200 reason="chan send" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=premature-return site=check
// account: leak=1201 repaired=1
#include <stdlib.h>

#include "sample.h"

static void check(void *results)
{
    bool failed = true;

    ABOUT_TO(check, "chan send", results);
    co_send(results, &failed);
    sample_done();
}

static bool validate(bool hear_both)
{
    struct co_chan *results = co_chan_create(sizeof(bool), 0);
    bool first, second = false;

    co_spawn(check, results, "format");
    co_spawn(check, results, "quota");
    co_receive(results, &first);
    if (first && !hear_both)
        return false;
    co_receive(results, &second);
    return !first && !second;
}

static void validations(bool hear_both)
{
    for (int i = 0; i < SAMPLE_TASKS; i++) {
        if (validate(hear_both))
            abort(); /* the checks above always fail */
    }
}

static void leak(void)
{
    validations(false);
}

static void repaired(void)
{
    validations(true);
}

SAMPLE_MAIN
