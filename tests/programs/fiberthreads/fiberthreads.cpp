/* Boost.Fiber in four threads, each with a scheduler of its own: their fibers wait for a condition
 * of their thread's, or sleep.
 *
 * fiberthreads N: prints how many of each there are, and dies.
 */
#include <boost/fiber/all.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <pthread.h>
#include <thread>
#include <vector>

enum { THREADS = 4 };

static pthread_barrier_t parked;

struct Condition {
    boost::fibers::mutex mutex;
    boost::fibers::condition_variable changed;
};

static __attribute__((noinline)) void await(Condition *condition)
{
    std::unique_lock<boost::fibers::mutex> lock(condition->mutex);
    condition->changed.wait(lock);
}

static __attribute__((noinline)) void nap()
{
    boost::this_fiber::sleep_for(std::chrono::hours(1));
}

static void thread(int each)
{
    Condition *condition = new Condition;
    for (int i = 0; i < each; i++) {
        boost::fibers::fiber(await, condition).detach();
        boost::fibers::fiber(nap).detach();
    }
    boost::this_fiber::sleep_for(std::chrono::milliseconds(50));
    pthread_barrier_wait(&parked);
    pthread_barrier_wait(&parked);
}

int main(int argc, char **argv)
{
    int each = argc > 1 ? atoi(argv[1]) : 100;
    std::vector<std::thread> threads;
    pthread_barrier_init(&parked, nullptr, THREADS);
    for (int i = 1; i < THREADS; i++)
        threads.emplace_back(thread, each);
    Condition *condition = new Condition;
    for (int i = 0; i < each; i++) {
        boost::fibers::fiber(await, condition).detach();
        boost::fibers::fiber(nap).detach();
    }
    boost::this_fiber::sleep_for(std::chrono::milliseconds(50));
    pthread_barrier_wait(&parked);
    printf("%d\n", THREADS * each);
    fflush(stdout);
    abort();
}
