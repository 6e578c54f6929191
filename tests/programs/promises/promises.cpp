/* C++20 coroutines: no stacks, frames on the heap, promises in a ring. For a description
 * (promises.yaml) to be tried on.
 *
 * promises: prints its account (samples/c/account.h) and dies.
 */
#include <coroutine>
#include <cstdlib>
#include <exception>

#include "samples/c/account.h"

namespace rt
{

struct Task;

struct Links {
    Links *next = this, *prev = this;
};

struct Promise : Links {
    enum class Wait { Nothing, Event } wait = Wait::Nothing;
    unsigned long id;
    void *event = nullptr;
    std::coroutine_handle<> continuation;

    Promise();
    ~Promise();
    Task get_return_object();
    std::suspend_always initial_suspend() noexcept
    {
        return {};
    }
    std::suspend_always final_suspend() noexcept
    {
        return {};
    }
    void return_void()
    {
    }
    void unhandled_exception()
    {
        std::terminate();
    }
};

static struct {
    Links all;
    unsigned long last, count;
} world;

Promise::Promise() : id(++world.last)
{
    next = world.all.next;
    prev = &world.all;
    next->prev = prev->next = this;
    world.count++;
}

Promise::~Promise()
{
    prev->next = next;
    next->prev = prev;
    world.count--;
}

struct Task {
    using promise_type = Promise;
    std::coroutine_handle<Promise> handle;
    bool await_ready()
    {
        return false;
    }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> waiting)
    {
        handle.promise().continuation = waiting;
        return handle;
    }
    void await_resume()
    {
    }
};

Task Promise::get_return_object()
{
    return {std::coroutine_handle<Promise>::from_promise(*this)};
}

struct Event {
    bool await_ready()
    {
        return false;
    }
    void await_suspend(std::coroutine_handle<Promise> h)
    {
        h.promise().event = this;
        h.promise().wait = Promise::Wait::Event;
    }
    void await_resume()
    {
    }
};

} // namespace rt

static rt::Event never;

static void tell(unsigned long id, const char *entry, const char *reason, const void *object)
{
    struct account_note note = {};
    note.id = id;
    note.entry = note.site = entry;
    note.state = "waiting";
    note.reason = reason;
    note.object = object;
    note.creator = -1;
    account_note(&note);
}

static rt::Task inner()
{
    co_await never;
}

static rt::Task outer()
{
    co_await inner();
}

int main()
{
    for (int i = 0; i < 1200; i++) {
        rt::Task task = outer();
        unsigned long id = task.handle.promise().id;
        task.handle.resume();
        rt::Promise *within = static_cast<rt::Promise *>(rt::world.all.next);
        tell(id, "outer", "await", within);
        tell(within->id, "inner", "event", &never);
    }
    account_end();
}
