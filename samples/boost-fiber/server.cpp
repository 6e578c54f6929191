// A server on Boost.Fiber: server leak|repaired [N]. It connects to itself; for every connection a
// fiber asks for the answer. Of N fibers (6000 unless given) one fifth each sends an answer for
// which nobody waits any more, receives orders from a channel that nobody closes, waits for a
// condition that nobody signals, waits for a mutex whose holder waits for that condition too, and
// sleeps. Repaired: all of them end.
//
// expect: count=N/5 reason="channel send" verdict=suspect rule=threshold threshold=1000
//     final=leaked pattern=timeout-leak site=answer
// expect: count=N/5 reason="channel receive" verdict=suspect rule=threshold threshold=1000
//     final=leaked pattern=range-without-close site=take_orders
// expect: count=N/5 reason="cond wait" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=lost-signal site=await_change
// expect: count=N/5 reason="mutex lock" verdict=suspect rule=threshold threshold=1000 final=leaked
//     pattern=lock-never-released site=store
// expect: count=1 reason="cond wait" verdict=waiting final=leaked site=compact
// expect: count=N/5 reason="sleep" verdict=active site=pace
// account: leak=N+2 repaired=1
#include <boost/fiber/all.hpp>

#include <chrono>
#include <cstring>
#include <memory>
#include <unistd.h>

#include "account.h"
#include "loopback.h"

using namespace std::chrono_literals;
namespace fibers = boost::fibers;
using answers = fibers::unbuffered_channel<int>;
using orders = fibers::buffered_channel<int>;

static bool leaking;
static bool running = true;
static fibers::mutex change_lock;
static fibers::condition_variable changed;
static fibers::mutex table;

static void about_to(const char *entry, const char *reason, const void *object, const char *site)
{
    struct account_note note = {};

    note.id = (unsigned long)fibers::context::active();
    note.entry = entry;
    note.state = reason ? "waiting" : "running";
    note.reason = reason;
    note.object = object;
    note.site = site;
    note.creator = -1;
    account_note(&note);
}

static void done()
{
    account_remove((unsigned long)fibers::context::active());
}

template <typename Function, typename... Arguments>
static void start(Function function, Arguments... arguments)
{
    fibers::fiber(fibers::launch::post, std::allocator_arg, fibers::fixedsize_stack(32 * 1024),
                  function, arguments...)
        .detach();
}

static __attribute__((noinline)) void answer(answers *to)
{
    boost::this_fiber::sleep_for(2ms);
    about_to("answer", "channel send", to, __func__);
    to->push(42);
    done();
}

/* Asks, but not for longer than a millisecond. Repaired: hears the late answer, too. */
static void request(int connection)
{
    auto *reply = new answers;
    int value = 0;

    start(answer, reply);
    if (reply->pop_wait_for(value, 1ms) == fibers::channel_op_status::timeout && !leaking)
        reply->pop(value);
    close(connection);
}

static __attribute__((noinline)) void take_orders(orders *from)
{
    int order;

    about_to("take_orders", "channel receive", from, __func__);
    while (from->pop(order) == fibers::channel_op_status::success)
        ;
    done();
}

static __attribute__((noinline)) void await_change()
{
    std::unique_lock<fibers::mutex> hold(change_lock);

    about_to("await_change", "cond wait", &changed, __func__);
    while (running)
        changed.wait(hold);
    done();
}

static __attribute__((noinline)) void compact()
{
    std::unique_lock<fibers::mutex> hold_table(table);
    std::unique_lock<fibers::mutex> hold(change_lock);

    about_to("compact", "cond wait", &changed, __func__);
    while (running)
        changed.wait(hold);
    done();
}

static __attribute__((noinline)) void store()
{
    about_to("store", "mutex lock", &table, __func__);
    std::unique_lock<fibers::mutex> hold(table);
    done();
}

static __attribute__((noinline)) void pace()
{
    about_to("pace", "sleep", nullptr, __func__);
    if (leaking)
        boost::this_fiber::sleep_for(1h);
    else
        boost::this_fiber::sleep_for(1ms);
    done();
}

static void start_all(int each)
{
    int listening = loopback_listen();

    start(compact);
    for (int i = 0; i < each; i++) {
        int client = loopback_connect(listening);
        int connection = accept(listening, nullptr, nullptr);

        loopback_check(connection, "accept");
        close(client);
        start(request, connection);
        auto *queue = new orders(4);
        start(take_orders, queue);
        boost::this_fiber::yield();
        for (int order = 0; order < 3; order++)
            queue->push(order);
        if (!leaking)
            queue->close();
        start(await_change);
        start(store);
        start(pace);
    }
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? atoi(argv[2]) : 6000;

    leaking = argc > 1 && strcmp(argv[1], "leak") == 0;
    if (argc < 2 || count < 5 || (!leaking && strcmp(argv[1], "repaired") != 0)) {
        fprintf(stderr, "usage: %s leak|repaired [N]\n", argv[0]);
        return 2;
    }
    account_ids("0x%lx");
    start_all(count / 5);
    boost::this_fiber::sleep_for(100ms);
    if (!leaking) {
        running = false;
        changed.notify_all();
    }
    boost::this_fiber::sleep_for(100ms);
    about_to("main", nullptr, nullptr, __func__);
    account_end();
}
