/* State Threads inside of a Go program: see main.go. */
#include <st.h>
#include <stdio.h>
#include <unistd.h>

#include "threads.h"

static st_cond_t never;

static void *wait_for_ever(void *unused)
{
    printf("thread %p cond wait\n", (void *)st_thread_self());
    st_cond_wait(never);
    return unused;
}

static void *nap(void *unused)
{
    printf("thread %p sleep\n", (void *)st_thread_self());
    st_sleep(3600);
    return unused;
}

void run_threads(int count, int ready)
{
    st_set_eventsys(ST_EVENTSYS_POLL);
    if (st_init())
        return;
    never = st_cond_new();
    for (int i = 0; i < count; i++)
        st_thread_create(i % 2 ? nap : wait_for_ever, NULL, 0, 32 * 1024);
    st_usleep(10000);
    printf("thread %p sleep\n", (void *)st_thread_self());
    fflush(stdout);
    if (write(ready, "x", 1) == 1)
        st_sleep(3600);
}
