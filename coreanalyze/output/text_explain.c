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

enum { NAME_COLUMN = 34 };

/* What all of it is about. */
static void arrow(struct ca_buf *buf, const struct ca_task_info *task)
{
    const char *direction = task->waiting_for.channel.direction;
    bool channel = !strcmp(task->waiting_for.kind, "channel") && direction;
    ca_buf_puts(buf, !channel                     ? "  <- waits here"
                     : !strcmp(direction, "send") ? "  <- sends here"
                                                  : "  <- receives here");
}

static void step(struct ca_buf *buf, const struct ca_path_info *at, bool first,
                 const struct ca_path_info *object)
{
    size_t start = buf->len;
    const char *type = at->type ? at->type : object->type;
    uint64_t address = object->address;
    ca_buf_puts(buf, first ? "" : "-> ");
    ca_words_clean(buf, at->name ? at->name : "an object");
    if (at->offset != CA_UNKNOWN && !first)
        ca_buf_printf(buf, ", offset %" PRId64, at->offset);
    if (at->function) {
        ca_buf_puts(buf, at->line > 0 ? ", in " : ", which calls ");
        ca_words_function(buf, at->function, 60);
        if (at->line > 0)
            ca_buf_printf(buf, ", line %" PRId64, at->line);
    }
    int pad = NAME_COLUMN - (int)(buf->len - start);
    if (type || address)
        ca_buf_printf(buf, "%*s", pad < 2 ? 2 : pad, "");
    if (type) {
        ca_words_clean(buf, type);
        ca_buf_putc(buf, ' ');
    }
    if (address)
        ca_buf_printf(buf, "0x%" PRIx64, address);
}

/* An object behind a named word has no name of its own: it is told in one line with the word. */
static bool joins(const struct ca_path_info *list, size_t i, size_t count)
{
    return i + 1 < count && !list[i + 1].name && list[i + 1].offset == CA_UNKNOWN;
}

static void path(struct ca_buf *buf, const struct ca_task_info *task,
                 const struct ca_explanation *why)
{
    for (size_t i = 0; i < why->path_count; i++) {
        const struct ca_path_info *at = &why->path[i];
        bool two = joins(why->path, i, why->path_count);
        ca_words_label(buf, i ? "" : "kept by");
        step(buf, at, !i, two ? at + 1 : at);
        i += two;
        if (i + 1 == why->path_count && task->waiting_for.kind)
            arrow(buf, task);
        ca_buf_putc(buf, '\n');
    }
    const char *root = why->path_count ? why->path[0].name : NULL;
    if (why->path_count && !(root && !strncmp(root, "timer", 5)))
        ca_buf_puts(buf, "\nIf the program never goes that way again, this is a leak that no proof "
                         "can see.\n");
}

/* Ages are the runtime's word: unknown ones are left out. */
static void since(struct ca_buf *buf, const struct ca_task_info *task)
{
    if (task->since_ns == CA_UNKNOWN || task->since_ns <= 0)
        return;
    ca_words_label(buf, "since");
    ca_words_age(buf, task->since_ns);
    ca_buf_puts(buf, " ago\n");
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
        if (parked)
            since(buf, task);
    }
    if (task->created.function || task->created.file) {
        ca_words_label(buf, "created at");
        ca_block_place(buf, paths, task->created.function, task->created.file, task->created.line,
                       width);
    }
    ca_block_waiting_for(buf, output, &task->waiting_for, why->evidence_count ? NULL : task->proof,
                         SIZE_MAX);
    ca_block_evidence(buf, output, why->evidence, why->evidence_count);
    path(buf, task, why);
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
