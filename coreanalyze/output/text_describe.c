/* How a description fits: a line for each thing that it says, those that do not fit marked. */
#include <inttypes.h>
#include <stdio.h>

#include "output/text.h"

static void put(struct ca_sink *sink, const char *text)
{
    for (; *text; text++) {
        char escaped[8];
        if ((unsigned char)*text >= 0x20 && *text != 0x7f) {
            ca_sink_putc(sink, *text);
            continue;
        }
        int size = snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)*text);
        ca_sink_add(sink, escaped, (size_t)size);
    }
}

static void put_line(struct ca_sink *sink, const struct ca_check_info *check)
{
    char head[96];
    int size = snprintf(head, sizeof(head), "%5" PRId64 "  %-3s  %-18.40s  ", check->line,
                        check->ok ? "ok" : "NO", check->key);
    ca_sink_add(sink, head, (size_t)size);
    if (check->why)
        put(sink, check->why);
    if (check->why && check->found)
        put(sink, "; ");
    if (check->found)
        put(sink, check->found);
    ca_sink_putc(sink, '\n');
}

struct ca_error *ca_text_describe(struct ca_output *output)
{
    struct ca_check_info check;
    struct ca_runtime_info runtime;
    char text[160];
    size_t count = 0, wrong = 0;
    for (; ca_session_check(output->session, count, &check); count++) {
        put_line(&output->sink, &check);
        wrong += !check.ok;
    }
    int size = snprintf(text, sizeof(text), "\n%zu checked, %zu do not fit", count, wrong);
    ca_sink_add(&output->sink, text, (size_t)size);
    if (ca_session_runtime(output->session, 0, &runtime)) {
        size = snprintf(text, sizeof(text), "; %" PRId64 " %.40ss found", runtime.tasks,
                        runtime.task_noun);
        ca_sink_add(&output->sink, text, (size_t)size);
    }
    ca_sink_putc(&output->sink, '\n');
    return NULL;
}
