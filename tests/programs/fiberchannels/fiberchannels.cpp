// Fibers that wait at every kind of end of every kind of channel: for each, a line says which fiber,
// which channel, its capacity, whether it was closed, and what the fiber does there. Two senders
// share an unbuffered channel: the value of the first is in the channel's slot, and nothing in the
// fiber says where it is, so its channel is printed as 0.
#include <boost/fiber/all.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace fibers = boost::fibers;
using unbuffered = fibers::unbuffered_channel<double>;
using buffered = fibers::buffered_channel<int>;

// Debian's library is stripped, and nothing else names the scheduler of a thread: a description
// that is bound from this program's debug information begins here.
extern "C" {
fibers::context *some_fiber;
}

static void say(const void *channel, unsigned capacity, bool closed, const char *what)
{
    std::printf("%p\t%p\t%u\t%d\t%s\n", (void *)fibers::context::active(), channel, capacity,
                closed, what);
}

template <typename Function> static void start(Function function)
{
    fibers::fiber(fibers::launch::dispatch, std::allocator_arg, fibers::fixedsize_stack(64 * 1024),
                  function)
        .detach();
}

int main(int argc, char **argv)
{
    some_fiber = fibers::context::active();
    for (int i = 0; i < 25; i++) {
        auto *sent = new unbuffered, *received = new unbuffered;
        auto *full = new buffered(2u << i % 4), *empty = new buffered(4);
        start([=] {
            say(nullptr, 0, false, "channel send");
            sent->push(1.0);
        });
        start([=] {
            say(sent, 0, sent->is_closed(), "channel send");
            sent->push(2.0);
        });
        start([=] {
            double value;
            say(received, 0, received->is_closed(), "channel receive");
            received->pop(value);
        });
        start([=] {
            for (unsigned n = 1; n < 2u << i % 4; n++)
                full->push(1);
            say(full, 2u << i % 4, full->is_closed(), "channel send");
            full->push_wait_for(1, std::chrono::hours(1));
        });
        start([=] {
            int value;
            say(empty, 4, empty->is_closed(), "channel receive");
            empty->pop(value);
        });
    }
    boost::this_fiber::sleep_for(std::chrono::milliseconds(20));
    std::printf("ready\n");
    std::fflush(stdout);
    if (argc > 1 && !std::strcmp(argv[1], "wait"))
        pause();
    std::abort();
}
