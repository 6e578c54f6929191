// A server on State Threads: server leak|repaired [N]. It connects to itself, and of N threads
// (6000 unless given) one fifth each accepts, reads requests that never come, without a timeout,
// waits for a change of the configuration that nobody signals, waits for a mutex whose holder waits
// for that change too, and sleeps. Repaired: the change is signalled, connections are closed, and
// what is left are a few threads that accept.
//
// expect: count=N/5 reason="io wait" verdict=suspect rule=threshold threshold=1000 site=serve
// expect: count=N/5 reason="io wait" verdict=suspect rule=threshold threshold=1000
// site=read_request expect: count=N/5 reason="cond wait" verdict=suspect rule=threshold
// threshold=1000 final=leaked
//     pattern=lost-signal site=await_change
// expect: count=N/5 reason="lock wait" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=lock-never-released site=store
// expect: count=1 reason="cond wait" verdict=waiting final=leaked site=compact
// expect: count=N/5 reason="sleep" verdict=active site=pace
// account: leak=N+2 repaired=9
#include <st.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "loopback.h"

enum { ACCEPTING_WHEN_REPAIRED = 8, STACK = 32 * 1024 };

static int leaking;
static int running = 1;
static st_netfd_t listening;
static st_cond_t changed;
static st_mutex_t table;

static void about_to(const char *entry, const char *reason, const void *object, int fd,
                     const char *site)
{
    account_note(&(struct account_note){.id = (unsigned long)st_thread_self(),
                                        .entry = entry,
                                        .state = reason ? "waiting" : "running",
                                        .reason = reason,
                                        .object = object,
                                        .fd = fd,
                                        .site = site,
                                        .creator = -1});
}

static void done(void)
{
    account_remove((unsigned long)st_thread_self());
}

static void start(void *(*entry)(void *), void *argument)
{
    if (!st_thread_create(entry, argument, 0, STACK)) {
        perror("st_thread_create");
        exit(2);
    }
}

static __attribute__((noinline)) int read_request(st_netfd_t client, char *line, int size)
{
    about_to("handle", "io wait", NULL, st_netfd_fileno(client), __func__);
    return (int)st_read(client, line, (size_t)size, ST_UTIME_NO_TIMEOUT);
}

static void *handle(void *client)
{
    char line[128];
    int size;

    while ((size = read_request(client, line, sizeof(line))) > 0)
        st_write(client, line, (size_t)size, ST_UTIME_NO_TIMEOUT);
    done();
    st_netfd_close(client);
    return NULL;
}

static void *serve(void *unused)
{
    st_netfd_t client;

    (void)unused;
    about_to("serve", "io wait", NULL, st_netfd_fileno(listening), __func__);
    while ((client = st_accept(listening, NULL, NULL, ST_UTIME_NO_TIMEOUT)))
        start(handle, client);
    done();
    return NULL;
}

static __attribute__((noinline)) void await_change(void)
{
    about_to("subscriber", "cond wait", changed, 0, __func__);
    while (running)
        st_cond_wait(changed);
}

static void *subscriber(void *unused)
{
    (void)unused;
    await_change();
    done();
    return NULL;
}

static void *compact(void *unused)
{
    (void)unused;
    st_mutex_lock(table);
    about_to("compact", "cond wait", changed, 0, __func__);
    while (running)
        st_cond_wait(changed);
    done();
    st_mutex_unlock(table);
    return NULL;
}

static __attribute__((noinline)) void store(void)
{
    about_to("writer", "lock wait", table, 0, __func__);
    st_mutex_lock(table);
    st_mutex_unlock(table);
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
    about_to("pace", "sleep", NULL, 0, __func__);
    if (leaking)
        st_sleep(3600);
    else
        st_usleep(1000);
    done();
    return NULL;
}

static void start_all(int each)
{
    int *clients = calloc((size_t)each, sizeof(*clients));

    start(serve, NULL);
    for (int i = 0; i < each; i++) {
        clients[i] = loopback_connect(st_netfd_fileno(listening));
        st_usleep(0); /* let it be accepted, before the backlog is full */
    }
    for (int i = 1; i < (leaking ? each : ACCEPTING_WHEN_REPAIRED); i++)
        start(serve, NULL);
    start(compact, NULL);
    for (int i = 0; i < each; i++) {
        start(subscriber, NULL);
        start(writer, NULL);
        start(pace, NULL);
    }
    st_usleep(50000);
    for (int i = 0; i < each && !leaking; i++)
        close(clients[i]);
    free(clients);
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 6000;

    leaking = argc > 1 && strcmp(argv[1], "leak") == 0;
    if (argc < 2 || threads < 5 || (!leaking && strcmp(argv[1], "repaired") != 0)) {
        fprintf(stderr, "usage: %s leak|repaired [N]\n", argv[0]);
        return 2;
    }
    int fd = loopback_listen();
    /* Debian's library has no epoll, and select ends at 1024 descriptors. */
    loopback_check(st_set_eventsys(ST_EVENTSYS_POLL), "st_set_eventsys");
    loopback_check(st_init(), "st_init");
    account_ids("0x%lx");
    listening = st_netfd_open_socket(fd);
    changed = st_cond_new();
    table = st_mutex_new();
    start_all(threads / 5);
    if (!leaking) {
        running = 0;
        st_cond_broadcast(changed);
    }
    st_usleep(100000);
    about_to("main", NULL, NULL, 0, __func__);
    account_end();
}
