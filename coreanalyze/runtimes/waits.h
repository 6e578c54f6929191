/* What tasks wait for, kept small: a hundred thousand wait alike but for the place, so each keeps
 * the place and a time, and the rest of what is known is kept once for all that are alike.
 */
#ifndef CA_RUNTIMES_WAITS_H
#define CA_RUNTIMES_WAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

#define CA_NONE UINT32_MAX

enum ca_wait_kind {
    CA_WAIT_UNKNOWN, /* parked, but what for could not be told: JSON null */
    CA_WAIT_CHANNEL,
    CA_WAIT_SELECT,
    CA_WAIT_MUTEX,
    CA_WAIT_RWMUTEX,
    CA_WAIT_WAITGROUP,
    CA_WAIT_COND,
    CA_WAIT_SEMAPHORE,
    CA_WAIT_TIMER, /* a receive that only a timer ends */
    CA_WAIT_SLEEP,
    CA_WAIT_IO,
    CA_WAIT_JOIN,
    CA_WAIT_EVENT,
    CA_WAIT_NOTHING, /* select {}, nil channels are CA_WAIT_CHANNEL with address 0 */
};

enum ca_direction {
    CA_DIRECTION_UNKNOWN,
    CA_DIRECTION_SEND,
    CA_DIRECTION_RECEIVE,
};

/* One channel, or one case of a select. */
struct ca_case {
    uint64_t address; /* 0: nil */
    enum ca_direction direction;
    int closed;                                   /* -1: not known */
    int64_t capacity, length, senders, receivers; /* CA_UNKNOWN */
    bool timer;                                   /* a timer will end it */
};

struct ca_wait {
    enum ca_wait_kind kind;
    bool has_address;
    struct ca_case channel;          /* address holds the object's for every kind */
    uint32_t first_case, case_count; /* numbers for ca_waits_case */
    uint32_t owner; /* index of a task, CA_NONE; runtimes may fill it with what they know early */
    int64_t waiters, counter, fd, deadline_ns; /* CA_UNKNOWN */
    bool ends_by_timer;                        /* a deadline, or a case that a timer ends */
};

enum { CA_WAITS_RECENT = 1024 };

struct ca_waits {
    CA_VEC(struct ca_wait_kept {
        uint64_t address;
        int64_t deadline_ns;
        uint32_t first; /* of its cases; or its file descriptor */
        uint32_t rest;
    })
    list;
    CA_VEC(struct ca_case_kept {
        uint64_t address;
        uint32_t rest;
    })
    cases;
    CA_VEC(struct ca_wait) rests; /* without what list has; first_case 1: list has the fd */
    CA_VEC(struct ca_case) case_rests;
    /* By hash, index + 1: a newer one takes the place of an older. */
    uint32_t recent[CA_WAITS_RECENT], recent_cases[CA_WAITS_RECENT];
};

void ca_waits_deinit(struct ca_waits *waits);

/* A wait with everything unknown. */
struct ca_wait ca_wait_unknown(enum ca_wait_kind kind);
struct ca_case ca_case_unknown(uint64_t address, enum ca_direction direction);

/* Keeps one more, *ret is its index. false: no memory. */
bool ca_waits_add(struct ca_waits *waits, const struct ca_wait *wait, uint32_t *ret);
/* Puts another in its place. false: no memory; it is as it was. */
bool ca_waits_set(struct ca_waits *waits, uint32_t index, const struct ca_wait *wait);
struct ca_wait ca_waits_get(const struct ca_waits *waits, uint32_t index);

/* Keeps one more case; its number is how many there were. false: no memory. */
bool ca_waits_add_case(struct ca_waits *waits, const struct ca_case *one);
struct ca_case ca_waits_case(const struct ca_waits *waits, uint32_t number);
static inline uint32_t ca_waits_case_count(const struct ca_waits *waits)
{
    return (uint32_t)waits->cases.len;
}
/* Drops those behind the first count. */
void ca_waits_cut_cases(struct ca_waits *waits, uint32_t count);

/* Is this wait, its cases included, like the one at index? May say no where it is. */
bool ca_waits_is(const struct ca_waits *waits, uint32_t index, const struct ca_wait *wait);

/* place[i] is the new index of task i. */
void ca_waits_renumber(struct ca_waits *waits, const uint32_t *place);

#endif
