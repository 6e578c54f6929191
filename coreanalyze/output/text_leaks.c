/* Conclusion, groups worst first, the others in a line, what is missing, what to type next. */
#include <inttypes.h>

#include "output/text.h"
#include "output/words.h"

enum { STACK_SHOWN = 6, CASES_SHOWN = 4, IDS_SHOWN = 4 };

static void conclusion(struct ca_buf *buf, const struct ca_output *output)
{
    const struct ca_summary *sum = &output->summary;
    ca_words_count(buf, (int64_t)ca_session_task_count(output->session),
                   ca_words_noun(output->session));
    const int64_t leaked = sum->tasks[CA_SHOWN_LEAKED], suspect = sum->tasks[CA_SHOWN_SUSPECT];
    if (!leaked && !suspect) {
        ca_buf_puts(buf, "; none is leaked, none is suspect\n");
        return;
    }
    ca_buf_puts(buf, "; ");
    if (leaked) {
        ca_words_number(buf, leaked);
        ca_buf_puts(buf, " leaked in ");
        ca_words_count(buf, sum->groups[CA_SHOWN_LEAKED], "group");
        if (sum->leaked_known > 0) {
            ca_buf_printf(buf, ", holding %s", sum->retained == CA_UNKNOWN ? "at least " : "");
            ca_words_size(buf, sum->leaked_known);
        }
    } else {
        ca_buf_puts(buf, "none is proved leaked");
    }
    if (suspect) {
        ca_buf_puts(buf, "; ");
        ca_words_number(buf, suspect);
        ca_buf_puts(buf, " suspect in ");
        ca_words_count(buf, sum->groups[CA_SHOWN_SUSPECT], "group");
    }
    ca_buf_putc(buf, '\n');
}

/* Widest of the functions of a block, so that the files stand in one column. */
static void place(struct ca_buf *buf, const struct ca_paths *paths, const char *function,
                  const char *file, int64_t line, int width)
{
    struct ca_buf where = {0};
    size_t start = buf->len;
    ca_words_place(&where, paths, file, line);
    int room = width - 17 - (int)where.len;
    ca_words_function(buf, function, room < 24 ? 24 : room);
    if (where.len) {
        int pad = 40 - (int)(buf->len - start);
        if (pad > 2 && 40 + (int)where.len + 15 > width)
            pad = 2;
        ca_buf_printf(buf, "%*s", pad < 2 ? 2 : pad, "");
        ca_buf_add(buf, where.data, where.len);
    }
    ca_buf_putc(buf, '\n');
    buf->failed |= where.failed;
    ca_buf_deinit(&where);
}

static void head(struct ca_buf *buf, const struct ca_output *output,
                 const struct ca_group_info *group)
{
    enum ca_shown_verdict verdict = ca_shown_verdict(group->verdict);
    const char *colour = verdict == CA_SHOWN_LEAKED ? "\033[1;31m" : "\033[1;33m";
    bool coloured = output->request->colour && verdict <= CA_SHOWN_SUSPECT;
    ca_buf_puts(buf, coloured ? colour : "");
    for (const char *at = group->verdict; *at; at++)
        ca_buf_putc(buf, (char)(*at - 'a' + 'A'));
    ca_buf_puts(buf, coloured ? "\033[0m" : "");
    ca_buf_puts(buf, "  ");
    ca_words_count(buf, (int64_t)group->count, ca_words_noun(output->session));
    if (group->reason) {
        ca_buf_puts(buf, "   ");
        ca_words_clean(buf, group->reason);
    }
    if (group->oldest_ns != CA_UNKNOWN && group->oldest_ns > 0) {
        ca_buf_puts(buf, group->count == 1 ? ", for " : ", up to ");
        ca_words_age(buf, group->oldest_ns);
    }
    if (group->rule)
        ca_buf_printf(buf, "   rule: %s", group->rule);
    ca_buf_putc(buf, '\n');
}

static void waiting_for(struct ca_buf *buf, const struct ca_wait_info *wait)
{
    if (!wait->kind)
        return;
    ca_words_label(buf, "waiting for");
    ca_words_waiting_for(buf, wait);
    ca_buf_putc(buf, '\n');
    for (size_t i = 0; i < wait->case_count && i < CASES_SHOWN; i++) {
        ca_words_label(buf, "");
        ca_buf_puts(buf, "- ");
        ca_words_case(buf, &wait->cases[i]);
        ca_buf_putc(buf, '\n');
    }
    if (wait->case_count > CASES_SHOWN) {
        ca_words_label(buf, "");
        ca_buf_printf(buf, "- and %zu more\n", wait->case_count - CASES_SHOWN);
    }
}

static void stack(struct ca_buf *buf, const struct ca_output *output, const struct ca_paths *paths,
                  const struct ca_task_info *member, int width)
{
    size_t shown = 0, wanted = 0;
    for (size_t i = 0; i < member->frame_count; i++)
        wanted += output->request->full || !member->frames[i].runtime;
    if (wanted < 2)
        return;
    for (size_t i = 0; i < member->frame_count; i++) {
        const struct ca_frame_info *frame = &member->frames[i];
        if (!output->request->full && frame->runtime)
            continue;
        if (!output->request->full && shown == STACK_SHOWN) {
            ca_words_label(buf, "");
            ca_buf_printf(buf, "... %zu more frames\n", wanted - shown);
            return;
        }
        ca_words_label(buf, shown++ ? "" : "stack");
        place(buf, paths, frame->function, frame->file, frame->line, width);
    }
}

static void line(struct ca_buf *buf, const char *label, const char *text)
{
    if (!text)
        return;
    ca_words_label(buf, label);
    ca_words_clean(buf, text);
    ca_buf_putc(buf, '\n');
}

static void holds(struct ca_buf *buf, const struct ca_group_info *group)
{
    int64_t known, whole = ca_group_retained(group, &known);
    if (known <= 0)
        return;
    ca_words_label(buf, "holds");
    if (whole == CA_UNKNOWN)
        ca_buf_puts(buf, "at least ");
    ca_words_size(buf, known);
    if (group->stack_bytes != CA_UNKNOWN && group->heap_bytes != CA_UNKNOWN) {
        ca_buf_puts(buf, ": ");
        ca_words_size(buf, group->stack_bytes);
        ca_buf_puts(buf, " of stacks, ");
        ca_words_size(buf, group->heap_bytes);
        ca_buf_puts(buf, " of heap");
    }
    ca_buf_putc(buf, '\n');
}

static void examples(struct ca_buf *buf, const struct ca_output *output,
                     const struct ca_group_info *group)
{
    char id[48];
    ca_words_label(buf, "e.g.");
    ca_buf_puts(buf, ca_words_noun(output->session));
    for (size_t i = 0; i < group->count && i < IDS_SHOWN; i++) {
        ca_session_task_id(output->session, group->members[i], id);
        ca_buf_printf(buf, "%s %s", i ? "," : "", id);
    }
    ca_buf_puts(buf, group->count > IDS_SHOWN ? ", ...\n" : "\n");
}

static struct ca_error *block(struct ca_buf *buf, const struct ca_output *output,
                              const struct ca_paths *paths, size_t index, int width)
{
    struct ca_group_info group;
    struct ca_task_info member;
    if (!ca_session_group(output->session, index, &group) || !group.count)
        return NULL;
    struct ca_error *error = ca_session_task(output->session, group.members[0], &member);
    if (error)
        return error;
    ca_buf_putc(buf, '\n');
    head(buf, output, &group);
    if (group.site.function || group.site.file) {
        ca_words_label(buf,
                       ca_shown_verdict(group.verdict) == CA_SHOWN_ACTIVE ? "is at" : "waits at");
        place(buf, paths, group.site.function, group.site.file, group.site.line, width);
    }
    if (group.created.function || group.created.file) {
        ca_words_label(buf, "created at");
        place(buf, paths, group.created.function, group.created.file, group.created.line, width);
    }
    waiting_for(buf, &member.waiting_for);
    for (size_t i = 0; i < group.evidence_count; i++)
        line(buf, i ? "" : "because", group.evidence[i].text);
    holds(buf, &group);
    if (group.pattern) {
        ca_words_label(buf, "pattern");
        ca_buf_puts(buf, group.pattern);
        if (group.confidence)
            ca_buf_printf(buf, " (%s)", group.confidence);
        ca_buf_putc(buf, '\n');
    }
    line(buf, "repair", group.advice);
    stack(buf, output, paths, &member, width);
    examples(buf, output, &group);
    return NULL;
}

/* One line that says that the others were looked at, too. */
static void others(struct ca_buf *buf, const struct ca_output *output)
{
    const int64_t *tasks = output->summary.tasks;
    static const struct {
        enum ca_shown_verdict verdict;
        const char *words;
    } rest[] = {{CA_SHOWN_WAITING, "waiting, with nothing against them"},
                {CA_SHOWN_ACTIVE, "active"},
                {CA_SHOWN_SYSTEM, "of the runtime itself"}};
    bool any = false;
    for (size_t i = 0; i < 3; i++) {
        if (!tasks[rest[i].verdict])
            continue;
        ca_buf_puts(buf, any ? "; " : "\nNot leaked: ");
        ca_words_number(buf, tasks[rest[i].verdict]);
        ca_buf_printf(buf, " %s", rest[i].words);
        any = true;
    }
    ca_buf_puts(buf, any ? "\n" : "");
}

static void next(struct ca_buf *buf, const struct ca_output *output)
{
    const struct ca_request *request = output->request;
    struct ca_group_info group;
    char id[48];
    if (!output->chosen.shown ||
        !ca_session_group(output->session, ca_selection_at(&output->chosen, 0), &group))
        return;
    ca_session_task_id(output->session, group.members[0], id);
    ca_buf_printf(buf, "\nNext: %s explain %s", request->debugger ? "leaks" : "coreanalyze", id);
    if (!request->debugger && request->target_words) {
        ca_buf_putc(buf, ' ');
        ca_words_clean(buf, request->target_words);
    }
    ca_buf_putc(buf, '\n');
}

struct ca_error *ca_text_leaks(struct ca_output *output)
{
    struct ca_buf buf = {0};
    struct ca_paths paths;
    struct ca_error *error = NULL;
    int width = output->request->width > 40 ? output->request->width : 100;
    ca_paths_learn(&paths, output->session);
    ca_words_headline(&buf, output->session);
    conclusion(&buf, output);
    for (size_t i = 0; !error && i < output->chosen.shown && !output->sink.stopped; i++) {
        error = block(&buf, output, &paths, ca_selection_at(&output->chosen, i), width);
        if (!error)
            error = ca_words_out(&buf, output);
    }
    if (output->chosen.total > output->chosen.shown) {
        ca_buf_puts(&buf, "\n");
        ca_words_count(&buf, (int64_t)(output->chosen.total - output->chosen.shown), "group");
        ca_buf_puts(&buf, " more; --limit 0 shows all\n");
    }
    others(&buf, output);
    ca_words_gaps(&buf, output->session, output->request->full);
    next(&buf, output);
    if (!error)
        error = ca_words_out(&buf, output);
    ca_buf_deinit(&buf);
    return error;
}
