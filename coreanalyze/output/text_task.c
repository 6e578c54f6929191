/* One task in full. */
#include <inttypes.h>

#include "output/blocks.h"
#include "output/text.h"

enum { OTHERS_SHOWN = 8, ENDS_SHOWN = 50 };

static void head(struct ca_buf *buf, const struct ca_output *output,
                 const struct ca_task_info *task)
{
    ca_buf_printf(buf, "%s %s", ca_words_noun(output->session), task->id);
    if (task->name) {
        ca_buf_puts(buf, " \"");
        ca_words_clean(buf, task->name);
        ca_buf_putc(buf, '"');
    }
    ca_buf_printf(buf, ": %s", task->state ? task->state : "state not known");
    if (task->reason) {
        ca_buf_puts(buf, ", ");
        ca_words_clean(buf, task->reason);
    }
    if (task->since_ns != CA_UNKNOWN && task->since_ns > 0) {
        ca_buf_puts(buf, ", for ");
        ca_words_age(buf, task->since_ns);
    }
    ca_buf_putc(buf, '\n');
    ca_words_label(buf, "verdict");
    ca_buf_puts(buf, task->verdict);
    if (task->rule)
        ca_buf_printf(buf, ", by the rule %s", task->rule);
    if (task->proof)
        ca_buf_printf(buf, ", proved: %s", task->proof);
    ca_buf_putc(buf, '\n');
}

static void labels(struct ca_buf *buf, const struct ca_task_info *task)
{
    for (size_t i = 0; i < task->label_count; i++) {
        ca_words_label(buf, i ? "" : "labels");
        ca_words_clean(buf, task->labels[i].key ? task->labels[i].key : "?");
        ca_buf_puts(buf, " = ");
        ca_words_clean(buf, task->labels[i].value ? task->labels[i].value : "?");
        ca_buf_putc(buf, '\n');
    }
    for (size_t i = 0; i < task->note_count; i++)
        ca_block_line(buf, i ? "" : "notes", task->notes[i]);
}

static void body(struct ca_buf *buf, const struct ca_output *output, const struct ca_paths *paths,
                 const struct ca_task_info *task)
{
    int width = ca_words_width(output->request);
    ca_block_waiting_for(buf, output, &task->waiting_for, task->proof, SIZE_MAX);
    if (task->created.function || task->created.file) {
        ca_words_label(buf, "created at");
        ca_block_place(buf, paths, task->created.function, task->created.file, task->created.line,
                       width);
    }
    if (task->created_by[0]) {
        ca_words_label(buf, "created by");
        ca_buf_printf(buf, "%s %s\n", ca_words_noun(output->session), task->created_by);
    }
    if (task->thread != CA_UNKNOWN) {
        ca_words_label(buf, "on thread");
        ca_buf_printf(buf, "%" PRId64 "\n", task->thread);
    }
    ca_block_stack(buf, paths, task, output->request->full,
                   (struct ca_shown_frames){ENDS_SHOWN, ENDS_SHOWN}, width);
    if (output->request->full && task->stack_high) {
        ca_words_label(buf, "memory");
        ca_buf_printf(buf, "0x%" PRIx64 " to 0x%" PRIx64 "\n", task->stack_low, task->stack_high);
    }
    labels(buf, task);
}

static struct ca_error *others(struct ca_buf *buf, const struct ca_output *output)
{
    const size_t *list;
    size_t count;
    char id[48];
    struct ca_error *error = ca_session_others(output->session, output->task, &list, &count);
    if (error || !count)
        return error;
    ca_words_label(buf, "others there");
    ca_words_number(buf, (int64_t)count);
    for (size_t i = 0; i < count && i < OTHERS_SHOWN; i++) {
        ca_session_task_id(output->session, list[i], id);
        ca_buf_printf(buf, "%s %s", i ? "," : ":", id);
    }
    ca_buf_puts(buf, count > OTHERS_SHOWN ? ", ...\n" : "\n");
    return NULL;
}

static struct ca_error *locals(struct ca_buf *buf, const struct ca_output *output, size_t frames)
{
    for (size_t f = 0; f < frames; f++) {
        const struct ca_local_info *list = NULL;
        size_t count = 0;
        struct ca_error *error = ca_session_locals(output->session, output->task, f, &list, &count);
        if (error == &ca_error_nomem)
            return error;
        ca_buf_printf(buf, "  frame %-7zu%s", f, error || !count ? "" : "\n");
        ca_words_clean(buf, error ? error->message : count ? "" : "no variables");
        ca_buf_puts(buf, error || !count ? "\n" : "");
        for (size_t i = 0; !error && i < count; i++) {
            ca_words_label(buf, "");
            ca_words_clean(buf, list[i].name ? list[i].name : "?");
            ca_buf_puts(buf, " = ");
            ca_words_clean(buf, list[i].value ? list[i].value
                                : list[i].why ? list[i].why
                                              : "not known");
            ca_buf_putc(buf, '\n');
        }
        ca_error_destroy(error);
    }
    return NULL;
}

struct ca_error *ca_text_task(struct ca_output *output)
{
    struct ca_buf buf = {0};
    struct ca_paths paths;
    struct ca_task_info task;
    struct ca_error *error = ca_session_task(output->session, output->task, &task);
    if (error)
        return error;
    ca_paths_learn(&paths, output->session);
    error = ca_session_task(output->session, output->task, &task);
    if (!error) {
        head(&buf, output, &task);
        body(&buf, output, &paths, &task);
        size_t frames = task.frame_count;
        error = others(&buf, output);
        if (!error && output->request->locals)
            error = locals(&buf, output, frames);
        ca_words_gaps(&buf, output->session, output->request->full);
        ca_block_next(&buf, output->request, "explain", task.id);
    }
    if (!error)
        error = ca_words_out(&buf, output);
    ca_buf_deinit(&buf);
    return error;
}
