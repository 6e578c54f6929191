#include "output/counts.h"

#include <stdlib.h>
#include <string.h>

static void count(struct ca_counts *counts, const char *word)
{
    if (!word)
        return;
    for (size_t i = 0; i < counts->len; i++)
        if (counts->list[i].word == word || !strcmp(counts->list[i].word, word)) {
            counts->list[i].count++;
            return;
        }
    if (counts->len == CA_COUNTS_MAX)
        return;
    counts->list[counts->len].word = word;
    counts->list[counts->len++].count = 1;
}

static void order(struct ca_counts *counts)
{
    for (size_t i = 1; i < counts->len; i++)
        for (size_t j = i; j > 0; j--) {
            struct ca_count *a = &counts->list[j - 1], *b = &counts->list[j];
            if (a->count > b->count || (a->count == b->count && strcmp(a->word, b->word) < 0))
                break;
            struct ca_count moved = *a;
            *a = *b;
            *b = moved;
        }
}

struct ca_error *ca_counts_make(struct ca_session *session, struct ca_counts *states,
                                struct ca_counts *reasons)
{
    states->len = reasons->len = 0;
    size_t tasks = ca_session_task_count(session);
    for (size_t i = 0; i < tasks; i++) {
        struct ca_task_info task;
        struct ca_error *error = ca_session_task(session, i, &task);
        if (error)
            return error;
        count(states, task.state);
        count(reasons, task.reason);
    }
    order(states);
    order(reasons);
    return NULL;
}
