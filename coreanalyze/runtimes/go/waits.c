/* What a parked goroutine waits for: the stack says which operation, the runtime's queues say on
 * what. No list of wait reasons: their names and numbers change with the version.
 */
#include "runtimes/go/go.h"

#include <string.h>

enum {
    LOOK_FRAMES = 24, /* the operation is near the top */
    POLL_WORDS_MAX = 256,
};

static bool has_prefix(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

static void note_rwmutex(struct ca_go_stack_fact *fact, const char *method)
{
    if (has_prefix(method, "RLock") || has_prefix(method, "rlock"))
        fact->sync = CA_GO_SYNC_RW_READ;
    else if (fact->sync == CA_GO_SYNC_MUTEX)
        fact->sync = CA_GO_SYNC_RW_MUTEX;
    else
        fact->sync = CA_GO_SYNC_RW_WRITE;
}

static void note_function(struct ca_go_stack_fact *fact, const char *name, int frame)
{
    if (has_prefix(name, "runtime.chansend"))
        fact->send = true;
    else if (has_prefix(name, "runtime.chanrecv"))
        fact->receive = true;
    else if (!strcmp(name, "runtime.selectgo"))
        fact->select = true;
    else if (!strcmp(name, "runtime.block"))
        fact->block = true;
    else if (!strcmp(name, "time.Sleep"))
        fact->sleep = true;
    else if (has_prefix(name, "runtime.semacquire"))
        fact->semaphore = true;
    else if (!strcmp(name, "runtime.netpollblock"))
        fact->poll_frame = (int8_t)frame;
    else if (has_prefix(name, "sync.(*RWMutex)."))
        note_rwmutex(fact, name + strlen("sync.(*RWMutex)."));
    else if ((has_prefix(name, "sync.(*Mutex).") || has_prefix(name, "internal/sync.(*Mutex).")) &&
             fact->sync == CA_GO_SYNC_NONE)
        fact->sync = CA_GO_SYNC_MUTEX;
    else if (!strcmp(name, "sync.(*WaitGroup).Wait"))
        fact->sync = CA_GO_SYNC_WAITGROUP;
    else if (!strcmp(name, "sync.(*Cond).Wait") && fact->sync == CA_GO_SYNC_NONE) {
        fact->sync = CA_GO_SYNC_COND;
        fact->cond_frame = (int8_t)frame;
    }
}

/* Reads down from the top until the first frame that is neither the runtime's nor sync's. */
static bool compute_fact(struct ca_go *go, struct ca_tasks *tasks,
                         const struct ca_go_frames *frames, struct ca_go_stack_fact *fact)
{
    *fact = (struct ca_go_stack_fact){.known = true, .poll_frame = -1, .cond_frame = -1};
    for (size_t i = 0; i < frames->list.len && i < LOOK_FRAMES; i++) {
        const struct ca_raw_frame *raw = &frames->list.data[i];
        const struct ca_go_pc_name *name = ca_go_name_pc(go, tasks, raw->pc, raw->exact);
        if (!name)
            return false;
        for (uint32_t j = 0; j < name->count; j++) {
            const struct ca_frame *frame = &go->pc_frames.data[name->first + j];
            if (!frame->function || !frame->runtime) {
                if (frame->function)
                    note_function(fact, frame->function, (int)i);
                return true;
            }
            note_function(fact, frame->function, (int)i);
        }
    }
    return true;
}

const struct ca_go_stack_fact *ca_go_stack_fact(struct ca_go *go, struct ca_tasks *tasks,
                                                uint32_t stack, const struct ca_go_frames *frames)
{
    if (stack == CA_STACK_NONE)
        return NULL;
    while (go->stack_facts.len <= stack)
        if (!ca_vec_push(&go->stack_facts, (struct ca_go_stack_fact){0}))
            return NULL;
    struct ca_go_stack_fact *fact = &go->stack_facts.data[stack];
    if (!fact->known && !compute_fact(go, tasks, frames, fact))
        return NULL;
    return fact;
}

static int64_t time_left(const struct ca_go *go, int64_t when)
{
    int64_t left;
    if (go->now == CA_UNKNOWN || when == CA_UNKNOWN || __builtin_sub_overflow(when, go->now, &left))
        return CA_UNKNOWN;
    return left;
}

/* One case from a sudog; found: it could be read. false: no memory. */
static bool read_case(struct ca_go *go, uint64_t sudog, struct ca_case *ret, int64_t *when,
                      bool *found)
{
    uint64_t address;
    const struct ca_go_channel *channel;
    *ret = ca_case_unknown(0, CA_DIRECTION_UNKNOWN);
    *when = CA_UNKNOWN;
    *found = ca_go_read_u64(go, sudog, GO_SUDOG_C, &address) && address; /* nil ones have none */
    if (!*found)
        return true;
    if (!ca_go_channel_read(go, address, &channel))
        return false;
    *ret = channel->facts;
    ret->direction = ca_go_sudog_direction(go, sudog);
    if (ret->direction == CA_DIRECTION_RECEIVE)
        *when = channel->timer_when;
    ret->timer = *when != CA_UNKNOWN;
    return true;
}

static bool fill_channel(struct ca_go *go, const struct ca_go_g *g,
                         const struct ca_go_stack_fact *fact, struct ca_wait *wait)
{
    uint64_t sudog = ca_go_u64(go, g->bytes, GO_G_WAITING);
    int64_t when = CA_UNKNOWN;
    *wait = ca_wait_unknown(CA_WAIT_CHANNEL);
    wait->has_address = true; /* without a sudog the channel is nil for certain */
    if (sudog && !read_case(go, sudog, &wait->channel, &when, &wait->has_address))
        return false;
    if (wait->channel.direction == CA_DIRECTION_UNKNOWN)
        wait->channel.direction = fact->send ? CA_DIRECTION_SEND : CA_DIRECTION_RECEIVE;
    if (when != CA_UNKNOWN) {
        wait->kind = CA_WAIT_TIMER;
        wait->ends_by_timer = true;
        wait->deadline_ns = time_left(go, when);
    }
    return true;
}

static bool fill_select(struct ca_go *go, struct ca_tasks *tasks, const struct ca_task *task,
                        struct ca_wait *wait)
{
    size_t count;
    const uint64_t *sudogs = ca_go_task_sudogs(go, task, &count);
    int64_t soonest = CA_UNKNOWN;
    *wait = ca_wait_unknown(CA_WAIT_SELECT);
    wait->first_case = ca_waits_case_count(&tasks->waits);
    for (size_t i = 0; i < count; i++) {
        struct ca_case one;
        int64_t when;
        bool found;
        if (!read_case(go, sudogs[i], &one, &when, &found) ||
            !ca_waits_add_case(&tasks->waits, &one))
            return false;
        wait->case_count++;
        if (when != CA_UNKNOWN && (soonest == CA_UNKNOWN || when < soonest))
            soonest = when;
    }
    wait->ends_by_timer = soonest != CA_UNKNOWN;
    wait->deadline_ns = time_left(go, soonest);
    return true;
}

static void fill_sleep(struct ca_go *go, const struct ca_go_g *g, struct ca_wait *wait)
{
    uint64_t when = ca_go_u64(go, g->bytes, GO_G_SLEEPWHEN);
    uint64_t timer = ca_go_u64(go, g->bytes, GO_G_TIMER);
    *wait = ca_wait_unknown(CA_WAIT_SLEEP);
    wait->ends_by_timer = true;
    if (!when && (!timer || !ca_go_read_u64(go, timer, GO_TIMER_WHEN, &when)))
        return;
    wait->deadline_ns = time_left(go, (int64_t)when);
}

/* Does this word of the stack point at a descriptor that this goroutine waits on? */
static bool is_poll_of(struct ca_go *go, uint64_t pd, uint64_t g, bool *write)
{
    uint64_t rg, wg;
    if (pd < 4096 || pd % 8 || !ca_go_read_u64(go, pd, GO_POLL_RG, &rg) ||
        !ca_go_read_u64(go, pd, GO_POLL_WG, &wg))
        return false;
    *write = wg == g;
    return rg == g || wg == g;
}

/* runtime.netpollblock's descriptor is live in its frame or in its caller's. */
static void fill_poll(struct ca_go *go, const struct ca_go_g *g, const struct ca_go_frames *frames,
                      int frame, struct ca_wait *wait)
{
    *wait = ca_wait_unknown(CA_WAIT_IO);
    uint64_t at = frames->list.data[frame].sp, fd, deadline;
    for (int i = 0; i < POLL_WORDS_MAX; i++, at += 8) {
        uint64_t pd;
        bool write;
        if (!ca_target_read_u64(go->target, at, &pd))
            return;
        if (!is_poll_of(go, pd, g->address, &write))
            continue;
        if (ca_go_read_u64(go, pd, GO_POLL_FD, &fd))
            wait->fd = (int64_t)fd;
        wait->channel.direction = write ? CA_DIRECTION_SEND : CA_DIRECTION_RECEIVE;
        if (ca_go_read_u64(go, pd, write ? GO_POLL_WD : GO_POLL_RD, &deadline) && deadline) {
            wait->ends_by_timer = true;
            if ((int64_t)deadline > 0)
                wait->deadline_ns = time_left(go, (int64_t)deadline);
        }
        return;
    }
}

static bool fill(struct ca_go *go, struct ca_tasks *tasks, const struct ca_task *task,
                 const struct ca_go_g *g, const struct ca_go_frames *frames,
                 const struct ca_go_stack_fact *fact, struct ca_wait *wait)
{
    *wait = ca_wait_unknown(CA_WAIT_UNKNOWN);
    if (fact->select)
        return fill_select(go, tasks, task, wait);
    if (fact->send || fact->receive)
        return fill_channel(go, g, fact, wait);
    if (fact->block)
        *wait = ca_wait_unknown(CA_WAIT_NOTHING);
    else if (fact->poll_frame >= 0)
        fill_poll(go, g, frames, fact->poll_frame, wait);
    else if (fact->sleep)
        fill_sleep(go, g, wait);
    else if (fact->sync != CA_GO_SYNC_NONE || fact->semaphore)
        return ca_go_lock_fill(go, g, frames, fact, wait);
    return true;
}

/* Thousands wait for the same channels in the same way: they share one entry, and its cases. */
static bool share(struct ca_go *go, struct ca_tasks *tasks, struct ca_task *task,
                  const struct ca_wait *wait)
{
    uint32_t *last = &go->stack_facts.data[task->stack].last_wait;
    if (*last && ca_waits_is(&tasks->waits, *last - 1, wait)) {
        if (wait->case_count)
            ca_waits_cut_cases(&tasks->waits, wait->first_case);
        task->wait = *last - 1;
        return true;
    }
    if (!ca_waits_add(&tasks->waits, wait, &task->wait))
        return false;
    *last = task->wait + 1;
    return true;
}

bool ca_go_wait_fill(struct ca_go *go, struct ca_tasks *tasks, uint32_t task,
                     const struct ca_go_g *g, const struct ca_go_frames *frames)
{
    struct ca_task *at = &tasks->list.data[task];
    if (at->state != CA_STATE_WAITING || at->stack == CA_STACK_NONE)
        return true;
    const struct ca_go_stack_fact *fact = ca_go_stack_fact(go, tasks, at->stack, frames);
    struct ca_wait wait;
    if (!fact || !fill(go, tasks, at, g, frames, fact, &wait))
        return false;
    if (wait.kind == CA_WAIT_UNKNOWN)
        return true;
    if (wait.kind == CA_WAIT_SEMAPHORE)
        at->flags |= CA_TASK_PROOF_ROOT; /* the runtime's own or a descriptor's lock */
    return share(go, tasks, at, &wait);
}
