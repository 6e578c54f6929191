/* Channels, select, mutexes, conditions, groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro.h"
#include "coro_internal.h"

struct co_chan *co_chan_create(size_t element_size, size_t capacity)
{
    struct co_chan *chan = calloc(1, sizeof(*chan) + element_size * capacity);

    if (!chan) {
        fprintf(stderr, "coro: no memory for a channel\n");
        abort();
    }
    chan->element_size = element_size;
    chan->capacity = capacity;
    return chan;
}

void co_chan_destroy(struct co_chan *chan)
{
    free(chan);
}

static void copy(struct co_chan *chan, void *to, const void *from)
{
    if (chan->element_size)
        memcpy(to, from, chan->element_size);
}

static char *slot(struct co_chan *chan, size_t i)
{
    return chan->buffer + (chan->head + i) % chan->capacity * chan->element_size;
}

/* A waiter whose task is runnable was woken by another case of its select. */
static struct co_waiter *first_waiting(struct co_queue *queue)
{
    while (queue->first && queue->first->task->state != CO_WAITING)
        co_queue_remove(queue->first);
    return queue->first;
}

/* Tries without waiting. *ok says whether a value has passed; false: the channel is closed. */
static bool try_send(struct co_chan *chan, const void *value, bool *ok)
{
    struct co_waiter *receiver;

    *ok = !chan->closed;
    if (chan->closed)
        return true;
    if ((receiver = first_waiting(&chan->receivers))) {
        copy(chan, receiver->value, value);
        co_wake(receiver, true);
        return true;
    }
    if (chan->length == chan->capacity)
        return false;
    copy(chan, slot(chan, chan->length++), value);
    return true;
}

static bool try_receive(struct co_chan *chan, void *value, bool *ok)
{
    struct co_waiter *sender = first_waiting(&chan->senders);

    *ok = true;
    if (chan->length > 0) {
        copy(chan, value, slot(chan, 0));
        chan->head = (chan->head + 1) % chan->capacity;
        chan->length--;
        if (sender) {
            copy(chan, slot(chan, chan->length++), sender->value);
            co_wake(sender, true);
        }
        return true;
    }
    if (sender) {
        copy(chan, value, sender->value);
        co_wake(sender, true);
        return true;
    }
    *ok = !chan->closed;
    return chan->closed;
}

static bool try_case(struct co_case *c, bool *ok)
{
    if (!c->chan)
        return false;
    return c->direction == CO_SEND ? try_send(c->chan, c->value, ok)
                                   : try_receive(c->chan, c->value, ok);
}

static struct co_queue *case_queue(struct co_case *c)
{
    return c->direction == CO_SEND ? &c->chan->senders : &c->chan->receivers;
}

/* The cases are tried in order: the first that is ready wins. */
static int wait_cases(struct co_case *cases, int count, int64_t ns, bool *ok, enum co_reason reason,
                      void *object)
{
    for (int i = 0; i < count; i++) {
        if (try_case(&cases[i], ok))
            return i;
    }
    if (ns == 0)
        return -1;

    struct co_waiter waiters[count + 1]; /* never of no size */
    memset(waiters, 0, sizeof(waiters));
    for (int i = 0; i < count; i++) {
        waiters[i].value = cases[i].value;
        waiters[i].index = i;
        if (cases[i].chan)
            co_queue_add(case_queue(&cases[i]), &waiters[i]);
    }
    struct co_waiter *woken =
        co_park(reason, object, reason == CO_SELECT ? (uint64_t)count : 0, co_deadline(ns));
    for (int i = 0; i < count; i++) {
        if (waiters[i].queue)
            co_queue_remove(&waiters[i]);
    }
    if (!woken)
        return -1;
    *ok = woken->ok;
    return woken->index;
}

bool co_send(struct co_chan *chan, const void *value)
{
    struct co_case c = {.chan = chan, .direction = CO_SEND, .value = (void *)value};
    bool ok;

    wait_cases(&c, 1, CO_FOREVER, &ok, CO_CHAN_SEND, chan);
    return ok;
}

bool co_receive(struct co_chan *chan, void *value)
{
    struct co_case c = {.chan = chan, .direction = CO_RECEIVE, .value = value};
    bool ok;

    wait_cases(&c, 1, CO_FOREVER, &ok, CO_CHAN_RECEIVE, chan);
    return ok;
}

int co_select(struct co_case *cases, int count, int64_t ns, bool *ok)
{
    bool unused;

    return wait_cases(cases, count, ns, ok ? ok : &unused, CO_SELECT, cases);
}

void co_chan_close(struct co_chan *chan)
{
    struct co_waiter *waiter;

    chan->closed = true;
    while ((waiter = first_waiting(&chan->receivers)))
        co_wake(waiter, false);
    while ((waiter = first_waiting(&chan->senders)))
        co_wake(waiter, false);
}

static void own(struct co_mutex *mutex, struct co_task *task)
{
    mutex->owner = task;
    mutex->owner_id = task ? task->id : 0;
}

void co_mutex_lock(struct co_mutex *mutex)
{
    struct co_waiter waiter = {0};

    if (!mutex->owner) {
        own(mutex, co_self());
        return;
    }
    co_queue_add(&mutex->waiters, &waiter);
    co_park(CO_MUTEX_LOCK, mutex, 0, 0); /* whoever unlocks hands the mutex over */
}

void co_mutex_unlock(struct co_mutex *mutex)
{
    struct co_waiter *waiter = mutex->waiters.first;

    own(mutex, waiter ? waiter->task : NULL);
    if (waiter)
        co_wake(waiter, true);
}

void co_cond_wait(struct co_cond *cond, struct co_mutex *mutex)
{
    struct co_waiter waiter = {0};

    co_queue_add(&cond->waiters, &waiter);
    co_mutex_unlock(mutex);
    co_park(CO_COND_WAIT, cond, 0, 0);
    co_mutex_lock(mutex);
}

void co_cond_signal(struct co_cond *cond)
{
    if (cond->waiters.first)
        co_wake(cond->waiters.first, true);
}

void co_cond_broadcast(struct co_cond *cond)
{
    while (cond->waiters.first)
        co_wake(cond->waiters.first, true);
}

void co_group_add(struct co_group *group, int64_t n)
{
    group->counter += n;
    while (group->counter <= 0 && group->waiters.first)
        co_wake(group->waiters.first, true);
}

void co_group_done(struct co_group *group)
{
    co_group_add(group, -1);
}

void co_group_wait(struct co_group *group)
{
    struct co_waiter waiter = {0};

    if (group->counter <= 0)
        return;
    co_queue_add(&group->waiters, &waiter);
    co_park(CO_GROUP_WAIT, group, 0, 0);
}
