/* How many tasks are in each state, and wait for each reason. */
#ifndef CA_OUTPUT_COUNTS_H
#define CA_OUTPUT_COUNTS_H

#include "coreanalyze.h"

/* A runtime has some forty reasons; what a broken target has beyond is not counted apart. */
enum { CA_COUNTS_MAX = 128 };

struct ca_count {
    const char *word; /* the session's */
    int64_t count;
};

struct ca_counts {
    struct ca_count list[CA_COUNTS_MAX]; /* largest first */
    size_t len;
};

struct ca_error *ca_counts_make(struct ca_session *session, struct ca_counts *states,
                                struct ca_counts *reasons);

#endif
