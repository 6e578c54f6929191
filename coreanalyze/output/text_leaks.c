/* Conclusion, groups worst first, the others in a line, what is missing, what to type next. */
#include <inttypes.h>
#include <stdlib.h>

#include "output/blocks.h"
#include "output/text.h"

enum { STACK_SHOWN = 6, CASES_SHOWN = 4, IDS_SHOWN = 4 };

static void conclusion(struct ca_buf *buf, const struct ca_output *output)
{
    const struct ca_summary *sum = &output->summary;
    ca_words_count(buf, (int64_t)ca_session_task_count(output->session),
                   ca_words_noun(output->session));
    const int64_t leaked = sum->tasks[CA_SHOWN_LEAKED], suspect = sum->tasks[CA_SHOWN_SUSPECT];
    if (!leaked && !suspect) {
        ca_buf_puts(buf, "; no leak found: none is proved leaked, no rule makes one suspect\n");
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
    if (group->proof)
        ca_buf_printf(buf, "   proved: %s", group->proof);
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

/* Equal for waits for the same thing; 0: for nothing that has a place. */
static uint64_t identity(const struct ca_wait_info *wait)
{
    uint64_t sum = wait->kind ? wait->channel.address : 0;
    for (size_t i = 0; wait->kind && i < wait->case_count; i++)
        sum = (sum ^ wait->cases[i].address) * 0x9e3779b97f4a7c15u;
    return sum;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static struct ca_error *count_things(const struct ca_output *output,
                                     const struct ca_group_info *group, size_t *ret)
{
    struct ca_wait_info wait;
    struct ca_error *error = NULL;
    bool same = true;
    uint64_t *seen = calloc(group->count, sizeof(*seen));
    *ret = 0;
    if (!seen)
        return &ca_error_nomem;
    for (size_t i = 0; i < group->count && !error; i++) {
        error = ca_session_wait(output->session, group->members[i], &wait);
        if (error || !(seen[i] = identity(&wait)))
            goto out;
        same &= seen[i] == seen[0];
    }
    if (!same)
        qsort(seen, group->count, sizeof(*seen), by_value);
    for (size_t i = 0; i < group->count; i++)
        *ret += !i || seen[i] != seen[i - 1];
out:
    free(seen);
    return error;
}

/* What is shown is one member's: whether the others wait for the same. */
static struct ca_error *sharing(struct ca_buf *buf, const struct ca_output *output,
                                const struct ca_group_info *group)
{
    size_t things = 0;
    char id[48];
    struct ca_error *error = group->count > 1 ? count_things(output, group, &things) : NULL;
    if (error || !things)
        return error;
    ca_session_task_id(output->session, group->members[0], id);
    ca_words_label(buf, "");
    if (things == 1) {
        ca_buf_puts(buf, group->count == 2 ? "both wait for the same\n" : "all ");
        if (group->count > 2) {
            ca_words_number(buf, (int64_t)group->count);
            ca_buf_puts(buf, " wait for the same\n");
        }
        return NULL;
    }
    if (things == group->count) {
        ca_buf_puts(buf, "each waits for its own");
    } else {
        ca_buf_puts(buf, "they wait for ");
        ca_words_number(buf, (int64_t)things);
        ca_buf_puts(buf, " different ones");
    }
    ca_buf_printf(buf, "; shown is that of %s %s\n", ca_words_noun(output->session), id);
    return NULL;
}

/* One is the site, which is shown anyway. */
static size_t users_frames(const struct ca_task_info *task)
{
    size_t count = 0;
    for (size_t i = 0; i < task->frame_count; i++)
        count += !task->frames[i].runtime;
    return count;
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
        ca_block_place(buf, paths, group.site.function, group.site.file, group.site.line, width);
    }
    if (group.created.function || group.created.file) {
        ca_words_label(buf, "created at");
        ca_block_place(buf, paths, group.created.function, group.created.file, group.created.line,
                       width);
    }
    ca_block_waiting_for(buf, output, &member.waiting_for,
                         group.evidence_count ? NULL : group.proof, CASES_SHOWN);
    error = sharing(buf, output, &group);
    if (!error)
        error = ca_session_task(output->session, group.members[0], &member);
    if (error)
        return error;
    ca_block_evidence(buf, output, group.evidence, group.evidence_count);
    holds(buf, &group);
    if (group.pattern) {
        ca_words_label(buf, "pattern");
        ca_buf_puts(buf, group.pattern);
        if (group.confidence)
            ca_buf_printf(buf, " (%s)", group.confidence);
        ca_buf_putc(buf, '\n');
    }
    ca_block_line(buf, "repair", group.advice);
    if (output->request->full || users_frames(&member) > 1)
        ca_block_stack(buf, paths, &member, output->request->full,
                       (struct ca_shown_frames){.inner = STACK_SHOWN}, width);
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
    if (output->request->verdict)
        return;
    for (size_t i = 0; i < 3; i++) {
        if (!tasks[rest[i].verdict])
            continue;
        ca_buf_puts(buf, any ? "; " : "\nThe others: ");
        ca_words_number(buf, tasks[rest[i].verdict]);
        ca_buf_printf(buf, " %s", rest[i].words);
        any = true;
    }
    ca_buf_puts(buf, any ? "\n" : "");
}

static void next(struct ca_buf *buf, const struct ca_output *output)
{
    struct ca_group_info group;
    char id[48];
    if (!output->chosen.shown) {
        if (!output->request->verdict)
            ca_block_next(buf, output->request, "tasks", "--group");
        return;
    }
    if (!ca_session_group(output->session, ca_selection_at(&output->chosen, 0), &group))
        return;
    ca_session_task_id(output->session, group.members[0], id);
    ca_block_next(buf, output->request, "explain", id);
}

struct ca_error *ca_text_leaks(struct ca_output *output)
{
    struct ca_buf buf = {0};
    struct ca_paths paths;
    struct ca_error *error = NULL;
    int width = ca_words_width(output->request);
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
