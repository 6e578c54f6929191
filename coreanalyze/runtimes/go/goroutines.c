/* allgs to tasks. */
#include "runtimes/go/go.h"

#include <inttypes.h>
#include <string.h>

enum {
    GOROUTINES_MAX = 1 << 28,
    REASONS_MAX = 256,
    REASON_BYTES = 128,
    DEFERS_MAX = 1 << 20,
    G_BYTES_MAX = 4096,
    HOLDINGS_EXPECTED = 12, /* words for each goroutine */
    AHEAD_FAR = 24,         /* goroutines */
    AHEAD_NEAR = 12,
    AHEAD_NEXT = 6,
    AHEAD_SUDOG = 104, /* bytes */
};

/* The target's own words for wait reasons. runtime/runtime2.go: waitReasonStrings. */
static struct ca_error *read_reasons(struct ca_go *go, struct ca_tasks *tasks)
{
    uint64_t count = go->globals.wait_reasons_size / 16;
    if (count > REASONS_MAX)
        count = REASONS_MAX;
    go->reasons = calloc(count + 1, sizeof(*go->reasons));
    if (!go->reasons)
        return &ca_error_nomem;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t string[2];
        char text[REASON_BYTES];
        if (!ca_target_read(go->target, go->globals.wait_reasons + i * 16, string, 16) ||
            string[1] > sizeof(text) ||
            (string[1] && !ca_target_read(go->target, string[0], text, string[1])))
            continue;
        go->reasons[i] = ca_strings_intern(&tasks->strings, text, string[1]);
    }
    go->reason_count = count;
    if (!count)
        ca_gaps_add(go->runtime.context.gaps, "wait reasons", 0,
                    "the runtime's table of their names was not found");
    return NULL;
}

/* Statuses as the contract's states. */
static uint8_t state_of(uint32_t status)
{
    switch (status) {
    case CA_GO_RUNNING:
    case CA_GO_COPYSTACK:
        return CA_STATE_RUNNING;
    case CA_GO_SYSCALL:
        return CA_STATE_SYSCALL;
    case CA_GO_WAITING:
    case CA_GO_LEAKED:
        return CA_STATE_WAITING;
    case CA_GO_PREEMPTED:
        return CA_STATE_PREEMPTED;
    case CA_GO_DEAD:
    case CA_GO_DEADEXTRA:
        return CA_STATE_DEAD;
    default:
        return CA_STATE_RUNNABLE;
    }
}

static const char *reason_of(struct ca_go *go, const struct ca_go_g *g, uint32_t status)
{
    if (status != CA_GO_WAITING && status != CA_GO_LEAKED)
        return NULL;
    uint8_t number = g->bytes[go->layout.at[GO_G_WAITREASON]];
    if (number >= go->reason_count || !go->reasons[number] || !go->reasons[number][0])
        return NULL;
    return go->reasons[number];
}

/* The runtime's own goroutines, decided as runtime/traceback.go isSystemGoroutine does. */
static bool is_system(struct ca_go *go, const struct ca_go_g *g, const char *entry)
{
    if (!entry || strncmp(entry, "runtime.", 8) || !strcmp(entry, "runtime.main") ||
        !strcmp(entry, "runtime.corostart") || !strcmp(entry, "runtime.handleAsyncEvent"))
        return false;
    if (!strcmp(entry, "runtime.runfinq") || !strcmp(entry, "runtime.runFinalizers")) {
        uint32_t status = 0; /* 1.20 and later: bit 1 of fingStatus is fingRunningFinalizer */
        uint8_t running = 0;
        if (go->globals.fing_status)
            ca_target_read_u32(go->target, go->globals.fing_status, &status);
        else if (go->globals.fing_running)
            ca_target_read(go->target, go->globals.fing_running, &running, 1);
        return !(status & 2) && !running;
    }
    if (!strcmp(entry, "runtime.runCleanups") &&
        go->layout.at[GO_G_RUNNING_CLEANUPS] != CA_LAYOUT_ABSENT)
        return !g->bytes[go->layout.at[GO_G_RUNNING_CLEANUPS]];
    return true;
}

/* The largest number of deferred calls that one line of this goroutine has piled up, and where. */
static uint32_t count_defers(struct ca_go *go, const struct ca_go_g *g, uint64_t *where)
{
    uint64_t at = ca_go_u64(go, g->bytes, GO_G_DEFER), pc, last = 0;
    uint32_t run = 0, most = 0;
    for (int i = 0; at && i < DEFERS_MAX; i++) {
        if (!ca_go_read_u64(go, at, GO_DEFER_PC, &pc) ||
            !ca_go_read_u64(go, at, GO_DEFER_LINK, &at))
            break;
        run = pc == last ? run + 1 : 1;
        last = pc;
        if (run > most) {
            most = run;
            *where = pc;
        }
    }
    return most;
}

static void fill_age(struct ca_go *go, const struct ca_go_g *g, uint32_t status,
                     struct ca_task *task)
{
    int64_t since = (int64_t)ca_go_u64(go, g->bytes, GO_G_WAITSINCE);
    if ((status == CA_GO_WAITING || status == CA_GO_SYSCALL || status == CA_GO_LEAKED) &&
        since > 0 && go->now >= since)
        task->since_ns = go->now - since;
}

static void fill_sites(struct ca_go *go, struct ca_tasks *tasks, const struct ca_go_g *g,
                       struct ca_task *task)
{
    const struct ca_go_birth *birth = ca_go_birth_of(go, tasks, ca_go_u64(go, g->bytes, GO_G_GOPC),
                                                     ca_go_u64(go, g->bytes, GO_G_STARTPC));
    task->entry = birth->entry;
    /* Nobody's go statement made the main goroutine: Go's own traceback leaves it out too. */
    if (task->number != 1)
        task->created = birth->created;
    task->created_by = ca_go_u64(go, g->bytes, GO_G_PARENT);
    if (task->created != CA_NONE)
        task->known_from = CA_KNOWN_PC;
    const char *entry = task->entry == CA_NONE ? NULL : tasks->sites.data[task->entry].function;
    if (entry && !strcmp(entry, "runtime.main"))
        task->flags |= CA_TASK_MAIN;
    if (is_system(go, g, entry))
        task->flags |= CA_TASK_SYSTEM;
}

static bool fill_stack(struct ca_go *go, struct ca_tasks *tasks, uint32_t index,
                       const struct ca_go_g *g, struct ca_go_frames *frames)
{
    struct ca_task *task = &tasks->list.data[index];
    const char *why;
    task->stack = ca_go_stack_recall(go, tasks, g, frames);
    if (task->stack != CA_STACK_NONE) {
        task->sp = frames->list.data[0].sp;
        return true;
    }
    ca_go_stack_walk(go, g, frames, &why);
    if (frames->list.len) {
        task->stack =
            ca_stacks_intern(&tasks->stacks, frames->list.data, (uint32_t)frames->list.len,
                             why                ? CA_STACK_CUT
                             : frames->left_out ? CA_GO_FRAMES_MAX / 2
                                                : CA_STACK_WHOLE);
        task->sp = frames->list.data[0].sp;
        if (task->stack == CA_STACK_NONE)
            return false;
        ca_go_stack_remember(go, g, frames, task->stack);
    }
    if (frames->left_out &&
        !ca_tasks_note(tasks, index, "%zu more frames between frame %d and %d", frames->left_out,
                       CA_GO_FRAMES_MAX / 2 - 1, CA_GO_FRAMES_MAX / 2))
        return false;
    if (!why)
        return true;
    char what[64];
    snprintf(what, sizeof(what), "stack of goroutine %" PRIu64, task->number);
    ca_gaps_add(go->runtime.context.gaps, what, task->sp, "%s", why);
    return ca_tasks_note(tasks, index, "the stack is not whole: %s", why);
}

static bool note_defers(struct ca_go *go, struct ca_tasks *tasks, uint32_t index, uint32_t count,
                        uint64_t pc)
{
    const struct ca_go_pc_name *name = pc ? ca_go_name_pc(go, tasks, pc, false) : NULL;
    const struct ca_frame *frame = name && name->count ? &go->pc_frames.data[name->first] : NULL;
    const char *slash = frame && frame->file ? strrchr(frame->file, '/') : NULL;
    if (!frame || !frame->function || !slash)
        return ca_tasks_note(tasks, index, "%u deferred calls piled up at one line", count);
    return ca_tasks_note(tasks, index, "%u deferred calls piled up at one line: %s %s:%u", count,
                         frame->function, slash + 1, frame->line);
}

static bool fill_notes(struct ca_go *go, struct ca_tasks *tasks, uint32_t index,
                       const struct ca_go_g *g)
{
    if (ca_go_u64(go, g->bytes, GO_G_LOCKEDM) && !ca_tasks_note(tasks, index, "locked to thread"))
        return false;
    uint64_t where = 0;
    uint32_t defers = count_defers(go, g, &where);
    tasks->list.data[index].defers = defers;
    if (defers >= CA_DEFERS_MANY && !note_defers(go, tasks, index, defers, where))
        return false;
    if (!ca_go_labels_read(go, tasks, index, g) || !ca_go_ancestors_read(go, tasks, index, g))
        ca_tasks_note(tasks, index, "labels or ancestors could not be read");
    return true;
}

/* false: no memory. */
static bool add_task(struct ca_go *go, struct ca_tasks *tasks, const struct ca_go_g *g,
                     struct ca_go_frames *frames)
{
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS) & ~CA_GO_SCAN;
    struct ca_task task = {
        .number = ca_go_u64(go, g->bytes, GO_G_GOID),
        .address = g->address,
        .runtime = go->runtime.index,
        .state = state_of(status),
        .reason = reason_of(go, g, status),
        .since_ns = CA_UNKNOWN,
        .thread = CA_UNKNOWN,
        .wait = CA_NONE,
        .stack = CA_STACK_NONE,
        .created = CA_NONE,
        .stack_low = ca_go_u64(go, g->bytes, GO_G_STACK_LO),
        .stack_high = ca_go_u64(go, g->bytes, GO_G_STACK_HI),
        .group = CA_NONE,
    };
    const struct ca_thread *thread = ca_go_thread_of(go, ca_go_u64(go, g->bytes, GO_G_M));
    if (thread && (status == CA_GO_RUNNING || status == CA_GO_SYSCALL || status == CA_GO_COPYSTACK))
        task.thread = thread->tid;
    fill_age(go, g, status, &task);
    fill_sites(go, tasks, g, &task);
    uint32_t index = (uint32_t)tasks->list.len;
    return ca_vec_push(&tasks->list, task) && fill_stack(go, tasks, index, g, frames) &&
           fill_notes(go, tasks, index, g) && ca_go_sudogs_keep(go, &tasks->list.data[index], g) &&
           ca_go_wait_fill(go, tasks, index, g, frames) &&
           ca_go_sudogs_finish(go, &tasks->list.data[index], g) &&
           ca_go_holdings_note(go, tasks, index);
}

/* A g must lead back to sense before it is believed. */
static bool plausible(struct ca_go *go, const struct ca_go_g *g)
{
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS) & ~CA_GO_SCAN;
    uint64_t low = ca_go_u64(go, g->bytes, GO_G_STACK_LO);
    uint64_t high = ca_go_u64(go, g->bytes, GO_G_STACK_HI);
    return status <= CA_GO_DEADEXTRA && low <= high;
}

static bool is_dead(struct ca_go *go, const struct ca_go_g *g)
{
    uint32_t status = ca_go_u32(go, g->bytes, GO_G_STATUS) & ~CA_GO_SCAN;
    return status == CA_GO_IDLE || state_of(status) == CA_STATE_DEAD;
}

static struct ca_error *cancelled(void)
{
    return ca_error_create(CA_ERROR_CANCELLED, "stopped on request");
}

static const uint8_t *g_ahead(const struct ca_go *go, uint64_t array, uint64_t count, uint64_t i,
                              uint64_t *address)
{
    const uint8_t *entry =
        i < count ? ca_target_near(go->target, array + i * 8, sizeof(*address)) : NULL;
    if (!entry)
        return NULL;
    memcpy(address, entry, sizeof(*address));
    return ca_target_near(go->target, *address, (size_t)go->layout.at[GO_G_SIZE]);
}

/* Tells the processor what will be read soon: the descriptors and stacks of so many goroutines lie
 * all over the heap that waiting for memory would be most of the work. Each step looks only at what
 * the one before asked for. */
static void look_ahead(struct ca_go *go, uint64_t array, uint64_t count, uint64_t i)
{
    uint64_t address, waiting;
    const uint8_t *bytes = g_ahead(go, array, count, i + AHEAD_FAR, &address);
    if (bytes)
        ca_target_hint(go->target, address, (size_t)go->layout.at[GO_G_SIZE]);
    bytes = g_ahead(go, array, count, i + AHEAD_NEAR, &address);
    if (bytes) {
        waiting = ca_go_u64(go, bytes, GO_G_WAITING);
        ca_go_stack_hint(go, ca_go_u64(go, bytes, GO_G_SCHED_SP),
                         ca_go_u64(go, bytes, GO_G_STACK_HI));
        ca_target_hint(go->target, waiting, AHEAD_SUDOG);
    }
    bytes = g_ahead(go, array, count, i + AHEAD_NEXT, &address);
    waiting = bytes ? ca_go_u64(go, bytes, GO_G_WAITING) : 0;
    bytes = waiting ? ca_target_near(go->target, waiting, AHEAD_SUDOG) : NULL;
    if (bytes)
        ca_target_hint(go->target, ca_go_u64(go, bytes, GO_SUDOG_WAITLINK), AHEAD_SUDOG);
}

static struct ca_error *walk_all(struct ca_go *go, struct ca_tasks *tasks, uint64_t array,
                                 uint64_t count)
{
    const struct ca_options *options = go->runtime.context.options;
    struct ca_gaps *gaps = go->runtime.context.gaps;
    struct ca_go_frames frames = {0};
    struct ca_error *error = NULL;
    size_t size = (size_t)go->layout.at[GO_G_SIZE];
    uint8_t scratch[G_BYTES_MAX];
    /* Growing it would copy it again and again; a damaged count is not believed. */
    if (ca_target_view(go->target, array, count * 8) &&
        (!ca_vec_reserve(&tasks->list, count) || !ca_vec_reserve(&go->sudogs, count) ||
         (go->heap && !ca_vec_reserve(&go->holdings, count * HOLDINGS_EXPECTED))))
        return &ca_error_nomem;
    struct ca_go_ahead *ahead = ca_go_ahead_start(go, array, count);
    for (uint64_t i = 0; i < count && !error; i++) {
        uint64_t address;
        ca_go_ahead_tell(ahead, i);
        if (i % 4096 == 0 && options->progress &&
            !options->progress(options->progress_arg, "reading goroutines", i, count)) {
            error = cancelled();
            break;
        }
        if (!ca_target_read_u64(go->target, array + i * 8, &address)) {
            ca_gaps_add(gaps, "goroutines", array + i * 8,
                        "%" PRIu64 " of %" PRIu64 " cannot be listed: their array is not there",
                        count - i, count);
            break;
        }
        look_ahead(go, array, count, i);
        struct ca_go_g g = {.address = address,
                            .bytes = ca_target_peek(go->target, address, scratch, size)};
        bool fresh = true;
        if (g.bytes && !ca_marks_put(&go->seen, address, CA_GO_SEEN_G, &fresh))
            error = &ca_error_nomem;
        else if (!g.bytes)
            ca_gaps_add(gaps, "a goroutine", address, "its descriptor is not there");
        else if (!fresh || !plausible(go, &g))
            ca_gaps_add(gaps, "a goroutine", address, "its descriptor makes no sense");
        else if (is_dead(go, &g))
            go->held_by_threads += ca_go_u64(go, g.bytes, GO_G_M) != 0;
        else if (!add_task(go, tasks, &g, &frames))
            error = &ca_error_nomem;
    }
    ca_go_ahead_stop(ahead);
    ca_vec_deinit(&frames.list);
    return error;
}

/* What the runtime itself counts: allglen less those in the free lists. */
static int64_t own_count(struct ca_go *go, uint64_t count)
{
    uint32_t free_stack = 0, free_nostack = 0;
    uint64_t slice[2], p;
    if (!go->globals.sched || !go->globals.allp ||
        !ca_go_read_u32(go, go->globals.sched, GO_SCHED_GFREE_N, &free_stack) ||
        !ca_target_read(go->target, go->globals.allp, slice, 16))
        return CA_UNKNOWN;
    if (go->layout.at[GO_SCHED_GFREE_NOSTACK] != CA_LAYOUT_ABSENT)
        ca_go_read_u32(go, go->globals.sched, GO_SCHED_GFREE_NOSTACK, &free_nostack);
    int64_t total = (int64_t)count - free_stack - free_nostack;
    for (uint64_t i = 0; i < slice[1] && i < 65536; i++) {
        uint32_t here;
        if (ca_target_read_u64(go->target, slice[0] + i * 8, &p) &&
            ca_go_read_u32(go, p, GO_P_GFREE_N, &here))
            total -= here;
    }
    return total;
}

/* Goroutines that the runtime counts although they are dead: threads made for calls from C keep one
 * each, outside the free lists. */
static int64_t count_held(struct ca_go *go)
{
    int64_t held = 0;
    for (size_t i = 0; i < go->threads.ms.len; i++) {
        uint64_t g;
        uint32_t status;
        if (ca_go_read_u64(go, go->threads.ms.data[i].address, GO_M_CURG, &g) && g &&
            ca_go_read_u32(go, g, GO_G_STATUS, &status))
            held += state_of(status & ~CA_GO_SCAN) == CA_STATE_DEAD;
    }
    return held;
}

int64_t ca_go_count(struct ca_runtime *runtime)
{
    struct ca_go *go = ca_go_of(runtime);
    uint64_t slice[2];
    struct ca_error *error = ca_go_threads_index(go);
    if (error || !ca_target_read(go->target, go->globals.allgs, slice, 16) ||
        slice[1] > GOROUTINES_MAX) {
        ca_error_destroy(error);
        return CA_UNKNOWN;
    }
    int64_t count = own_count(go, slice[1]);
    return count == CA_UNKNOWN ? CA_UNKNOWN : count - count_held(go);
}

/* What was only needed to find out what goroutines wait for; the proof needs the memory. */
static void drop_queues(struct ca_go *go)
{
    ca_vec_deinit(&go->channels);
    ca_map_deinit(&go->channel_index);
    ca_marks_deinit(&go->seen);
    ca_map_deinit(&go->cond_of_g);
    ca_map_deinit(&go->cond_seen);
}

struct ca_error *ca_go_collect(struct ca_runtime *runtime, struct ca_tasks *tasks)
{
    struct ca_go *go = ca_go_of(runtime);
    uint64_t slice[2];
    if (go->layout.at[GO_G_SIZE] <= 0 || go->layout.at[GO_G_SIZE] > G_BYTES_MAX)
        return ca_error_create(CA_ERROR_FORMAT, "the layout of runtime.g makes no sense");
    struct ca_error *error = ca_target_fetch(go->target, go->globals.allgs, slice, 16);
    if (error)
        return ca_error_prefix(error, "the list of goroutines");
    if (slice[1] > GOROUTINES_MAX)
        return ca_error_at(CA_ERROR_FORMAT, go->globals.allgs,
                           "the list of goroutines claims %" PRIu64 " entries: the core is damaged",
                           slice[1]);
    go->now = ca_go_clock(go);
    if ((error = read_reasons(go, tasks)) || (error = ca_go_threads_index(go)))
        return error;
    if (!ca_go_semaphores_read(go) || !ca_go_timers_read(go))
        return &ca_error_nomem;
    go->runtime.counted = own_count(go, slice[1]);
    ca_go_facts_read(go);
    if (!ca_go_holdings_begin(go, tasks))
        return &ca_error_nomem;
    error = walk_all(go, tasks, slice[0], slice[1]);
    if (!error && !ca_go_holders_find(go, tasks))
        error = &ca_error_nomem;
    drop_queues(go);
    if (!error)
        go->runtime.cause = ca_go_cause(go, tasks);
    /* Threads made for calls from C keep a dead goroutine each, outside the free lists. */
    if (go->runtime.counted != CA_UNKNOWN)
        go->runtime.counted -= go->held_by_threads;
    return error;
}
