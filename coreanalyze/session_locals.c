/* Variables of a frame, by the debug information. */
#include "session.h"

#include "base/mapped.h"
#include "unwind/cfi.h"

/* How many frames further in belong to the same call: those inlined in this one. */
static unsigned inlined_within(const struct ca_task_info *task, size_t frame)
{
    unsigned count = 0;
    while (count < frame && task->frames[frame - count - 1].sp == task->frames[frame].sp)
        count++;
    return count;
}

/* Whether a stack's frame with this sp stands at pc itself, not behind a call. */
static bool is_exact(const struct ca_session *session, size_t i, uint64_t sp)
{
    const struct ca_task *task = &session->tasks.list.data[i];
    if (task->stack == CA_STACK_NONE)
        return false;
    const struct ca_stack *stack = &session->tasks.stacks.list.data[task->stack];
    for (uint32_t f = 0; f < stack->count; f++) {
        const struct ca_raw_frame *frame = &session->tasks.stacks.frames.data[stack->first + f];
        if (task->sp + frame->sp == sp)
            return frame->exact;
    }
    return false;
}

static void find_cfa(const struct ca_session *session, bool exact, struct ca_local_frame *frame)
{
    struct ca_cfi cfi;
    struct ca_regs caller;
    ca_cfi_init(&cfi, session->modules);
    frame->has_cfa = ca_cfi_registers(&cfi, &frame->regs, exact, NULL, 1, &caller) &&
                     ca_target_sp(session->target->arch, &caller, &frame->cfa);
    ca_cfi_deinit(&cfi);
}

struct ca_error *ca_session_locals(struct ca_session *session, size_t i, size_t frame,
                                   const struct ca_local_info **ret, size_t *count)
{
    CA_MAPPED_SCOPE;
    struct ca_local_frame place = {.target = session->target};
    struct ca_task_info task;
    *ret = NULL;
    *count = 0;
    struct ca_error *error = ca_session_frame_regs(session, i, frame, &place.regs);
    if (!error)
        error = ca_session_task(session, i, &task);
    if (error)
        return error;
    bool exact = is_exact(session, i, task.frames[frame].sp);
    place.pc = task.frames[frame].pc - !exact;
    place.called = !exact;
    place.line = task.frames[frame].line;
    find_cfa(session, exact, &place);
    error =
        ca_locals_read(session->modules, &place, inlined_within(&task, frame), &session->locals);
    error = ca_session_check_files(session, error);
    if (error)
        return error;
    *ret = session->locals.list.data;
    *count = session->locals.list.len;
    return NULL;
}
