#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>

enum { STACK_SIZE = 128 << 10 };

static bool has_processors(void)
{
    cpu_set_t set;
    return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 1;
}

bool ca_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    if (!has_processors() || pthread_attr_init(&attr))
        return false;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* base/mapped.h answers it, in whichever thread it comes */
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool ok = !pthread_create(ret, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}
