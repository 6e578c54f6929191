/* What all samples on coro share: noting what a task is about to wait for, and main(). */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "account.h"
#include "coro.h"

/* Above the default --threshold of 1000. */
enum { SAMPLE_TASKS = 1200 };

#define MS INT64_C(1000000)

/* Say before the call that waits, in the same function. entry: the name of the task's function. */
#define ABOUT_TO(entry, reason, object) sample_about_to(#entry, reason, object, __func__)
void sample_about_to(const char *entry, const char *reason, const void *object, const char *site);

/* The wait is over, or the task ends. */
void sample_done(void);

/* Lets all others run until they are parked or have ended. */
void sample_settle(void);

/* Runs leak or repaired as the first task, as the only argument says, settles, prints the account
 * and dies. Returns main's status. */
int sample_main(int argc, char **argv, void (*leak)(void), void (*repaired)(void));

#define SAMPLE_MAIN                                                                                \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return sample_main(argc, argv, leak, repaired);                                            \
    }

#endif
