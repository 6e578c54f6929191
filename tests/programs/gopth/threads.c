#include "threads.h"

#include <pth.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pth_mutex_t table = PTH_MUTEX_INIT, change_lock = PTH_MUTEX_INIT;
static pth_cond_t changed = PTH_COND_INIT;

static void *await_change(void *unused)
{
    pth_mutex_acquire(&change_lock, FALSE, NULL);
    pth_cond_await(&changed, &change_lock, NULL);
    return unused;
}

static void *store(void *unused)
{
    pth_mutex_acquire(&table, FALSE, NULL);
    return unused;
}

static void *pace(void *unused)
{
    pth_nap(pth_time(3600, 0));
    return unused;
}

static volatile int turns;

__attribute__((noinline)) static void work(void)
{
    for (;;)
        turns++;
}

void run_threads(int count, int fd, int busy)
{
    static void *(*const kinds[])(void *) = {await_change, store, pace};
    static const char *const reasons[] = {"cond", "mutex", "time"};
    pth_attr_t attributes;
    pth_event_t late;

    if (!pth_init())
        exit(2);
    attributes = pth_attr_new();
    pth_attr_set(attributes, PTH_ATTR_STACK_SIZE, 32u * 1024);
    pth_mutex_acquire(&table, FALSE, NULL);
    for (int i = 0; i < count; i++) {
        pth_t thread = pth_spawn(attributes, kinds[i % 3], NULL);

        if (!thread)
            exit(2);
        printf("thread %p %s\n", (void *)thread, reasons[i % 3]);
    }
    /* The scheduler runs when the main thread waits; from then on it waits for ever. */
    pth_nap(pth_time(0, 50000));
    printf("thread %p %s\n", (void *)pth_self(), busy ? "running" : "time");
    fflush(stdout);
    if (write(fd, "x", 1) != 1)
        exit(2);
    if (busy)
        work();
    late = pth_event(PTH_EVENT_TIME, pth_timeout(3600, 0));
    pth_wait(late);
    exit(2);
}
