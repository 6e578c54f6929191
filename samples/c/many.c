// Parks tasks, 100000 unless the first argument says otherwise, a few frames deep at five sites.
// It is the subject of the benchmarks. Sites and counts for N tasks:
//
// expect: count=N/5 reason="chan receive" verdict=suspect rule=threshold threshold=1000 site=handle
// expect: count=N/5 reason="chan send" verdict=suspect rule=threshold threshold=1000 site=reply
// expect: count=N/5 reason="select" verdict=suspect rule=threshold threshold=1000 site=serve
// expect: count=N/5 reason="mutex lock" verdict=suspect rule=threshold threshold=1000 site=update
// expect: count=N/5 reason="sleep" verdict=active site=pace
// account: many=N+1
#include <stdlib.h>

#include "sample.h"

static struct co_mutex table;

#define DEEP __attribute__((noinline))
#define STAY __asm__ volatile("") /* keeps the call from becoming a jump: the frame stays */

static DEEP void handle(struct co_chan *chan)
{
    ABOUT_TO(reader, "chan receive", chan);
    co_receive(chan, NULL);
    STAY;
}

static DEEP void read_request(struct co_chan *chan)
{
    handle(chan);
    STAY;
}

static void reader(void *chan)
{
    read_request(chan);
    STAY;
}

static DEEP void reply(struct co_chan *chan)
{
    ABOUT_TO(writer, "chan send", chan);
    co_send(chan, NULL);
    STAY;
}

static DEEP void write_answer(struct co_chan *chan)
{
    reply(chan);
    STAY;
}

static void writer(void *chan)
{
    write_answer(chan);
    STAY;
}

static DEEP void serve(struct co_chan *chan)
{
    struct co_case cases[] = {{chan, CO_RECEIVE, NULL}, {NULL, CO_SEND, NULL}};

    ABOUT_TO(server, "select", cases);
    co_select(cases, 2, CO_FOREVER, NULL);
    STAY;
}

static void server(void *chan)
{
    serve(chan);
    STAY;
}

static DEEP void update(struct co_mutex *mutex)
{
    ABOUT_TO(updater, "mutex lock", mutex);
    co_mutex_lock(mutex);
    STAY;
}

static void updater(void *unused)
{
    (void)unused;
    update(&table);
    STAY;
}

static DEEP void pace(void)
{
    ABOUT_TO(ticker, "sleep", NULL);
    co_sleep(3600 * 1000 * MS);
    STAY;
}

static void ticker(void *unused)
{
    (void)unused;
    pace();
    STAY;
}

static void many(void *count)
{
    long n = *(long *)count;

    co_mutex_lock(&table);
    for (long i = 0; i < n; i++) {
        switch (i % 5) {
        case 0:
            co_spawn(reader, co_chan_create(0, 0), "reader");
            break;
        case 1:
            co_spawn(writer, co_chan_create(0, 0), "writer");
            break;
        case 2:
            co_spawn(server, co_chan_create(0, 0), NULL);
            break;
        case 3:
            co_spawn(updater, NULL, "updater");
            break;
        default:
            co_spawn(ticker, NULL, "ticker");
        }
    }
    sample_settle();
    ABOUT_TO(many, NULL, NULL);
    account_end();
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 100000;

    co_run(many, &count);
    return 2;
}
