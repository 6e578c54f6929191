/* The public calls that only look into the session's tables. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/evidence.h"
#include "base/mapped.h"
#include "session.h"

static const struct ca_task *task_at(const struct ca_session *session, size_t i)
{
    return &session->tasks.list.data[i];
}

void ca_session_format_id(const struct ca_session *session, const struct ca_task *task, char id[48])
{
    const struct ca_runtime *runtime = session->runtimes.data[task->runtime];
    if (runtime->numeric_ids)
        snprintf(id, 48, "%" PRIu64, task->number);
    else if (runtime->address_ids)
        snprintf(id, 48, "%.24s:0x%" PRIx64, runtime->name, task->address);
    else
        snprintf(id, 48, "%.24s:%" PRIu64, runtime->name, task->number);
}

/* ---- target, runtimes, gaps ---- */

static const char *hex(const uint8_t *bytes, size_t size, char *text, size_t room)
{
    if (!size || size * 2 >= room)
        return NULL;
    for (size_t i = 0; i < size; i++)
        snprintf(text + i * 2, 3, "%02x", bytes[i]);
    return text;
}

static const char *signal_name(int number, char *text, size_t room)
{
    const char *name = number > 0 ? sigabbrev_np(number) : NULL;
    if (number <= 0)
        return NULL;
    if (name)
        snprintf(text, room, "SIG%s", name);
    else
        snprintf(text, room, "signal %d", number);
    return text;
}

void ca_session_target(const struct ca_session *session, struct ca_target_info *ret)
{
    static const char *const kinds[] = {"core", "live", "debugger"};
    CA_MAPPED_SCOPE;
    const struct ca_target *target = session->target;
    struct ca_session *own = (struct ca_session *)session; /* only for the text buffers */
    struct ca_module *main = ca_modules_main(session->modules);
    *ret = (struct ca_target_info){
        .kind = kinds[target->kind],
        .path = target->path,
        .pid = target->pid,
        .arch = ca_arch_name(target->arch),
        .signal = signal_name(target->signal, own->signal, sizeof(own->signal)),
        .complete = target->complete,
        .stopped_ns = target->stopped_ns,
        .uptime_ns = target->uptime_ns};
    for (size_t i = 0; i < session->runtimes.len && !ret->cause; i++)
        ret->cause = session->runtimes.data[i]->cause;
    if (!main)
        return;
    ret->executable = main->name && main->name[0] ? main->name : main->file;
    ret->build_id = hex(main->build_id, main->build_id_size, own->build_id, sizeof(own->build_id));
    ret->stripped = main->file && !ca_module_has_symtab(main);
}

size_t ca_session_runtime_count(const struct ca_session *session)
{
    return session->runtimes.len;
}

bool ca_session_runtime(const struct ca_session *session, size_t i, struct ca_runtime_info *ret)
{
    if (i >= session->runtimes.len)
        return false;
    const struct ca_runtime *runtime = session->runtimes.data[i];
    *ret = (struct ca_runtime_info){.name = runtime->name,
                                    .title = runtime->title,
                                    .version = runtime->version,
                                    .layout = runtime->layout,
                                    .task_noun = runtime->task_noun,
                                    .tasks = runtime->listed,
                                    .system = runtime->system,
                                    .counted = runtime->counted,
                                    .left_out = runtime->left_out};
    return true;
}

size_t ca_session_gap_count(const struct ca_session *session)
{
    return session->gaps.list.len;
}

bool ca_session_gap(const struct ca_session *session, size_t i, struct ca_gap_info *ret)
{
    if (i >= session->gaps.list.len)
        return false;
    const struct ca_gap *gap = &session->gaps.list.data[i];
    *ret = (struct ca_gap_info){gap->what, gap->has_address, gap->address, gap->why};
    return true;
}

/* ---- tasks ---- */

size_t ca_session_task_count(const struct ca_session *session)
{
    return session->tasks.list.len;
}

void ca_session_task_id(const struct ca_session *session, size_t i, char id[48])
{
    ca_session_format_id(session, task_at(session, i), id);
}

static struct ca_site_info site_info(const struct ca_tasks *tasks, uint32_t index)
{
    if (index == CA_NONE)
        return (struct ca_site_info){.line = CA_UNKNOWN};
    const struct ca_site *site = &tasks->sites.data[index];
    return (struct ca_site_info){site->function, site->file, site->line ? site->line : CA_UNKNOWN};
}

static struct ca_frame_info frame_info(const struct ca_frame *frame, uint64_t sp)
{
    return (struct ca_frame_info){.pc = frame->pc,
                                  .sp = sp + frame->sp,
                                  .function = frame->function,
                                  .file = frame->file,
                                  .line = frame->line ? frame->line : CA_UNKNOWN,
                                  .inlined = frame->inlined,
                                  .runtime = frame->runtime};
}

static const char *direction_name(enum ca_direction direction)
{
    static const char *const names[] = {NULL, "send", "receive"};
    return names[direction];
}

static struct ca_case_info case_info(const struct ca_case *one)
{
    return (struct ca_case_info){.direction = direction_name(one->direction),
                                 .address = one->address,
                                 .capacity = one->capacity,
                                 .length = one->length,
                                 .closed = one->closed,
                                 .senders = one->senders,
                                 .receivers = one->receivers};
}

static const char *wait_name(enum ca_wait_kind kind)
{
    static const char *const names[] = {NULL,        "channel", "select",    "mutex",  "rwmutex",
                                        "waitgroup", "cond",    "semaphore", "timer",  "sleep",
                                        "io",        "join",    "event",     "nothing"};
    return names[kind];
}

static bool fill_wait(struct ca_session *session, const struct ca_task *task,
                      struct ca_wait_info *ret)
{
    const struct ca_tasks *tasks = &session->tasks;
    *ret = (struct ca_wait_info){
        .waiters = CA_UNKNOWN, .counter = CA_UNKNOWN, .fd = CA_UNKNOWN, .deadline_ns = CA_UNKNOWN};
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, task, &room);
    if (!wait)
        return true;
    ret->kind = wait_name(wait->kind);
    ret->has_address = wait->has_address;
    ret->channel = case_info(&wait->channel);
    ret->waiters = wait->waiters;
    ret->counter = wait->counter;
    ret->fd = wait->fd;
    ret->deadline_ns = wait->deadline_ns;
    if (wait->owner != CA_NONE)
        ca_session_format_id(session, task_at(session, wait->owner), ret->owner);
    session->cases.len = 0;
    for (uint32_t i = 0; i < wait->case_count; i++) {
        struct ca_case one = ca_waits_case(&tasks->waits, wait->first_case + i);
        if (!ca_vec_push(&session->cases, case_info(&one)))
            return false;
    }
    ret->cases = session->cases.data;
    ret->case_count = session->cases.len;
    return true;
}

static bool fill_frames(struct ca_session *session, const struct ca_task *task,
                        struct ca_task_info *ret)
{
    session->frames.len = 0;
    if (task->stack < session->sites.stacks.len) {
        const struct ca_stack_names *names = &session->sites.stacks.data[task->stack];
        if (!ca_vec_reserve(&session->frames, names->count))
            return false;
        for (uint32_t i = 0; i < names->count; i++)
            session->frames.data[session->frames.len++] =
                frame_info(&session->sites.frames.list.data[names->first + i], task->sp);
    }
    ret->frames = session->frames.data;
    ret->frame_count = session->frames.len;
    return true;
}

static bool fill_labels(struct ca_session *session, size_t i, struct ca_task_info *ret)
{
    const struct ca_tasks *tasks = &session->tasks;
    session->labels.len = session->notes.len = 0;
    for (size_t at = ca_first_of_task(&tasks->labels, i);
         at < tasks->labels.len && tasks->labels.data[at].task == i; at++)
        if (!ca_vec_push(&session->labels, (struct ca_label_info){tasks->labels.data[at].key,
                                                                  tasks->labels.data[at].value}))
            return false;
    for (size_t at = ca_first_of_task(&tasks->notes, i);
         at < tasks->notes.len && tasks->notes.data[at].task == i; at++)
        if (!ca_vec_push(&session->notes, tasks->notes.data[at].text))
            return false;
    ret->labels = session->labels.data;
    ret->label_count = session->labels.len;
    ret->notes = session->notes.data;
    ret->note_count = session->notes.len;
    return true;
}

static const char *known_name(uint8_t known_from)
{
    static const char *const names[] = {NULL,      "pc",    "text",    "backtrace",
                                        "creator", "entry", "recorded"};
    return names[known_from];
}

static void format_creator(const struct ca_session *session, const struct ca_task *task,
                           char id[48])
{
    id[0] = 0;
    if (!task->created_by)
        return;
    struct ca_task creator = {
        .number = task->created_by, .address = task->created_by, .runtime = task->runtime};
    ca_session_format_id(session, &creator, id);
}

struct ca_error *ca_session_task(struct ca_session *session, size_t i, struct ca_task_info *ret)
{
    static const char *const states[] = {"running", "runnable",  "waiting",
                                         "syscall", "preempted", "dead"};
    CA_MAPPED_SCOPE;
    if (i >= session->tasks.list.len)
        return ca_error_create(CA_ERROR_NOT_FOUND, "there is no task at index %zu", i);
    const struct ca_task *task = task_at(session, i);
    *ret = (struct ca_task_info){
        .address = task->address,
        .runtime = session->runtimes.data[task->runtime]->name,
        .name = task->name,
        .state = states[task->state],
        .reason = task->reason,
        .since_ns = task->since_ns,
        .verdict = ca_verdict_name(task->verdict),
        .rule = ca_rule_name(task->rule),
        .proof = ca_proof_name(task->proof),
        .entry = site_info(&session->tasks, task->entry),
        .created = site_info(&session->tasks, task->created),
        .known_from = known_name(task->known_from),
        .thread = task->thread,
        .stack_low = task->stack_low,
        .stack_high = task->stack_high,
        .group = task->group == CA_NONE ? SIZE_MAX : task->group,
    };
    ca_session_format_id(session, task, ret->id);
    format_creator(session, task, ret->created_by);
    if (!fill_wait(session, task, &ret->waiting_for) || !fill_frames(session, task, ret) ||
        !fill_labels(session, i, ret))
        return &ca_error_nomem;
    return ca_session_check_files(session, NULL);
}

struct ca_error *ca_session_wait(struct ca_session *session, size_t i, struct ca_wait_info *ret)
{
    if (i >= session->tasks.list.len)
        return ca_error_create(CA_ERROR_NOT_FOUND, "there is no task at index %zu", i);
    return fill_wait(session, task_at(session, i), ret) ? NULL : &ca_error_nomem;
}

struct ca_error *ca_session_find_task(const struct ca_session *session, const char *id, size_t *ret)
{
    char text[48];
    for (size_t i = 0; i < session->tasks.list.len; i++) {
        ca_session_task_id(session, i, text);
        if (!strcmp(text, id)) {
            *ret = i;
            return NULL;
        }
    }
    return ca_error_create(CA_ERROR_NOT_FOUND, "there is no task %s among the %zu", id,
                           session->tasks.list.len);
}

static bool waits_on(const struct ca_tasks *tasks, const struct ca_task *task, uint64_t address)
{
    struct ca_wait room;
    const struct ca_wait *wait = address ? ca_tasks_wait(tasks, task, &room) : NULL;
    if (!wait)
        return false;
    if (wait->has_address && wait->channel.address == address)
        return true;
    for (uint32_t i = 0; i < wait->case_count; i++)
        if (ca_waits_case(&tasks->waits, wait->first_case + i).address == address)
            return true;
    return false;
}

struct ca_error *ca_session_others(struct ca_session *session, size_t i, const size_t **ret,
                                   size_t *count)
{
    const struct ca_tasks *tasks = &session->tasks;
    const struct ca_task *task = task_at(session, i);
    session->others.len = 0;
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, task, &room);
    for (size_t t = 0; wait && t < tasks->list.len; t++) {
        bool same = t != i && wait->has_address &&
                    waits_on(tasks, task_at(session, t), wait->channel.address);
        for (uint32_t c = 0; t != i && !same && c < wait->case_count; c++)
            same = waits_on(tasks, task_at(session, t),
                            ca_waits_case(&tasks->waits, wait->first_case + c).address);
        if (same && !ca_vec_push(&session->others, t))
            return &ca_error_nomem;
    }
    *ret = session->others.data;
    *count = session->others.len;
    return NULL;
}

/* ---- groups ---- */

size_t ca_session_group_count(const struct ca_session *session)
{
    return session->groups.list.len;
}

static bool keep_evidence(struct ca_session *session, const struct ca_evidence *list, size_t count)
{
    session->evidence.len = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ca_evidence *one = &list[i];
        struct ca_evidence_info info = {one->kind, one->has_address, one->address, "", one->text};
        if (one->task != CA_NONE)
            ca_session_format_id(session, task_at(session, one->task), info.task);
        if (!ca_vec_push(&session->evidence, info))
            return false;
    }
    return true;
}

static bool fill_evidence(struct ca_session *session, const struct ca_group *group,
                          struct ca_group_info *ret)
{
    const struct ca_evidence *list = session->groups.evidence.data;
    if (!keep_evidence(session, list ? list + group->first_evidence : NULL, group->evidence_count))
        return false;
    ret->evidence = session->evidence.data;
    ret->evidence_count = session->evidence.len;
    return true;
}

bool ca_session_group(const struct ca_session *session, size_t i, struct ca_group_info *ret)
{
    CA_MAPPED_SCOPE;
    if (i >= session->groups.list.len)
        return false;
    const struct ca_group *group = &session->groups.list.data[i];
    const size_t *members = session->groups.members.data + group->first;
    const struct ca_task *first = task_at(session, members[0]);
    const struct ca_frame *site = ca_sites_frame(&session->sites, first);
    *ret = (struct ca_group_info){
        .verdict = ca_verdict_name(group->verdict),
        .rule = ca_rule_name(group->rule),
        .proof = ca_proof_name(group->proof),
        .pattern = group->pattern,
        .confidence = group->confidence,
        .count = group->count,
        .members = members,
        .reason = group->reason,
        .created = site_info(&session->tasks, first->created),
        .known_from = known_name(first->known_from),
        .stack_bytes = group->stack_bytes,
        .heap_bytes = group->heap_bytes,
        .oldest_ns = group->oldest_ns,
        .advice = group->advice,
    };
    if (site)
        ret->site = frame_info(site, first->sp);
    format_creator(session, first, ret->created_by);
    return fill_evidence((struct ca_session *)session, group, ret);
}

static bool keep_path(struct ca_session *session, const struct ca_steps *steps)
{
    session->path.len = 0;
    for (size_t i = 0; i < steps->list.len; i++) {
        const struct ca_step *step = &steps->list.data[i];
        struct ca_path_info info = {.kind = step->root ? "root" : "edge",
                                    .address = step->address,
                                    .name = step->name,
                                    .type = step->type,
                                    .offset = step->offset,
                                    .function = step->function,
                                    .line = step->line ? step->line : CA_UNKNOWN};
        if (!ca_vec_push(&session->path, info))
            return false;
    }
    return true;
}

struct ca_error *ca_session_explain(struct ca_session *session, size_t i,
                                    struct ca_explanation *ret)
{
    CA_MAPPED_SCOPE;
    *ret = (struct ca_explanation){0};
    if (i >= session->tasks.list.len)
        return ca_error_create(CA_ERROR_NOT_FOUND, "there is no task at index %zu", i);
    const struct ca_task *task = task_at(session, i);
    struct ca_prover *prover = ca_proof_of(&session->provers, task);
    if (task->verdict == CA_VERDICT_LEAKED) {
        /* Its own evidence, not that of the group's first. */
        ca_evidence_list list = {0};
        struct ca_error *error =
            ca_evidence_of_task(prover, &session->tasks, &session->sites, (uint32_t)i, &list);
        if (!error && !keep_evidence(session, list.data, list.len))
            error = &ca_error_nomem;
        ca_vec_deinit(&list);
        ret->evidence = session->evidence.data;
        ret->evidence_count = session->evidence.len;
        return ca_session_check_files(session, error);
    }
    struct ca_group_info group = {0};
    if (task->group != CA_NONE && ca_session_group(session, task->group, &group)) {
        ret->evidence = group.evidence;
        ret->evidence_count = group.evidence_count;
    }
    if (!prover || task->verdict == CA_VERDICT_SYSTEM)
        return NULL;
    struct ca_steps steps = {0};
    struct ca_error *error = ca_explain_path(prover, (uint32_t)i, &steps);
    if (!error && !keep_path(session, &steps))
        error = &ca_error_nomem;
    ca_vec_deinit(&steps.list);
    ret->path = session->path.data;
    ret->path_count = session->path.len;
    return ca_session_check_files(session, error);
}

/* ---- threads and memory ---- */

size_t ca_session_thread_count(const struct ca_session *session)
{
    return session->target->threads.len;
}

bool ca_session_thread(const struct ca_session *session, size_t i, struct ca_thread_info *ret)
{
    if (i >= session->target->threads.len)
        return false;
    const struct ca_thread *thread = &session->target->threads.data[i];
    *ret = (struct ca_thread_info){.tid = thread->tid, .signal = thread->signal};
    memcpy(ret->name, thread->name, sizeof(ret->name));
    ca_target_pc(session->target->arch, &thread->regs, &ret->pc);
    for (size_t t = 0; t < session->tasks.list.len; t++)
        if (task_at(session, t)->thread == thread->tid) {
            ca_session_format_id(session, task_at(session, t), ret->task);
            break;
        }
    return true;
}

void ca_session_memory(const struct ca_session *session, struct ca_memory_info *ret)
{
    CA_MAPPED_SCOPE;
    struct ca_runtime_facts facts = {CA_UNKNOWN, CA_UNKNOWN, CA_UNKNOWN, CA_UNKNOWN, CA_UNKNOWN};
    for (size_t i = 0; i < session->runtimes.len; i++)
        if (session->runtimes.data[i]->ops->facts) {
            session->runtimes.data[i]->ops->facts(session->runtimes.data[i], &facts);
            break;
        }
    *ret = (struct ca_memory_info){facts.heap_in_use, facts.stacks_in_use, facts.last_gc_ns,
                                   facts.procs, facts.cpus};
}
