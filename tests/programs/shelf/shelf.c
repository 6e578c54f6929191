/* A scheduler whose tasks share one stack: what a task has on it is copied to the heap when it
 * parks. Registers are saved by glibc's setjmp, which hides the pointers. Tasks are slots of a
 * table, linked by index; the table is a static variable of a function. For a description
 * (shelf.yaml) to be tried on.
 *
 * shelf: prints its account (samples/c/account.h) and dies.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "samples/c/account.h"

enum { SLOTS = 2048, NONE = -1, STACK = 64 * 1024 };

struct slot {
    int next;      /* in the list of living, or of free slots */
    uint32_t bits; /* id in the upper 20, 0x10: parked, 0x20: begun */
    jmp_buf saved;
    char *copy; /* what was on the stack, up to its top */
    size_t copy_size;
    void (*work)(int);
    int argument;
    const char *word;
    void *object;
    const char *function; /* that made it */
    const char *file;
    int line;
};

static struct {
    int first, free;
    long living;
} heads = {NONE, NONE, 0};
static char stack[STACK] __attribute__((aligned(64)));
static struct slot *running;
static jmp_buf scheduler;
static ucontext_t context, back;

static struct slot *slot_at(int index)
{
    static struct slot slots[SLOTS];
    return &slots[index];
}

/* The stack is copied by the scheduler, which is on another one. */
__attribute__((noinline)) static void park(const char *word, void *object)
{
    running->word = word;
    running->object = object;
    running->bits |= 0x10;
    if (_setjmp(running->saved) == 0) {
        running->copy_size = (size_t)(stack + STACK - (char *)__builtin_frame_address(0)) + 512;
        _longjmp(scheduler, 1);
    }
}

static void begin(void)
{
    running->work(running->argument);
    running->bits &= ~0x30u;
    _longjmp(scheduler, 2);
}

/* Returns when the task has parked (1) or ended (2). */
__attribute__((noinline)) static int run(struct slot *slot)
{
    running = slot;
    int how = _setjmp(scheduler);
    if (how)
        return how;
    if (slot->bits & 0x20) {
        memcpy(stack + STACK - slot->copy_size, slot->copy, slot->copy_size);
        slot->bits &= ~0x10u;
        _longjmp(slot->saved, 1);
    }
    slot->bits |= 0x20;
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK;
    makecontext(&context, begin, 0);
    swapcontext(&back, &context);
    return 0;
}

static void run_one(int index)
{
    struct slot *slot = slot_at(index);
    if (run(slot) == 1) {
        slot->copy = realloc(slot->copy, slot->copy_size);
        memcpy(slot->copy, stack + STACK - slot->copy_size, slot->copy_size);
    }
    running = NULL;
    memset(stack, 0xee, STACK); /* nobody's */
}

#define SPAWN(work, argument) spawn(work, argument, __func__, __FILE__, __LINE__)
static int spawn(void (*work)(int), int argument, const char *function, const char *file, int line)
{
    static uint32_t last;
    int index = heads.free;
    struct slot *slot = slot_at(index);
    heads.free = slot->next;
    *slot = (struct slot){.next = heads.first,
                          .bits = ++last << 12,
                          .work = work,
                          .argument = argument,
                          .function = function,
                          .file = file,
                          .line = line};
    heads.first = index;
    heads.living++;
    return index;
}

/* ---- the program ---- */

static int letters[3];

static void tell(const char *entry, const char *word, const void *object, const char *site)
{
    char *created = malloc(300);
    snprintf(created, 300, "%s:%d", running->file, running->line);
    account_note(&(struct account_note){.id = running->bits >> 12,
                                        .entry = entry,
                                        .state = word ? "waiting" : "running",
                                        .reason = word,
                                        .object = object,
                                        .site = site,
                                        .creator = -1,
                                        .created = created});
}

__attribute__((noinline)) static void take(int box, int depth)
{
    volatile char room[64];
    memset((char *)room, depth, sizeof(room));
    if (depth)
        take(box, depth - 1);
    else
        park("letter", &letters[box]);
    room[1] = room[0];
}

static void reader(int number)
{
    tell("reader", "letter", &letters[number % 3], "take");
    take(number % 3, number % 7);
}

static void poller(int unused)
{
    (void)unused;
    tell("poller", "poll", NULL, __func__);
    park("poll", NULL);
}

static void finish(int unused)
{
    (void)unused;
    tell("finish", NULL, NULL, __func__);
    account_end();
}

int main(void)
{
    for (int i = SLOTS - 1; i >= 0; i--) {
        slot_at(i)->next = heads.free;
        heads.free = i;
    }
    for (int i = 0; i < 1000; i++)
        run_one(SPAWN(reader, i));
    for (int i = 0; i < 200; i++)
        run_one(SPAWN(poller, i));
    run_one(SPAWN(finish, 0));
    return 1;
}
