/* What is this, and how much of it could be read? */
#include <inttypes.h>

#include "output/blocks.h"
#include "output/counts.h"
#include "output/text.h"

enum { THREADS_SHOWN = 20, REASONS_SHOWN = 20 };

static void target(struct ca_buf *buf, const struct ca_session *session)
{
    struct ca_target_info info;
    ca_session_target(session, &info);
    ca_words_headline(buf, session);
    ca_block_line(buf, info.kind ? info.kind : "target", info.path);
    ca_block_line(buf, "executable", info.executable);
    ca_block_line(buf, "build id", info.build_id);
    if (info.pid != CA_UNKNOWN) {
        ca_words_label(buf, "pid");
        ca_buf_printf(buf, "%" PRId64 "\n", info.pid);
    }
    if (!info.complete)
        ca_block_line(buf, "complete", "no: a part of the memory is missing, see below");
}

static void runtimes(struct ca_buf *buf, const struct ca_session *session)
{
    struct ca_runtime_info info;
    for (size_t i = 0; ca_session_runtime(session, i, &info); i++) {
        ca_words_label(buf, "runtime");
        ca_words_runtime(buf, &info);
        ca_buf_puts(buf, ": ");
        ca_words_count(buf, info.tasks, info.task_noun ? info.task_noun : "task");
        if (info.counted != CA_UNKNOWN && info.counted == info.tasks) {
            ca_buf_puts(buf, ", as its own counter says");
        } else if (info.counted != CA_UNKNOWN && info.counted == info.tasks - info.system) {
            ca_buf_puts(buf, ", ");
            ca_words_number(buf, info.counted);
            ca_buf_puts(buf, " as its own counter says, and ");
            ca_words_number(buf, info.system);
            ca_buf_puts(buf, " of the runtime itself");
        } else if (info.counted != CA_UNKNOWN) {
            ca_buf_puts(buf, ", but its own counter says ");
            ca_words_number(buf, info.counted);
        }
        ca_buf_printf(buf, "; layout: %s\n", info.layout ? info.layout : "not known");
        if (info.left_out)
            ca_block_line(buf, "left out", info.left_out);
    }
    if (!ca_session_runtime_count(session))
        ca_block_line(buf, "runtime", "none that is known");
}

static void counts(struct ca_buf *buf, const char *label, const struct ca_counts *list)
{
    for (size_t i = 0; i < list->len && i < REASONS_SHOWN; i++) {
        struct ca_buf number = {0};
        ca_words_number(&number, list->list[i].count);
        ca_words_label(buf, i ? "" : label);
        ca_buf_printf(buf, "%9s  ", number.data ? number.data : "?");
        ca_words_clean(buf, list->list[i].word);
        ca_buf_putc(buf, '\n');
        ca_buf_deinit(&number);
    }
}

static void amount(struct ca_buf *buf, const char *label, int64_t value,
                   void (*show)(struct ca_buf *, int64_t))
{
    if (value == CA_UNKNOWN)
        return;
    ca_words_label(buf, label);
    show(buf, value);
    ca_buf_putc(buf, '\n');
}

static void ago(struct ca_buf *buf, int64_t ns)
{
    ca_words_age(buf, ns);
    ca_buf_puts(buf, " ago");
}

/* A kernel writes the signal that ended the process to each of its threads: then it says nothing
 * of any one. */
static bool signals_differ(const struct ca_session *session)
{
    struct ca_thread_info info;
    int first = 0;
    for (size_t i = 0; ca_session_thread(session, i, &info); i++) {
        if (i && info.signal != first)
            return true;
        first = info.signal;
    }
    return false;
}

static void thread(struct ca_buf *buf, const struct ca_output *output,
                   const struct ca_thread_info *info, bool signal)
{
    char name[sizeof(info->name) + 1] = "";
    memcpy(name, info->name, sizeof(info->name));
    ca_buf_printf(buf, "%9" PRId64, info->tid);
    if (name[0]) {
        ca_buf_puts(buf, "  ");
        ca_words_clean(buf, name);
    }
    if (info->task[0])
        ca_buf_printf(buf, "  runs %s %s", ca_words_noun(output->session), info->task);
    if (signal && info->signal > 0)
        ca_buf_printf(buf, "  signal %d, %s", info->signal, strsignal(info->signal));
    ca_buf_putc(buf, '\n');
}

static void threads(struct ca_buf *buf, const struct ca_output *output)
{
    struct ca_thread_info info;
    size_t count = ca_session_thread_count(output->session);
    bool signals = signals_differ(output->session);
    for (size_t i = 0; i < count && ca_session_thread(output->session, i, &info); i++) {
        if (i == THREADS_SHOWN && !output->request->full) {
            ca_words_label(buf, "");
            ca_buf_printf(buf, "... %zu more; --full shows all\n", count - i);
            return;
        }
        ca_words_label(buf, i ? "" : "threads");
        thread(buf, output, &info, signals);
    }
}

struct ca_error *ca_text_info(struct ca_output *output)
{
    struct ca_counts states, reasons;
    struct ca_memory_info memory;
    struct ca_buf buf = {0};
    struct ca_error *error = ca_counts_make(output->session, &states, &reasons);
    if (error)
        return error;
    ca_session_memory(output->session, &memory);
    target(&buf, output->session);
    runtimes(&buf, output->session);
    counts(&buf, "states", &states);
    counts(&buf, "reasons", &reasons);
    amount(&buf, "heap in use", memory.heap_in_use, ca_words_size);
    amount(&buf, "stacks", memory.stacks_in_use, ca_words_size);
    amount(&buf, "last gc", memory.last_gc_ns, ago);
    amount(&buf, "procs", memory.procs, ca_words_number);
    amount(&buf, "cpus", memory.cpus, ca_words_number);
    threads(&buf, output);
    ca_words_gaps(&buf, output->session, output->request->full);
    error = ca_words_out(&buf, output);
    ca_buf_deinit(&buf);
    return error;
}
