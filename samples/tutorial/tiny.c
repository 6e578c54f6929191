// The runtime of docs/tutorial-runtime.md: jobs with stacks of their own by swapcontext, in one
// list, that wait for letters in mailboxes. Run without arguments, it leaves 1200 jobs waiting for
// letters that nobody sends, and dies.
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum status { READY, WAITING, DONE };

struct box {
    int letters;
};

struct job {
    struct job *next;
    unsigned number;
    enum status status;
    struct box *box; /* WAITING: for a letter in it */
    const char *made_at;
    void (*work)(void);
    ucontext_t context;
    char stack[16 * 1024];
};

static struct job *jobs, *running;
static unsigned job_count;
static ucontext_t scheduler;

static void begin(void)
{
    running->work();
    running->status = DONE;
    swapcontext(&running->context, &scheduler);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define START(work) start(work, __FILE__ ":" TEXT(__LINE__))
static void start(void (*work)(void), const char *made_at)
{
    struct job *job = calloc(1, sizeof(*job));
    job->number = ++job_count;
    job->work = work;
    job->made_at = made_at;
    getcontext(&job->context);
    job->context.uc_stack.ss_sp = job->stack;
    job->context.uc_stack.ss_size = sizeof(job->stack);
    makecontext(&job->context, begin, 0);
    job->next = jobs;
    jobs = job;
}

static void take_letter(struct box *box)
{
    while (!box->letters) {
        running->status = WAITING;
        running->box = box;
        swapcontext(&running->context, &scheduler);
    }
    box->letters--;
}

static void run(void)
{
    for (struct job *job = jobs; job; job = job->next)
        if (job->status == READY) {
            running = job;
            swapcontext(&scheduler, &job->context);
        }
}

/* ---- the program ---- */

static void greet(void)
{
    struct box *answer = calloc(1, sizeof(*answer));
    take_letter(answer); /* nobody else knows this box */
    puts("hello");
}

int main(void)
{
    for (int i = 0; i < 1200; i++)
        START(greet);
    run();
    abort();
}
