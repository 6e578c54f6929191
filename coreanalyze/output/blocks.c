#include "output/blocks.h"

enum { LABEL_WIDTH = 15, PLACE_COLUMN = 40 };

void ca_block_place(struct ca_buf *buf, const struct ca_paths *paths, const char *function,
                    const char *file, int64_t line, int width)
{
    struct ca_buf where = {0};
    size_t start = buf->len;
    ca_words_place(&where, paths, file, line);
    int room = width - LABEL_WIDTH - 2 - (int)where.len;
    if (function || !where.len)
        ca_words_function(buf, function, room < 24 ? 24 : room);
    if (where.len && !function) {
        ca_buf_add(buf, where.data, where.len);
    } else if (where.len) {
        int pad = PLACE_COLUMN - (int)(buf->len - start);
        if (pad < 2 || LABEL_WIDTH + PLACE_COLUMN + (int)where.len > width)
            pad = 2;
        ca_buf_printf(buf, "%*s", pad, "");
        ca_buf_add(buf, where.data, where.len);
    }
    ca_buf_putc(buf, '\n');
    buf->failed |= where.failed;
    ca_buf_deinit(&where);
}

void ca_block_line(struct ca_buf *buf, const char *label, const char *text)
{
    if (!text)
        return;
    ca_words_label(buf, label);
    ca_words_clean(buf, text);
    ca_buf_putc(buf, '\n');
}

/* The first pieces repeat what is said under "waiting for", unless they begin a circle. */
static size_t told_already(const struct ca_evidence_info *list, size_t count)
{
    size_t first = 0;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i].kind, "deadlock"))
            return 0;
    while (first < count &&
           (!strcmp(list[first].kind, "waits") || !strcmp(list[first].kind, "case") ||
            !strcmp(list[first].kind, "owner")))
        first++;
    return first;
}

void ca_block_evidence(struct ca_buf *buf, const struct ca_output *output,
                       const struct ca_evidence_info *list, size_t count)
{
    size_t first = told_already(list, count);
    for (size_t i = first; i < count; i++) {
        ca_words_label(buf, i > first ? "" : "because");
        ca_words_clean(buf, list[i].text);
        if (!strcmp(list[i].kind, "owner") && list[i].task[0])
            ca_buf_printf(buf, " %s %s", ca_words_noun(output->session), list[i].task);
        ca_buf_putc(buf, '\n');
    }
}

/* What "unreachable" means, where there is something that could be reached. */
static void nothing_reaches(struct ca_buf *buf, const struct ca_wait_info *wait)
{
    const struct ca_case_info *channel = &wait->channel;
    size_t there = 0;
    for (size_t i = 0; i < wait->case_count; i++)
        there += wait->cases[i].address != 0;
    if (there || (strcmp(wait->kind, "select") != 0 && channel->address)) {
        bool none = !strcmp(wait->kind, "channel") && channel->direction &&
                    !(strcmp(channel->direction, "send") ? channel->senders : channel->receivers);
        ca_buf_puts(buf, none ? ", and" : ";");
        ca_buf_printf(buf, " nothing that can run reaches %s", there > 1 ? "them" : "it");
    }
}

void ca_block_waiting_for(struct ca_buf *buf, const struct ca_output *output,
                          const struct ca_wait_info *wait, const char *proof, size_t cases)
{
    if (!wait->kind)
        return;
    ca_words_label(buf, "waiting for");
    ca_words_waiting_for(buf, wait, ca_words_noun(output->session));
    if (proof && !strcmp(proof, "unreachable"))
        nothing_reaches(buf, wait);
    ca_buf_putc(buf, '\n');
    for (size_t i = 0; i < wait->case_count && i < cases; i++) {
        ca_words_label(buf, "");
        ca_buf_puts(buf, "- ");
        ca_words_case(buf, &wait->cases[i]);
        ca_buf_putc(buf, '\n');
    }
    if (wait->case_count > cases) {
        ca_words_label(buf, "");
        ca_buf_printf(buf, "- and %zu more\n", wait->case_count - cases);
    }
}

void ca_block_stack(struct ca_buf *buf, const struct ca_paths *paths,
                    const struct ca_task_info *task, bool full, struct ca_shown_frames limit,
                    int width)
{
    size_t shown = 0, wanted = 0;
    for (size_t i = 0; i < task->frame_count; i++)
        wanted += !task->frames[i].runtime;
    bool all = full;
    /* A stack that is all the runtime's is shown as it is. */
    full = full || !wanted;
    if (full)
        wanted = task->frame_count;
    if (all)
        limit.inner = wanted;
    for (size_t i = 0; i < task->frame_count; i++) {
        const struct ca_frame_info *frame = &task->frames[i];
        if (!full && frame->runtime)
            continue;
        size_t at = shown++;
        if (at >= limit.inner && at + limit.outer < wanted) {
            if (at == limit.inner) {
                ca_words_label(buf, "");
                ca_buf_printf(buf, "... %zu more; --full shows all\n", wanted - at - limit.outer);
            }
            continue;
        }
        ca_words_label(buf, at ? "" : "stack");
        ca_block_place(buf, paths, frame->function, frame->file, frame->line, width);
    }
}

void ca_block_next(struct ca_buf *buf, const struct ca_request *request, const char *command,
                   const char *id)
{
    ca_buf_printf(buf, "\nNext: %s %s %s", request->debugger ? "leaks" : "coreanalyze", command,
                  id);
    if (!request->debugger && request->target_words) {
        ca_buf_putc(buf, ' ');
        ca_words_clean(buf, request->target_words);
    }
    ca_buf_putc(buf, '\n');
}
