#include "analysis/circle.h"

#include <string.h>

enum { STEPS = 12 };

struct telling {
    struct ca_strings *strings;
    struct ca_evidence *list;
    size_t count;
    bool nomem;
};

static void tell(struct telling *t, const char *kind, const char *text, uint64_t address,
                 uint32_t task)
{
    const char *kept = ca_strings_intern(t->strings, text, strlen(text));
    if (!kept)
        t->nomem = true;
    else if (t->count < CA_CIRCLE_EVIDENCE)
        t->list[t->count++] = (struct ca_evidence){.kind = kind,
                                                   .text = kept,
                                                   .has_address = address != 0,
                                                   .address = address,
                                                   .task = task};
}

uint32_t ca_circle_owner(const struct ca_tasks *tasks, uint32_t task)
{
    struct ca_wait room;
    const struct ca_wait *wait =
        task == CA_NONE ? NULL : ca_tasks_wait(tasks, &tasks->list.data[task], &room);
    return wait && wait->owner < tasks->list.len ? wait->owner : CA_NONE;
}

/* A second walk at half the speed is met only in a circle. */
bool ca_circle_ahead(const struct ca_tasks *tasks, uint32_t task)
{
    uint32_t slow = task, fast = ca_circle_owner(tasks, task);
    while (fast != CA_NONE && fast != slow) {
        slow = ca_circle_owner(tasks, slow);
        fast = ca_circle_owner(tasks, ca_circle_owner(tasks, fast));
    }
    return fast != CA_NONE;
}

static const char *what(const struct ca_wait *wait, bool first)
{
    switch (wait->kind) {
    case CA_WAIT_JOIN:
        return first ? "waits for the end of another task" : "which waits for the end of another";
    case CA_WAIT_RWMUTEX:
        return first ? "waits for a read-write mutex" : "which waits for a read-write mutex";
    default:
        return first ? "waits for a mutex" : "which waits for a mutex";
    }
}

size_t ca_circle_evidence(struct ca_tasks *tasks, uint32_t task,
                          struct ca_evidence ret[CA_CIRCLE_EVIDENCE])
{
    struct telling t = {.strings = &tasks->strings, .list = ret};
    uint32_t path[STEPS];
    const char *end = "and so on: the circle is longer than what is shown";
    for (size_t i = 0; i < STEPS; i++) {
        struct ca_wait room;
        const struct ca_wait *wait = ca_tasks_wait(tasks, &tasks->list.data[task], &room);
        if (!wait || wait->owner >= tasks->list.len) {
            end = "who holds it is leaked";
            break;
        }
        uint64_t address = wait->has_address ? wait->channel.address : 0;
        path[i] = task;
        tell(&t, "waits", what(wait, !i), address, task);
        task = wait->owner;
        tell(&t, "owner", wait->kind == CA_WAIT_JOIN ? "of" : "held by", address, task);
        bool closed = false;
        for (size_t k = 0; k <= i; k++)
            closed = closed || path[k] == task;
        if (closed) {
            end = "which closes the circle: none waits with a time limit, so none can go on";
            break;
        }
    }
    tell(&t, "deadlock", end, 0, CA_NONE);
    return t.nomem ? 0 : t.count;
}
