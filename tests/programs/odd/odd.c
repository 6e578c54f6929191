/* An in-house scheduler in which little is as usual, for a description to be tried on (odd.yaml):
 *
 * - each thread has an array of pools, one for each size of stack; a pool's strands are in an
 *   intrusive ring whose links lie in the middle of the struct, previous link first
 * - ids are a bit field, states are flags, what a strand waits for is told by a table of functions
 * - the saved stack pointer points above the registers that were pushed
 * - a creation site is two texts, the file and the line
 * - stacks are mapped, with a page below that nobody may touch
 * - owners of locks are written down by id; its clock counts what it likes
 * - each thread's idle strand is in the ring too, strands that have ended wait in another one
 *
 * odd: prints its account (samples/c/account.h) and dies.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "samples/c/account.h"

enum { PAGE = 4096, POOLS = 3, THREADS = 3, EACH = 400 };

#define ODD_READY 0x01
#define ODD_PARKED 0x02
#define ODD_TIMED 0x04
#define ODD_ON 0x08
#define ODD_OVER 0x10
#define ODD_IDLE 0x20

struct odd_link {
    struct odd_link *prev, *next;
};

struct odd_ops {
    const char *word;
};

struct odd_pool {
    size_t stack_bytes;
    struct odd_link live, over;
    unsigned count; /* without the idle strand */
};

struct odd_strand {
    void (*run)(void *);
    void *argument;
    struct {
        const char *file, *line;
    } made;
    unsigned id : 20;
    unsigned color : 3;
    unsigned flags : 9;
    unsigned made_by : 20;
    char *map; /* the guard page, then the stack */
    struct odd_pool *pool;
    struct odd_link ring;
    struct odd_link queue; /* of a gate or lock */
    const struct odd_ops *ops;
    union {
        struct odd_gate *gate;
        struct odd_lock *lock;
        struct odd_strand *other;
    } on;
    uint64_t wake_ms;
    void *saved; /* the registers are below */
};

struct odd_gate {
    int letters;
    struct odd_link waiting;
};

struct odd_lock {
    struct odd_link waiting;
    unsigned owner; /* id, 0: free */
};

const struct odd_ops odd_gate_ops = {"gate"}, odd_lock_ops = {"lock"}, odd_nap_ops = {"nap"},
                     odd_end_ops = {"end"};

static __thread struct odd_pool odd_pools[POOLS];
static __thread struct odd_strand *odd_now, *odd_idle;
static unsigned odd_last_id;
static volatile uint64_t odd_clock_ms; /* counts switches */

/* Pushes what a call preserves; *save points above it, where it was before the call. */
void odd_switch(void **save, void *load);
__asm__(".text\n.globl odd_switch\n.type odd_switch, @function\nodd_switch:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "lea 56(%rsp), %rax\nmov %rax, (%rdi)\nlea -56(%rsi), %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
        ".size odd_switch, . - odd_switch\n");

static void link_before(struct odd_link *head, struct odd_link *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

static void unlink_it(struct odd_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = link;
}

static struct odd_strand *of_ring(struct odd_link *link)
{
    return (struct odd_strand *)((char *)link - offsetof(struct odd_strand, ring));
}

static struct odd_strand *next_ready(void)
{
    for (int i = 0; i < POOLS; i++)
        for (struct odd_link *at = odd_pools[i].live.next; at != &odd_pools[i].live; at = at->next)
            if (of_ring(at)->flags == ODD_READY)
                return of_ring(at);
    return odd_idle;
}

static void odd_yield(unsigned flags)
{
    struct odd_strand *self = odd_now, *next;
    self->flags = (self->flags & ODD_IDLE) | flags;
    if (flags == ODD_READY) { /* behind the others */
        unlink_it(&self->ring);
        link_before(&self->pool->live, &self->ring);
    }
    next = next_ready();
    odd_clock_ms++;
    next->flags = (next->flags & ODD_IDLE) | ODD_ON;
    odd_now = next;
    if (next != self)
        odd_switch(&self->saved, next->saved);
}

static void odd_main(void)
{
    struct odd_strand *self = odd_now;
    self->run(self->argument);
    unlink_it(&self->ring);
    link_before(&self->pool->over, &self->ring);
    self->pool->count--;
    odd_yield(ODD_OVER);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define SPAWN(pool, run, argument) spawn(pool, run, argument, __FILE__, TEXT(__LINE__))
static struct odd_strand *spawn(int pool, void (*run)(void *), void *argument, const char *file,
                                const char *line)
{
    struct odd_strand *s = calloc(1, sizeof(*s));
    s->pool = &odd_pools[pool];
    size_t size = s->pool->stack_bytes;
    s->map = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(s->map, PAGE, PROT_NONE);
    s->run = run;
    s->argument = argument;
    s->made.file = file;
    s->made.line = line;
    s->id = __atomic_add_fetch(&odd_last_id, 1, __ATOMIC_RELAXED);
    s->made_by = odd_now && !(odd_now->flags & ODD_IDLE) ? odd_now->id : 0;
    s->flags = ODD_READY;
    uint64_t *top = (uint64_t *)(s->map + PAGE + size);
    *--top = 0; /* whence the first function was called: nowhere */
    *--top = (uint64_t)odd_main;
    s->saved = top + 1;
    link_before(&s->pool->live, &s->ring);
    s->pool->count++;
    return s;
}

static void odd_init(void)
{
    for (int i = 0; i < POOLS; i++) {
        struct odd_pool *pool = &odd_pools[i];
        pool->stack_bytes = (size_t)PAGE * 4 << i;
        pool->live.next = pool->live.prev = &pool->live;
        pool->over.next = pool->over.prev = &pool->over;
    }
    odd_now = odd_idle = SPAWN(0, NULL, NULL);
    odd_idle->flags = ODD_IDLE | ODD_ON;
    odd_pools[0].count--;
}

static void wait_in(struct odd_link *queue, const struct odd_ops *ops, void *on, unsigned flags)
{
    odd_now->ops = ops;
    odd_now->on.gate = on;
    if (queue)
        link_before(queue, &odd_now->queue);
    odd_yield(ODD_PARKED | flags);
}

static void gate_pass(struct odd_gate *gate)
{
    while (!gate->letters)
        wait_in(&gate->waiting, &odd_gate_ops, gate, 0);
    gate->letters--;
}

static void lock_take(struct odd_lock *lock)
{
    while (lock->owner)
        wait_in(&lock->waiting, &odd_lock_ops, lock, 0);
    lock->owner = odd_now->id;
}

static void nap(unsigned ms)
{
    odd_now->wake_ms = odd_clock_ms + ms;
    wait_in(NULL, &odd_nap_ops, NULL, ODD_TIMED);
}

static void end_of(struct odd_strand *other)
{
    wait_in(NULL, &odd_end_ops, other, 0);
}

/* ---- the program ---- */

struct pair {
    struct odd_lock *mine, *theirs;
};

static void tell(const char *entry, const char *reason, const void *object, const char *site)
{
    const struct odd_strand *s = odd_now;
    char *created = malloc(300);
    snprintf(created, 300, "%s:%s", s->made.file, s->made.line);
    account_note(&(struct account_note){.id = s->id,
                                        .entry = entry,
                                        .state = reason ? "waiting" : "running",
                                        .reason = reason,
                                        .object = object,
                                        .site = site,
                                        .creator = (long)s->made_by,
                                        .created = created});
}

static void reader(void *gate)
{
    tell("reader", "gate", gate, __func__);
    gate_pass(gate);
}

static void hold_both(void *argument)
{
    struct pair *pair = argument;
    lock_take(pair->mine);
    odd_yield(ODD_READY);
    tell("hold_both", "lock", pair->theirs, __func__);
    lock_take(pair->theirs);
}

static void sleeper(void *unused)
{
    (void)unused;
    tell("sleeper", "nap", NULL, __func__);
    nap(3600 * 1000);
}

static void joiner(void *other)
{
    tell("joiner", "end", other, __func__);
    end_of(other);
}

static void brief(void *unused)
{
    (void)unused;
}

static struct odd_lock *new_lock(void)
{
    struct odd_lock *lock = calloc(1, sizeof(*lock));
    lock->waiting.next = lock->waiting.prev = &lock->waiting;
    return lock;
}

static void start_all(void *unused)
{
    (void)unused;
    struct odd_gate *gate = calloc(1, sizeof(*gate));
    gate->waiting.next = gate->waiting.prev = &gate->waiting;
    for (int i = 0; i < EACH; i++)
        SPAWN(i % POOLS, reader, gate);
    for (int i = 0; i < EACH / 4; i++) {
        struct pair *one = malloc(sizeof(*one)), *two = malloc(sizeof(*two));
        *one = (struct pair){new_lock(), new_lock()};
        *two = (struct pair){one->theirs, one->mine};
        SPAWN(1, hold_both, one);
        SPAWN(1, hold_both, two);
        SPAWN(0, joiner, SPAWN(0, sleeper, NULL));
        SPAWN(1, brief, NULL);
    }
}

static pthread_barrier_t parked;

/* Runs all strands until none can go on; then it is the idle strand again. */
static void *thread(void *unused)
{
    odd_init();
    SPAWN(2, start_all, NULL);
    odd_yield(0);
    pthread_barrier_wait(&parked);
    for (;;)
        pthread_barrier_wait(&parked);
    return unused;
}

static void finish(void *unused)
{
    (void)unused;
    tell("finish", NULL, NULL, __func__);
    account_end();
}

int main(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&parked, NULL, THREADS);
    for (int i = 1; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread, NULL);
    odd_init();
    SPAWN(2, start_all, NULL);
    odd_yield(0);
    pthread_barrier_wait(&parked);
    SPAWN(0, finish, NULL);
    odd_yield(0);
    return 1;
}
