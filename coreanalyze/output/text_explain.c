/* Why a task has its verdict: the evidence, or what keeps the thing alive that it waits for. */
#include <inttypes.h>

#include "output/blocks.h"
#include "output/text.h"

static void verdict(struct ca_buf *buf, const struct ca_output *output,
                    const struct ca_task_info *task, const struct ca_explanation *why)
{
    static const char *const words[CA_SHOWN_VERDICTS] = {
        "is leaked: it will never run again",
        "is suspect: not proved, but a rule speaks for a leak", "waits; nothing speaks for a leak",
        "is active", "belongs to the runtime itself"};
    enum ca_shown_verdict index = ca_shown_verdict(task->verdict);
    ca_buf_printf(buf, "%s %s %s", ca_words_noun(output->session), task->id,
                  index < CA_SHOWN_VERDICTS ? words[index] : "has no verdict");
    if (index == CA_SHOWN_WAITING && why->path_count)
        ca_buf_puts(buf, ": what it waits for can still be reached");
    ca_buf_puts(buf, ".\n");
    ca_block_line(buf, "rule", task->rule);
    ca_block_line(buf, "proof", task->proof);
}

static void path(struct ca_buf *buf, const struct ca_path_info *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ca_words_label(buf, i ? "" : "kept by");
        ca_buf_puts(buf, i ? "-> " : "");
        ca_words_clean(buf, list[i].name ? list[i].name : "an object");
        if (list[i].offset != CA_UNKNOWN && i)
            ca_buf_printf(buf, ", offset %" PRId64, list[i].offset);
        if (list[i].type) {
            ca_buf_puts(buf, "  ");
            ca_words_clean(buf, list[i].type);
        }
        if (list[i].address)
            ca_buf_printf(buf, "  0x%" PRIx64, list[i].address);
        if (list[i].function) {
            ca_buf_puts(buf, "  in ");
            ca_words_function(buf, list[i].function, 60);
            if (list[i].line > 0)
                ca_buf_printf(buf, ", line %" PRId64, list[i].line);
        }
        ca_buf_putc(buf, '\n');
    }
}

static void why_in_words(struct ca_buf *buf, const struct ca_output *output,
                         const struct ca_paths *paths, const struct ca_task_info *task,
                         const struct ca_explanation *why)
{
    int width = ca_words_width(output->request);
    const struct ca_frame_info *site = ca_words_site(task);
    verdict(buf, output, task, why);
    if (site) {
        bool parked = task->state && !strcmp(task->state, "waiting");
        ca_words_label(buf, parked ? "waits at" : "is at");
        ca_block_place(buf, paths, site->function, site->file, site->line, width);
    }
    if (task->created.function || task->created.file) {
        ca_words_label(buf, "created at");
        ca_block_place(buf, paths, task->created.function, task->created.file, task->created.line,
                       width);
    }
    ca_block_waiting_for(buf, &task->waiting_for, why->evidence_count ? NULL : task->proof,
                         SIZE_MAX);
    ca_block_evidence(buf, why->evidence, why->evidence_count);
    path(buf, why->path, why->path_count);
    ca_words_gaps(buf, output->session, output->request->full);
    ca_block_next(buf, output->request, "task", task->id);
}

struct ca_error *ca_text_explain(struct ca_output *output)
{
    struct ca_buf buf = {0};
    struct ca_paths paths;
    struct ca_task_info task;
    struct ca_explanation why;
    ca_paths_learn(&paths, output->session);
    struct ca_error *error = ca_session_explain(output->session, output->task, &why);
    if (!error)
        error = ca_session_task(output->session, output->task, &task);
    if (!error) {
        why_in_words(&buf, output, &paths, &task, &why);
        error = ca_words_out(&buf, output);
    }
    ca_buf_deinit(&buf);
    return error;
}
