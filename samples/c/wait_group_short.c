// A batch waits for as many parts as it was told, but an empty part returns without counting itself
// as done. Repaired: every part is counted.
//
// expect: count=1200 reason="group wait" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=waitgroup-short site=batch
// account: leak=1201 repaired=1
#include "sample.h"

struct part {
    struct co_group *parts;
    int items;
    bool always_done;
};

static void process(void *argument)
{
    struct part *part = argument;

    if (part->items == 0 && !part->always_done)
        return;
    co_group_done(part->parts);
}

static void batch(void *always_done)
{
    struct co_group parts = {0};
    struct part work[2] = {{&parts, 5, *(bool *)always_done}, {&parts, 0, *(bool *)always_done}};

    co_group_add(&parts, 2);
    co_spawn(process, &work[0], "part");
    co_spawn(process, &work[1], "part");
    ABOUT_TO(batch, "group wait", &parts);
    co_group_wait(&parts);
    sample_done();
}

static void batches(bool always_done)
{
    static bool argument;

    argument = always_done;
    for (int i = 0; i < SAMPLE_TASKS; i++)
        co_spawn(batch, &argument, "batch");
}

static void leak(void)
{
    batches(false);
}

static void repaired(void)
{
    batches(true);
}

SAMPLE_MAIN
