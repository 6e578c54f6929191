/*
 * coro: a small coroutine runtime, of the kind that companies have in-house.
 *
 * It is here to be debugged: its samples leak, and coreanalyze finds the leaks by a description of
 * the structs below. It also shows what a runtime can do, at almost no cost, to be readable in a
 * core: one list of all tasks with a counter, states and reasons as enums, a pointer to what a task
 * waits for, a timestamp, the place that created it, and CFI at the switch.
 *
 * Rules: a thread that calls co_run() is a scheduler. Its tasks run on that thread only, one at a
 * time, and give way only where they wait. Channels, mutexes, conditions and groups belong to the
 * tasks of one scheduler and need no locks. Several threads may call co_run() at once.
 */
#ifndef CORO_H
#define CORO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Free tasks are in their scheduler's pool, on no other list, and keep their last values. */
enum co_state {
    CO_FREE,     /* in the pool: not a task */
    CO_RUNNABLE, /* on the run queue */
    CO_RUNNING,  /* on its scheduler's thread; its registers are the thread's */
    CO_WAITING,  /* parked; reason says for what kind of thing, object for which */
};

/* What `object` of a waiting task points to is said at each reason. */
enum co_reason {
    CO_NOTHING,      /* not waiting; NULL */
    CO_CHAN_SEND,    /* struct co_chan; NULL: a send to no channel, which nothing ends */
    CO_CHAN_RECEIVE, /* struct co_chan; NULL: likewise */
    CO_SELECT,       /* array of `cases` struct co_case; with 0 cases, nothing ends it */
    CO_SLEEP,        /* NULL; deadline_ns, or for ever */
    CO_MUTEX_LOCK,   /* struct co_mutex */
    CO_COND_WAIT,    /* struct co_cond */
    CO_GROUP_WAIT,   /* struct co_group */
    CO_JOIN,         /* struct co_task: the one that shall end */
};

struct co_task;

/* One wait of one task. Lives on the waiting task's stack, linked into the queue that it waits in;
 * a select has one for each case. */
struct co_waiter {
    struct co_waiter *next;
    struct co_waiter *prev;
    struct co_queue *queue; /* NULL once taken out */
    struct co_task *task;
    void *value; /* channels: the element to send, or where to put the one received */
    int index;   /* select: which case */
    bool ok;     /* set by whoever wakes: false when the channel was closed */
};

/* Waiters in order of arrival, ended by NULL. */
struct co_queue {
    struct co_waiter *first;
    struct co_waiter *last;
    size_t count;
};

struct co_chan {
    struct co_queue senders;
    struct co_queue receivers;
    size_t element_size; /* bytes */
    size_t capacity;     /* elements; 0: unbuffered */
    size_t length;       /* elements in the buffer now */
    size_t head;         /* index of the oldest element */
    bool closed;
    char buffer[];
};

enum co_direction { CO_SEND, CO_RECEIVE };

struct co_case {
    struct co_chan *chan; /* NULL: never ready */
    enum co_direction direction;
    void *value;
};

struct co_mutex {
    struct co_task *owner; /* NULL: not locked */
    uint64_t owner_id;     /* tells a pooled task that is used again from the owner */
    struct co_queue waiters;
};

struct co_cond {
    struct co_queue waiters;
};

struct co_group {
    int64_t counter; /* co_group_wait returns at 0 */
    struct co_queue waiters;
};

#define CO_NAME_SIZE 32
#define CO_TASK_MAGIC 0x6b7361742d6f6f63ull /* "coo-task" in memory */

struct co_task {
    uint64_t magic;           /* CO_TASK_MAGIC as long as the memory is a task, free ones too */
    uint64_t id;              /* from 1, never used twice in a process */
    struct co_task *all_next; /* co_all.first's list, both ways, ended by NULL */
    struct co_task *all_prev;
    struct co_task *next; /* run queue or pool, ended by NULL */
    struct co_scheduler *scheduler;
    enum co_state state;
    enum co_reason reason; /* CO_NOTHING unless waiting */
    void *object;          /* what it waits for; see enum co_reason */
    uint64_t cases;        /* of a select: how many at object; else 0 */
    int64_t since_ns;      /* CLOCK_MONOTONIC when it began to wait */
    int64_t deadline_ns;   /* CLOCK_MONOTONIC when it will be woken; 0: nothing but a wake */
    void *sp;              /* saved context: see coro_switch.S. Not valid while running */
    char *stack_low;       /* lowest byte */
    char *stack_high;      /* first byte above */
    void (*entry)(void *);
    void *argument;
    const char *created_at;  /* "file:line" of the co_spawn */
    void *created_pc;        /* return address of the co_spawn, or co_run */
    uint64_t created_by;     /* id of the creator; 0: co_run */
    char name[CO_NAME_SIZE]; /* NUL-terminated, empty: none */
    struct co_queue joiners; /* tasks that wait for the end of this one */
    struct co_waiter *woken; /* by which waiter it was woken; NULL: by its deadline */
    size_t timer;            /* place in the scheduler's timers; 0: none */
};

struct co_scheduler {
    void *sp;                /* saved context of the thread itself, while a task runs */
    struct co_task *current; /* NULL while the scheduler itself runs */
    struct co_task *run_first;
    struct co_task *run_last;
    struct co_task *pool; /* free tasks, by next */
    size_t pool_count;
    size_t live;             /* tasks that have not ended */
    struct co_task **timers; /* binary heap by deadline_ns, from index 1 */
    size_t timer_count;
    size_t timer_capacity;
};

/* All live tasks of all schedulers. The lock guards all of it, and nothing else. */
struct co_list {
    struct co_task *first;
    uint64_t count;
    uint64_t last_id;
};
extern struct co_list co_all;

/* The scheduler of this thread; NULL outside co_run. */
extern __thread struct co_scheduler *co_scheduler;

/* A task that may have ended already. */
struct co_handle {
    struct co_task *task;
    uint64_t id;
};

#define CO_FOREVER INT64_C(-1)
#define CO_TEXT_(x) #x
#define CO_TEXT(x) CO_TEXT_(x)
#define CO_HERE __FILE__ ":" CO_TEXT(__LINE__)

/* Runs entry(argument) as a task, and all tasks that it starts, until all have ended or none can
 * ever run again. Returns how many are left parked. Aborts the program when there is no memory. */
#define co_run(entry, argument) co_run_at(entry, argument, CO_HERE)
size_t co_run_at(void (*entry)(void *), void *argument, const char *created_at);

/* Starts a task; it runs when the caller next waits. name may be NULL, and is cut to fit. */
#define co_spawn(entry, argument, name) co_spawn_at(entry, argument, name, CO_HERE)
struct co_handle co_spawn_at(void (*entry)(void *), void *argument, const char *name,
                             const char *created_at);
void co_join(struct co_handle handle);
struct co_task *co_self(void);
void co_yield (void);
void co_sleep(int64_t ns); /* or CO_FOREVER */

/* element_size in bytes, capacity in elements. */
struct co_chan *co_chan_create(size_t element_size, size_t capacity);
void co_chan_destroy(struct co_chan *chan);
void co_chan_close(struct co_chan *chan);
/* False when the channel is closed (receive: and empty). */
bool co_send(struct co_chan *chan, const void *value);
bool co_receive(struct co_chan *chan, void *value);
/* Waits for the first case that is ready, or for ns. Returns its index, -1 after ns. *ok as above;
 * ok may be NULL. */
int co_select(struct co_case *cases, int count, int64_t ns, bool *ok);

/* Zeroed memory is an unlocked mutex, a condition nobody waits for, a group at 0. */
void co_mutex_lock(struct co_mutex *mutex);
void co_mutex_unlock(struct co_mutex *mutex);
void co_cond_wait(struct co_cond *cond, struct co_mutex *mutex);
void co_cond_signal(struct co_cond *cond);
void co_cond_broadcast(struct co_cond *cond);
void co_group_add(struct co_group *group, int64_t n);
void co_group_done(struct co_group *group);
void co_group_wait(struct co_group *group);

#endif
