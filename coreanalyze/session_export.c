/* Tasks as threads: the registers of their frames, and a core that has them as threads. */
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mapped.h"
#include "target/export.h"
#include "unwind/cfi.h"

enum { AMD64_FP = 6, AMD64_SP = 7, AMD64_PC = 16, ARM64_FP = 29, ARM64_SP = 31, ARM64_PC = 32 };

static void set(struct ca_regs *regs, unsigned number, uint64_t value)
{
    regs->value[number] = value;
    regs->known |= 1ull << number;
}

static void set_place(enum ca_arch arch, struct ca_regs *regs, uint64_t pc, uint64_t sp)
{
    set(regs, arch == CA_ARCH_ARM64 ? ARM64_PC : AMD64_PC, pc);
    set(regs, arch == CA_ARCH_ARM64 ? ARM64_SP : AMD64_SP, sp);
}

/* Go's frame pointer lies below the return address (amd64: two words under the caller's sp) or
 * below the frame (arm64: one word under its own sp). */
static void set_go_fp(const struct ca_session *session, const struct ca_task *task, uint64_t sp,
                      struct ca_regs *regs)
{
    if (session->target->arch == CA_ARCH_ARM64) {
        set(regs, ARM64_FP, sp - 8);
        return;
    }
    const struct ca_stacks *stacks = &session->tasks.stacks;
    const struct ca_stack *stack = &stacks->list.data[task->stack];
    for (uint32_t i = 0; i < stack->count; i++) {
        uint64_t next = task->sp + stacks->frames.data[stack->first + i].sp;
        if (next > sp) {
            set(regs, AMD64_FP, next - 16);
            return;
        }
    }
}

/* From the saved registers of the innermost frame to those of the frame with this sp. */
static bool unwind_to(const struct ca_session *session, const struct ca_task *task, uint64_t sp,
                      struct ca_regs *regs)
{
    const struct ca_stacks *stacks = &session->tasks.stacks;
    const struct ca_stack *stack = &stacks->list.data[task->stack];
    const struct ca_raw_frame *frames = stacks->frames.data + stack->first;
    struct ca_regs first = *regs;
    struct ca_cfi cfi;
    bool found = false;
    ca_cfi_init(&cfi, session->modules);
    for (uint32_t i = 1; i < stack->count && !found; i++) {
        uint64_t there;
        found = task->sp + frames[i].sp == sp &&
                ca_cfi_registers(&cfi, &first, frames[0].exact, NULL, i, regs) &&
                ca_target_sp(session->target->arch, regs, &there) && there == sp;
    }
    ca_cfi_deinit(&cfi);
    return found;
}

static void frame_regs(const struct ca_session *session, size_t i, uint64_t pc, uint64_t sp,
                       struct ca_regs *ret)
{
    const struct ca_task *task = &session->tasks.list.data[i];
    const struct ca_runtime *runtime = session->runtimes.data[task->runtime];
    if (ca_tasks_saved_regs(&session->tasks, (uint32_t)i, ret) &&
        (sp == task->sp || unwind_to(session, task, sp, ret)))
        return;
    memset(ret, 0, sizeof(*ret));
    set_place(session->target->arch, ret, pc, sp);
    if (runtime->name && !strcmp(runtime->name, "go"))
        set_go_fp(session, task, sp, ret);
}

struct ca_error *ca_session_frame_regs(struct ca_session *session, size_t i, size_t frame,
                                       struct ca_regs *ret)
{
    CA_MAPPED_SCOPE;
    struct ca_task_info task;
    struct ca_error *error = ca_session_task(session, i, &task);
    if (error)
        return error;
    if (frame >= task.frame_count)
        return ca_error_create(CA_ERROR_NOT_FOUND, "task %s has no frame %zu, only %zu of them",
                               task.id, frame, task.frame_count);
    frame_regs(session, i, task.frames[frame].pc, task.frames[frame].sp, ret);
    return ca_session_check_files(session, NULL);
}

/* ---- exporting ---------------------------------------------------------------------------- */

struct selection {
    bool verdicts[CA_VERDICT_COUNT];
    uint32_t group; /* CA_NONE: all */
};

static struct ca_error *parse_verdicts(const char *text, bool *verdicts)
{
    while (text && *text) {
        size_t length = strcspn(text, ","), v = 0;
        while (v < CA_VERDICT_COUNT && (strlen(ca_verdict_name((enum ca_verdict)v)) != length ||
                                        memcmp(ca_verdict_name((enum ca_verdict)v), text, length)))
            v++;
        if (v == CA_VERDICT_COUNT)
            return ca_error_create(CA_ERROR_INVALID,
                                   "no verdict is called %.*s: leaked, suspect, waiting, active, "
                                   "system",
                                   (int)length, text);
        verdicts[v] = true;
        text += length + (text[length] == ',');
    }
    return NULL;
}

static struct ca_error *select_tasks(const struct ca_session *session,
                                     const struct ca_export_options *options, struct selection *ret)
{
    *ret = (struct selection){.group = CA_NONE};
    const char *verdict = options ? options->verdict : NULL;
    if (!verdict || !*verdict)
        memset(ret->verdicts, true, sizeof(ret->verdicts));
    struct ca_error *error = parse_verdicts(verdict, ret->verdicts);
    if (error || !options || !options->group)
        return error;
    size_t index;
    error = ca_session_find_task(session, options->group, &index);
    if (error)
        return error;
    ret->group = session->tasks.list.data[index].group;
    if (ret->group == CA_NONE)
        return ca_error_create(CA_ERROR_NOT_FOUND, "task %s is in no group", options->group);
    return NULL;
}

/* What a thread of the target runs is that thread already. */
static bool wanted(const struct ca_task *task, const struct selection *selection)
{
    if (task->state == CA_STATE_RUNNING || task->state == CA_STATE_DEAD ||
        task->stack == CA_STACK_NONE)
        return false;
    return selection->verdicts[task->verdict] &&
           (selection->group == CA_NONE || selection->group == task->group);
}

/* Thread ids for tasks start above every id of the kernel's, and keep the task's own number where
 * that fits: 100000017 is goroutine 17. */
static int64_t first_tid(const struct ca_session *session, bool *numbered)
{
    const int64_t base = 100000000;
    *numbered = session->runtimes.len == 1 && session->runtimes.data[0]->numeric_ids;
    for (size_t i = 0; i < session->tasks.list.len && *numbered; i++)
        *numbered = session->tasks.list.data[i].number < (uint64_t)(INT32_MAX - base);
    int64_t first = base;
    for (size_t i = 0; i < session->target->threads.len; i++)
        if (session->target->threads.data[i].tid >= first) {
            first = session->target->threads.data[i].tid + 1;
            *numbered = false;
        }
    return first;
}

static void fill_thread(const struct ca_session *session, size_t i, int64_t tid,
                        struct ca_export_thread *ret)
{
    const struct ca_task *task = &session->tasks.list.data[i];
    const struct ca_runtime *runtime = session->runtimes.data[task->runtime];
    const struct ca_stacks *stacks = &session->tasks.stacks;
    const struct ca_stack *stack = &stacks->list.data[task->stack];
    memset(ret, 0, sizeof(*ret));
    ret->tid = tid;
    frame_regs(session, i, stacks->frames.data[stack->first].pc, task->sp, &ret->regs);
    char id[48];
    ca_session_format_id(session, task, id);
    if (runtime->numeric_ids && runtime->task_noun)
        snprintf(ret->name, sizeof(ret->name), "%.15s %.30s", runtime->task_noun, id);
    else
        snprintf(ret->name, sizeof(ret->name), "%s", id);
}

static struct ca_export_thread *make_threads(const struct ca_session *session,
                                             const struct selection *selection, size_t *count)
{
    bool numbered;
    int64_t first = first_tid(session, &numbered);
    struct ca_export_thread *threads = calloc(session->tasks.list.len + 1, sizeof(*threads));
    *count = 0;
    for (size_t i = 0; threads && i < session->tasks.list.len; i++) {
        const struct ca_task *task = &session->tasks.list.data[i];
        int64_t tid = first + (int64_t)(numbered ? task->number : i);
        if (wanted(task, selection) && tid <= INT32_MAX)
            fill_thread(session, i, tid, &threads[(*count)++]);
    }
    return threads;
}

struct ca_error *ca_session_export_core(struct ca_session *session, const char *out,
                                        const struct ca_export_options *options, size_t *count)
{
    CA_MAPPED_SCOPE;
    struct selection selection;
    *count = 0;
    if (session->target->kind != CA_TARGET_CORE && !session->options.hold)
        return ca_error_create(CA_ERROR_INVALID,
                               "the process runs on already: open it with `hold` to export it");
    struct ca_error *error = select_tasks(session, options, &selection);
    if (error)
        return error;
    struct ca_export_thread *threads = make_threads(session, &selection, count);
    if (!threads)
        return &ca_error_nomem;
    if (!*count)
        error = ca_error_create(CA_ERROR_NOT_FOUND, "there is no parked task to export%s",
                                selection.group != CA_NONE || (options && options->verdict)
                                    ? " among those chosen"
                                    : "");
    struct ca_export export = {session->target, threads, *count, session->options.progress,
                               session->options.progress_arg};
    error = ca_session_check_files(session, error);
    if (!error)
        error = ca_export_write(&export, out, options && options->overwrite);
    free(threads);
    return error;
}
