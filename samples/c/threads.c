// Four threads, each with a scheduler of its own, beside the main one. In each, workers wait for
// jobs on a channel that their dispatcher has dropped. Repaired: the dispatcher closes it.
//
// expect: count=1200 reason="chan receive" verdict=suspect rule=threshold threshold=1000
//     final=leaked pattern=range-without-close site=worker
// account: leak=1201 repaired=1
#include <pthread.h>

#include "sample.h"

enum { THREADS = 4 };

static bool closing;
static pthread_barrier_t parked;

static void worker(void *jobs)
{
    int job;

    ABOUT_TO(worker, "chan receive", jobs);
    while (co_receive(jobs, &job))
        ;
    sample_done();
}

static void dispatch(void *unused)
{
    struct co_chan *jobs = co_chan_create(sizeof(int), 16);

    (void)unused;
    for (int i = 0; i < SAMPLE_TASKS / THREADS; i++)
        co_spawn(worker, jobs, "worker");
    for (int job = 0; job < 100; job++)
        co_send(jobs, &job);
    if (closing)
        co_chan_close(jobs);
}

/* The scheduler returns when nothing can run any more; the thread stays, as a server's would. */
static void *thread(void *unused)
{
    (void)unused;
    co_run(dispatch, NULL);
    pthread_barrier_wait(&parked);
    pthread_barrier_wait(&parked);
    return NULL;
}

static void start(bool close)
{
    pthread_t threads[THREADS];

    closing = close;
    pthread_barrier_init(&parked, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread, NULL);
    pthread_barrier_wait(&parked);
}

static void leak(void)
{
    start(false);
}

static void repaired(void)
{
    start(true);
}

SAMPLE_MAIN
