/* Fibers in C++ the way it is often written: namespaces, a class hierarchy, templates, std
 * containers, a singleton inside of a function. For a description (fibers.yaml) to be tried on.
 *
 * fibers: prints its account (samples/c/account.h) and dies.
 */
#include <ucontext.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "samples/c/account.h"

namespace app::fibers
{

enum class State : unsigned char { Ready, Parked, Done };

struct Base {
    virtual ~Base() = default;
    unsigned long id = 0;
};

struct Waitable {
    virtual ~Waitable() = default;
    const char *kind = "?";
};

template <class T> struct Mailbox : Waitable {
    Mailbox()
    {
        kind = "mailbox";
    }
    std::list<T> letters;
};

class Fiber : public Base
{
  public:
    std::string name;
    State state = State::Ready;
    void (*body)() = nullptr;
    Waitable *on = nullptr;
    std::chrono::steady_clock::time_point since;
    std::unique_ptr<char[]> stack;
    ucontext_t context;
    std::weak_ptr<Fiber> parent;
};

class Scheduler
{
  public:
    static Scheduler &get();
    template <class Keep> Fiber *start(void (*body)(), std::string name, Keep keep);
    void run(Fiber *fiber);
    void park(Waitable *on);

  private:
    static void begin();
    std::map<unsigned long, std::unique_ptr<Fiber>> by_id;
    std::unordered_map<unsigned long, std::shared_ptr<Fiber>> hashed;
    std::list<Fiber *> listed;
    std::vector<std::unique_ptr<Fiber>> kept;
    std::deque<Fiber *> few, many; /* few: within one block */
    Fiber *current = nullptr;
    ucontext_t self;
    unsigned long last = 0, alive = 0;

  public:
    void keep_by_id(Fiber *f)
    {
        by_id.emplace(f->id, f);
    }
    void keep_hashed(Fiber *f)
    {
        hashed.emplace(f->id, std::shared_ptr<Fiber>(f));
    }
    void keep_listed(Fiber *f)
    {
        listed.push_back(f);
    }
    void keep_kept(Fiber *f)
    {
        kept.emplace_back(f);
    }
    void keep_few(Fiber *f)
    {
        few.push_back(f);
    }
    void keep_many(Fiber *f)
    {
        many.push_back(f);
    }
    /* What was in front of the first ones left stays in the blocks, and leads to freed memory. */
    void forget_done()
    {
        for (std::deque<Fiber *> *queue : {&few, &many})
            while (queue->front()->state == State::Done) {
                delete queue->front();
                queue->pop_front();
            }
    }
    Fiber *now()
    {
        return current;
    }
};

Scheduler &Scheduler::get()
{
    static Scheduler instance;
    return instance;
}

template <class Keep> Fiber *Scheduler::start(void (*body)(), std::string name, Keep keep)
{
    Fiber *f = new Fiber;
    f->id = ++last;
    f->name = std::move(name);
    f->body = body;
    f->stack.reset(new char[64 * 1024]);
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.get();
    f->context.uc_stack.ss_size = 64 * 1024;
    makecontext(&f->context, begin, 0);
    alive++;
    (this->*keep)(f);
    return f;
}

void Scheduler::begin()
{
    Scheduler &s = get();
    s.current->body();
    s.current->state = State::Done;
    s.alive--;
    swapcontext(&s.current->context, &s.self);
}

void Scheduler::run(Fiber *fiber)
{
    current = fiber;
    swapcontext(&self, &fiber->context);
    current = nullptr;
}

void Scheduler::park(Waitable *on)
{
    Fiber *f = current;
    f->state = State::Parked;
    f->on = on;
    f->since = std::chrono::steady_clock::now();
    swapcontext(&f->context, &self);
}

} // namespace app::fibers

using namespace app::fibers;

static Mailbox<int> box;

static void tell(const char *entry, const char *reason, const void *object, const char *site)
{
    const Fiber *f = Scheduler::get().now();
    struct account_note note = {};
    note.id = f->id;
    note.entry = entry;
    note.state = reason ? "waiting" : "running";
    note.reason = reason;
    note.object = object;
    note.site = site;
    note.creator = -1;
    note.name = f->name.c_str();
    account_note(&note);
}

static void subscriber()
{
    tell("subscriber", "mailbox", static_cast<Waitable *>(&box), "subscriber");
    Scheduler::get().park(&box);
}

static void brief()
{
}

static void finish()
{
    tell("finish", nullptr, nullptr, "finish");
    account_end();
}

int main()
{
    Scheduler &s = Scheduler::get();
    for (int i = 0; i < 300; i++) {
        s.run(s.start(subscriber, "m" + std::to_string(i), &Scheduler::keep_by_id));
        s.run(s.start(subscriber, "a name of more than fifteen letters", &Scheduler::keep_hashed));
        s.run(s.start(subscriber, "", &Scheduler::keep_listed));
        s.run(s.start(subscriber, "kept", &Scheduler::keep_kept));
        s.run(s.start(brief, "brief", &Scheduler::keep_kept));
    }
    for (int i = 0; i < 90; i++)
        s.run(s.start(brief, "brief", &Scheduler::keep_many));
    for (int i = 0; i < 300; i++)
        s.run(s.start(subscriber, "many", &Scheduler::keep_many));
    for (int i = 0; i < 40; i++)
        s.run(s.start(i < 20 ? brief : subscriber, "few", &Scheduler::keep_few));
    s.forget_done();
    s.run(s.start(finish, "last", &Scheduler::keep_listed));
    return 1;
}
