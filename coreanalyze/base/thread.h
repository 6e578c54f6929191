/* A second thread, where there is a second processor for it. */
#ifndef CA_BASE_THREAD_H
#define CA_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Starts run(arg) with signals blocked (but for SIGBUS): they are the program's business. false:
 * there is no thread, the caller does without. */
bool ca_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);

#endif
