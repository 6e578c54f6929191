/* What coro.c offers to the waiting primitives in coro_wait.c. */
#ifndef CORO_INTERNAL_H
#define CORO_INTERNAL_H

#include "coro.h"

void co_queue_add(struct co_queue *queue, struct co_waiter *waiter);
void co_queue_remove(struct co_waiter *waiter);

/* Parks the current task until a waiter of its own is woken, or until the deadline (CLOCK_MONOTONIC
 * ns; 0: none). Returns that waiter, already off its queue, or NULL after the deadline. */
struct co_waiter *co_park(enum co_reason reason, void *object, uint64_t cases, int64_t deadline_ns);

/* Takes the waiter off its queue and makes its task runnable. */
void co_wake(struct co_waiter *waiter, bool ok);

/* CLOCK_MONOTONIC now + ns; 0 for CO_FOREVER. */
int64_t co_deadline(int64_t ns);

#endif
