/* A coroutine runtime of the kind that one finds in the wild: its scheduler is known to nobody but
 * pthread_getspecific, what is ready is on a queue, what sleeps and what reads in two trees, switch
 * code is assembler without call frame information, and what never ran has no registers yet. For a
 * description (looms.yaml) to be tried on.
 *
 * looms: prints its account (samples/c/account.h) and dies.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "samples/c/account.h"

enum { STACK = 32 * 1024, THREADS = 2, KINDS = 400, PAGE = 4096 };

enum loom_wait { LOOM_NOTHING, LOOM_SLEEP, LOOM_READ };

struct loom_registers {
    void *sp, *fp, *pc, *rbx, *r12, *r13, *r14, *r15;
};

struct loom {
    struct loom_registers registers;
    void (*run)(void *);
    void *argument, *stack, *created;
    struct loom_sched *sched;
    enum loom_wait wait;
    int fd;
    uint64_t key;
    TAILQ_ENTRY(loom) ready;
    struct loom *smaller, *larger;
};

struct loom_sched {
    uint64_t birth;
    struct loom_registers registers;
    struct loom *current;
    unsigned page_size, spawned;
    TAILQ_HEAD(, loom) ready;
    struct loom *sleeping, *reading;
};

static pthread_key_t key;

void loom_switch(struct loom_registers *to, struct loom_registers *from);
__asm__(".text\n.globl loom_switch\n.type loom_switch, @function\nloom_switch:\n"
        "mov %rsp, 0(%rsi)\nmov %rbp, 8(%rsi)\nmov (%rsp), %rax\nmov %rax, 16(%rsi)\n"
        "mov %rbx, 24(%rsi)\nmov %r12, 32(%rsi)\nmov %r13, 40(%rsi)\nmov %r14, 48(%rsi)\n"
        "mov %r15, 56(%rsi)\nmov 56(%rdi), %r15\nmov 48(%rdi), %r14\nmov 40(%rdi), %r13\n"
        "mov 32(%rdi), %r12\nmov 24(%rdi), %rbx\nmov 8(%rdi), %rbp\nmov 0(%rdi), %rsp\n"
        "mov 16(%rdi), %rax\nmov %rax, (%rsp)\nret\n.size loom_switch, . - loom_switch\n");

static struct loom_sched *here(void)
{
    struct loom_sched *s = pthread_getspecific(key);
    if (!s) {
        s = calloc(1, sizeof(*s));
        s->page_size = PAGE;
        s->birth = 1;
        TAILQ_INIT(&s->ready);
        pthread_setspecific(key, s);
    }
    return s;
}

static void loom_main(void)
{
    struct loom *l = here()->current;
    l->run(l->argument);
    abort();
}

static __attribute__((noinline)) struct loom *loom_start(void (*run)(void *), void *argument)
{
    struct loom *l = calloc(1, sizeof(*l));
    l->run = run;
    l->argument = argument;
    l->created = __builtin_return_address(0);
    l->sched = here();
    l->fd = -1;
    l->sched->spawned++;
    TAILQ_INSERT_TAIL(&l->sched->ready, l, ready);
    return l;
}

static __attribute__((noinline)) void loom_park(enum loom_wait wait, struct loom **tree,
                                                uint64_t at)
{
    struct loom *l = here()->current;
    l->wait = wait;
    l->key = at * 2654435761u % 65521;
    while (*tree)
        tree = l->key < (*tree)->key ? &(*tree)->smaller : &(*tree)->larger;
    *tree = l;
    loom_switch(&l->sched->registers, &l->registers);
}

static __attribute__((noinline)) void loom_read(int fd)
{
    here()->current->fd = fd;
    loom_park(LOOM_READ, &here()->reading, (uint64_t)fd);
}

static __attribute__((noinline)) void loom_sleep(uint64_t ms)
{
    loom_park(LOOM_SLEEP, &here()->sleeping, ms);
}

static void prepare(struct loom *l)
{
    l->stack = aligned_alloc(PAGE, STACK);
    void **top = (void **)((char *)l->stack + STACK);
    top[-1] = NULL;
    l->registers = (struct loom_registers){.sp = top - 2, .pc = (void *)loom_main};
}

/* Lets those that are ready run, but for the last `left`. */
static void loom_run(unsigned left)
{
    struct loom_sched *s = here();
    unsigned count = 0;
    struct loom *l;
    TAILQ_FOREACH(l, &s->ready, ready) count++;
    for (; count > left; count--) {
        l = TAILQ_FIRST(&s->ready);
        TAILQ_REMOVE(&s->ready, l, ready);
        prepare(l);
        s->current = l;
        loom_switch(&l->registers, &s->registers);
        s->current = NULL;
    }
}

static void note(const struct loom *l, const char *entry, const char *state, const char *reason,
                 int fd)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    struct account_note n = {.id = (unsigned long)l,
                             .entry = entry,
                             .state = state,
                             .reason = reason,
                             .fd = fd,
                             .site = l->stack ? entry : NULL,
                             .creator = -1};
    pthread_mutex_lock(&one);
    account_note(&n);
    pthread_mutex_unlock(&one);
}

static void reader(void *fd)
{
    note(here()->current, __func__, "waiting", "LOOM_READ", (int)(intptr_t)fd);
    loom_read((int)(intptr_t)fd);
    __asm__ volatile("");
}

static void sleeper(void *ms)
{
    note(here()->current, __func__, "waiting", "LOOM_SLEEP", 0);
    loom_sleep((uint64_t)(intptr_t)ms);
    __asm__ volatile("");
}

static void fresh(void *unused)
{
    (void)unused;
}

static pthread_barrier_t parked;

static void *thread(void *unused)
{
    for (int i = 0; i < KINDS; i++) {
        loom_start(reader, (void *)(intptr_t)(3 + i));
        loom_start(sleeper, (void *)(intptr_t)(1 + i));
    }
    for (int i = 0; i < 10; i++)
        note(loom_start(fresh, NULL), "fresh", "runnable", NULL, 0);
    loom_run(10);
    /* Half of them have their first registers already. */
    struct loom *l;
    unsigned n = 0;
    TAILQ_FOREACH(l, &here()->ready, ready) if (n++ % 2) prepare(l);
    pthread_barrier_wait(&parked);
    pthread_barrier_wait(&parked);
    return unused;
}

static void last(void *unused)
{
    (void)unused;
    note(here()->current, __func__, "running", NULL, 0);
    account_end();
}

int main(void)
{
    pthread_t threads[THREADS];
    pthread_key_create(&key, NULL);
    pthread_barrier_init(&parked, NULL, THREADS + 1);
    account_ids("0x%lx");
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread, NULL);
    pthread_barrier_wait(&parked);
    loom_start(last, NULL);
    loom_run(0);
}
