/* Tasks, their memory, the scheduler and its timers. What tasks wait for is in coro_wait.c. */
#include "coro.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "coro_internal.h"

enum {
    STACK_SIZE = 16 * 1024,
    STACK_RESERVE = 1024, /* what must be left when a task waits */
    /* Tasks and stacks come in slabs: one mapping for each would exhaust vm.max_map_count. */
    SLAB_TASKS = 256,
};

struct co_list co_all;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
__thread struct co_scheduler *co_scheduler;

void co_switch(void **save_sp, void *load_sp) __attribute__((visibility("hidden")));
extern char co_begin[] __attribute__((visibility("hidden")));
void co_task_main(struct co_task *task) __attribute__((visibility("hidden"), noreturn, used));

static void fail(const char *what)
{
    fprintf(stderr, "coro: %s\n", what);
    abort();
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t co_deadline(int64_t ns)
{
    return ns == CO_FOREVER ? 0 : now_ns() + ns;
}

/* --- timers: a binary heap, so that a task can also leave it before its time --- */

static void timer_put(struct co_scheduler *s, size_t at, struct co_task *task)
{
    s->timers[at] = task;
    task->timer = at;
}

static void timer_sift(struct co_scheduler *s, size_t at, struct co_task *task)
{
    for (; at > 1 && s->timers[at / 2]->deadline_ns > task->deadline_ns; at /= 2)
        timer_put(s, at, s->timers[at / 2]);
    for (size_t child; (child = at * 2) <= s->timer_count; at = child) {
        if (child < s->timer_count &&
            s->timers[child + 1]->deadline_ns < s->timers[child]->deadline_ns)
            child++;
        if (s->timers[child]->deadline_ns >= task->deadline_ns)
            break;
        timer_put(s, at, s->timers[child]);
    }
    timer_put(s, at, task);
}

static void timer_add(struct co_scheduler *s, struct co_task *task)
{
    if (s->timer_count + 1 >= s->timer_capacity) {
        s->timer_capacity = s->timer_capacity ? s->timer_capacity * 2 : 64;
        s->timers = realloc(s->timers, s->timer_capacity * sizeof(*s->timers));
        if (!s->timers)
            fail("no memory for timers");
    }
    timer_sift(s, ++s->timer_count, task);
}

static void timer_remove(struct co_scheduler *s, struct co_task *task)
{
    size_t at = task->timer;
    struct co_task *last = s->timers[s->timer_count--];

    task->timer = 0;
    if (last != task)
        timer_sift(s, at, last);
}

/* --- tasks and their memory --- */

static void pool_put(struct co_scheduler *s, struct co_task *task)
{
    task->state = CO_FREE;
    task->next = s->pool;
    s->pool = task;
    s->pool_count++;
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        fail("no memory for tasks");
    return memory;
}

static void pool_fill(struct co_scheduler *s)
{
    struct co_task *tasks = map(SLAB_TASKS * sizeof(*tasks));
    char *stacks = map((size_t)SLAB_TASKS * STACK_SIZE);

    for (size_t i = SLAB_TASKS; i-- > 0;) {
        tasks[i].magic = CO_TASK_MAGIC;
        tasks[i].stack_low = stacks + i * STACK_SIZE;
        tasks[i].stack_high = tasks[i].stack_low + STACK_SIZE;
        pool_put(s, &tasks[i]);
    }
}

static void all_add(struct co_task *task)
{
    pthread_mutex_lock(&all_lock);
    task->id = ++co_all.last_id;
    task->all_prev = NULL;
    task->all_next = co_all.first;
    if (co_all.first)
        co_all.first->all_prev = task;
    co_all.first = task;
    co_all.count++;
    pthread_mutex_unlock(&all_lock);
}

static void all_remove(struct co_task *task)
{
    pthread_mutex_lock(&all_lock);
    if (task->all_prev)
        task->all_prev->all_next = task->all_next;
    else
        co_all.first = task->all_next;
    if (task->all_next)
        task->all_next->all_prev = task->all_prev;
    co_all.count--;
    pthread_mutex_unlock(&all_lock);
}

/* Makes the stack look as if the task had called co_switch from co_begin. */
static void stack_prepare(struct co_task *task)
{
    void **top = (void **)task->stack_high;

#if defined(__x86_64__)
    void **sp = top - 9; /* two words above the seven that co_switch pops: aligned at the call */
    memset(sp, 0, 9 * sizeof(*sp));
    sp[3] = task; /* r12 */
    sp[6] = co_begin;
#elif defined(__aarch64__)
    void **sp = top - 20;
    memset(sp, 0, 20 * sizeof(*sp));
    sp[0] = task; /* x19 */
    sp[11] = co_begin;
#endif
    task->sp = sp;
}

static void runnable(struct co_scheduler *s, struct co_task *task)
{
    task->state = CO_RUNNABLE;
    task->reason = CO_NOTHING;
    task->object = NULL;
    task->cases = 0;
    task->next = NULL;
    if (s->run_first)
        s->run_last->next = task;
    else
        s->run_first = task;
    s->run_last = task;
}

static struct co_handle spawn(void (*entry)(void *), void *argument, const char *name,
                              const char *created_at, void *created_pc)
{
    struct co_scheduler *s = co_scheduler;

    if (!s->pool)
        pool_fill(s);
    struct co_task *task = s->pool;
    s->pool = task->next;
    s->pool_count--;

    all_add(task);
    task->scheduler = s;
    task->entry = entry;
    task->argument = argument;
    task->created_at = created_at;
    task->created_pc = created_pc;
    task->created_by = s->current ? s->current->id : 0;
    task->joiners = (struct co_queue){0};
    task->since_ns = 0;
    task->deadline_ns = 0;
    snprintf(task->name, sizeof(task->name), "%s", name ? name : "");
    stack_prepare(task);
    s->live++;
    runnable(s, task);
    return (struct co_handle){.task = task, .id = task->id};
}

struct co_handle co_spawn_at(void (*entry)(void *), void *argument, const char *name,
                             const char *created_at)
{
    return spawn(entry, argument, name, created_at, __builtin_return_address(0));
}

struct co_task *co_self(void)
{
    return co_scheduler->current;
}

static void leave(struct co_task *task)
{
    /* A word of magic at the low end would see more, and cost every task a second page. */
    if ((char *)__builtin_frame_address(0) < task->stack_low + STACK_RESERVE)
        fail("stack overflow");
    co_switch(&task->sp, task->scheduler->sp);
}

void co_task_main(struct co_task *task)
{
    task->entry(task->argument);

    while (task->joiners.first)
        co_wake(task->joiners.first, true);
    all_remove(task);
    task->scheduler->live--;
    pool_put(task->scheduler, task);
    leave(task);
    __builtin_unreachable();
}

/* --- waiting --- */

void co_queue_add(struct co_queue *queue, struct co_waiter *waiter)
{
    waiter->queue = queue;
    waiter->task = co_self();
    waiter->next = NULL;
    waiter->prev = queue->last;
    if (queue->last)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    queue->count++;
}

void co_queue_remove(struct co_waiter *waiter)
{
    struct co_queue *queue = waiter->queue;

    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        queue->last = waiter->prev;
    queue->count--;
    waiter->queue = NULL;
}

struct co_waiter *co_park(enum co_reason reason, void *object, uint64_t cases, int64_t deadline_ns)
{
    struct co_task *task = co_self();

    task->state = CO_WAITING;
    task->reason = reason;
    task->object = object;
    task->cases = cases;
    task->since_ns = now_ns();
    task->deadline_ns = deadline_ns;
    task->woken = NULL;
    if (deadline_ns)
        timer_add(task->scheduler, task);
    leave(task);
    return task->woken;
}

void co_wake(struct co_waiter *waiter, bool ok)
{
    struct co_task *task = waiter->task;

    co_queue_remove(waiter);
    waiter->ok = ok;
    task->woken = waiter;
    if (task->timer)
        timer_remove(task->scheduler, task);
    runnable(task->scheduler, task);
}

void co_yield (void)
{
    struct co_task *task = co_self();

    runnable(task->scheduler, task);
    leave(task);
}

void co_sleep(int64_t ns)
{
    co_park(CO_SLEEP, NULL, 0, co_deadline(ns));
}

void co_join(struct co_handle handle)
{
    struct co_waiter waiter = {0};

    if (handle.task->state == CO_FREE || handle.task->id != handle.id)
        return;
    co_queue_add(&handle.task->joiners, &waiter);
    co_park(CO_JOIN, handle.task, 0, 0);
}

/* --- the scheduler --- */

/* Makes the tasks runnable whose time has come. Sleeps until then if nothing else can run. */
static void timers_run(struct co_scheduler *s)
{
    while (s->timer_count) {
        struct co_task *task = s->timers[1];
        int64_t left = task->deadline_ns - now_ns();

        if (left > 0) {
            if (s->run_first)
                return;
            struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
            nanosleep(&t, NULL);
            continue;
        }
        timer_remove(s, task);
        runnable(s, task);
    }
}

size_t co_run_at(void (*entry)(void *), void *argument, const char *created_at)
{
    struct co_scheduler *s = calloc(1, sizeof(*s));
    struct co_task *task;

    if (!s || co_scheduler)
        fail("co_run: no memory, or already running");
    co_scheduler = s;
    spawn(entry, argument, "main", created_at, __builtin_return_address(0));
    while (timers_run(s), task = s->run_first) {
        s->run_first = task->next;
        task->next = NULL;
        task->state = CO_RUNNING;
        s->current = task;
        co_switch(&s->sp, task->sp);
        s->current = NULL;
    }
    co_scheduler = NULL;
    /* Parked tasks stay where they are, and their scheduler with them: that is what leaks do. */
    size_t left = s->live;
    if (left == 0) {
        free(s->timers);
        s->timers = NULL;
        s->timer_capacity = 0;
    }
    return left;
}
