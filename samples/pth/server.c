// A server on GNU Pth: server leak|repaired [N]. It connects to itself; one thread accepts, and of
// N threads (1500 unless given; Pth cannot read from descriptors above 1023) one fifth each reads
// requests that never come, waits for a change that nobody signals, waits for the end of such a
// thread, waits for a mutex whose holder waits for that change too, and sleeps. Repaired: the
// change is signalled, connections are closed, and only the one that accepts is left.
//
// expect: count=N/5 reason="fd" verdict=suspect rule=threshold threshold=250 site=read_request
// expect: count=N/5 reason="cond" verdict=suspect rule=threshold threshold=250 final=leaked
//     pattern=lost-signal site=await_change
// expect: count=N/5 reason="tid" verdict=suspect rule=threshold threshold=250 final=leaked
// site=reap expect: count=N/5 reason="mutex" verdict=suspect rule=threshold threshold=250
// final=leaked
//     pattern=lock-never-released site=store
// expect: count=1 reason="cond" verdict=waiting final=leaked site=compact
// expect: count=1 reason="fd" verdict=active site=serve
// expect: count=N/5 reason="time" verdict=active site=pace
// account: leak=N+3 repaired=2
#include <pth.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "loopback.h"

enum { STACK = 32 * 1024 };

static int leaking;
static int running = 1;
static int listening;
static pth_cond_t changed = PTH_COND_INIT;
static pth_mutex_t change_lock = PTH_MUTEX_INIT;
static pth_mutex_t table = PTH_MUTEX_INIT;

static void *subscriber(void *unused);

static void about_to(const char *entry, const char *reason, const void *object, int fd,
                     const char *site)
{
    account_note(&(struct account_note){.id = (unsigned long)pth_self(),
                                        .entry = entry,
                                        .state = reason ? "waiting" : "running",
                                        .reason = reason,
                                        .object = object,
                                        .fd = fd,
                                        .site = site,
                                        .creator = -1,
                                        .name = entry});
}

static int alive; /* threads that have not ended, main not counted */

static void done(void)
{
    alive--;
    account_remove((unsigned long)pth_self());
}

static pth_t start(void *(*entry)(void *), const char *name, void *argument)
{
    pth_attr_t attributes = pth_attr_new();
    pth_t thread;

    pth_attr_set(attributes, PTH_ATTR_NAME, name);
    pth_attr_set(attributes, PTH_ATTR_JOINABLE, entry == subscriber);
    pth_attr_set(attributes, PTH_ATTR_STACK_SIZE, (unsigned int)STACK);
    thread = pth_spawn(attributes, entry, argument);
    if (!thread) {
        perror("pth_spawn");
        exit(2);
    }
    pth_attr_destroy(attributes);
    alive++;
    return thread;
}

static __attribute__((noinline)) int read_request(int client, char *line, int size)
{
    about_to("handle", "fd", NULL, client, __func__);
    return (int)pth_read(client, line, (size_t)size);
}

static void *handle(void *argument)
{
    int client = (int)(long)argument;
    char line[128];
    int size;

    while ((size = read_request(client, line, sizeof(line))) > 0)
        pth_write(client, line, (size_t)size);
    done();
    close(client);
    return NULL;
}

static void *serve(void *unused)
{
    int client;

    (void)unused;
    about_to("serve", "fd", NULL, listening, __func__);
    while ((client = pth_accept(listening, NULL, NULL)) >= 0)
        start(handle, "handle", (void *)(long)client);
    done();
    return NULL;
}

static __attribute__((noinline)) void await_change(const char *entry)
{
    pth_mutex_acquire(&change_lock, FALSE, NULL);
    about_to(entry, "cond", &changed, 0, __func__);
    while (running)
        pth_cond_await(&changed, &change_lock, NULL);
    pth_mutex_release(&change_lock);
}

static void *subscriber(void *unused)
{
    (void)unused;
    await_change("subscriber");
    done();
    return NULL;
}

static void *reap(void *thread)
{
    about_to("reap", "tid", thread, 0, __func__);
    pth_join(thread, NULL);
    done();
    return NULL;
}

static void *compact(void *unused)
{
    (void)unused;
    pth_mutex_acquire(&table, FALSE, NULL);
    pth_mutex_acquire(&change_lock, FALSE, NULL);
    about_to("compact", "cond", &changed, 0, __func__);
    while (running)
        pth_cond_await(&changed, &change_lock, NULL);
    pth_mutex_release(&change_lock);
    pth_mutex_release(&table);
    done();
    return NULL;
}

static __attribute__((noinline)) void store(void)
{
    about_to("writer", "mutex", &table, 0, __func__);
    pth_mutex_acquire(&table, FALSE, NULL);
    pth_mutex_release(&table);
}

static void *writer(void *unused)
{
    (void)unused;
    store();
    done();
    return NULL;
}

static void *pace(void *unused)
{
    (void)unused;
    about_to("pace", "time", NULL, 0, __func__);
    if (leaking)
        pth_sleep(3600);
    else
        pth_usleep(1000);
    done();
    return NULL;
}

static void start_all(int each)
{
    int *clients = calloc((size_t)each, sizeof(*clients));

    start(serve, "serve", NULL);
    pth_yield(NULL);
    for (int i = 0; i < each; i++) {
        clients[i] = loopback_connect(listening);
        if (i % 64 == 63)
            pth_usleep(10000); /* let them be accepted, before the backlog is full */
    }
    pth_usleep(50000);
    start(compact, "compact", NULL);
    for (int i = 0; i < each; i++) {
        start(reap, "reap", start(subscriber, "subscriber", NULL));
        start(writer, "writer", NULL);
        start(pace, "pace", NULL);
    }
    pth_usleep(100000);
    for (int i = 0; i < each && !leaking; i++)
        close(clients[i]);
    free(clients);
}

/* Until nothing has moved for a while; repaired, until only the one that accepts is left. */
static void settle(void)
{
    for (int calm = 0, last = 0, tries = 0; calm < 10 && tries < 500; tries++) {
        pth_usleep(20000);
        calm = alive == last && (leaking || alive == 1) ? calm + 1 : 0;
        last = alive;
    }
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 1500;

    leaking = argc > 1 && strcmp(argv[1], "leak") == 0;
    if (argc < 2 || threads < 5 || threads > 2400 ||
        (!leaking && strcmp(argv[1], "repaired") != 0)) {
        fprintf(stderr, "usage: %s leak|repaired [N], N from 5 to 2400\n", argv[0]);
        return 2;
    }
    listening = loopback_listen();
    if (!pth_init()) {
        perror("pth_init");
        return 2;
    }
    account_ids("0x%lx");
    start_all(threads / 5);
    if (!leaking) {
        running = 0;
        pth_mutex_acquire(&change_lock, FALSE, NULL);
        pth_cond_notify(&changed, TRUE);
        pth_mutex_release(&change_lock);
    }
    settle();
    about_to("main", NULL, NULL, 0, __func__);
    account_end();
}
