#include "output/words.h"

#include <inttypes.h>
#include <stdio.h>

#include "output/utf8.h"
#include "output/wrap.h"

void ca_words_clean(struct ca_buf *buf, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t size = ca_utf8_size(at);
        /* C1 controls are well-formed UTF-8, and steer terminals too. */
        bool control = *at < 0x20 || *at == 0x7f || (size == 2 && at[0] == 0xc2 && at[1] < 0xa0);
        if (size && !control) {
            ca_buf_add(buf, (const char *)at, size);
            at += size;
        } else {
            ca_buf_printf(buf, "\\x%02x", *at++);
        }
    }
}

void ca_words_number(struct ca_buf *buf, int64_t n)
{
    ca_buf_number(buf, n);
}

void ca_words_count(struct ca_buf *buf, int64_t n, const char *noun)
{
    ca_words_number(buf, n);
    ca_buf_printf(buf, " %s%s", noun, n == 1 ? "" : "s");
}

void ca_words_age(struct ca_buf *buf, int64_t ns)
{
    int64_t s = ns / 1000000000;
    if (s < 1)
        ca_buf_printf(buf, "%" PRId64 " ms", ns / 1000000);
    else if (s < 60)
        ca_buf_printf(buf, "%" PRId64 "s", s);
    else if (s < 3600)
        ca_buf_printf(buf, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        ca_buf_printf(buf, "%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
    else
        ca_buf_printf(buf, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
}

void ca_words_size(struct ca_buf *buf, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 999.5 && unit < 5) {
        value /= 1000;
        unit++;
    }
    bool whole = !unit || value >= 9.95 || (int64_t)(value * 10 + 0.5) % 10 == 0;
    ca_buf_printf(buf, whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

/* Where the shown name begins: behind the package's path, with one folder more before "v2.". */
static const char *short_name(const char *function)
{
    const char *end = function + strcspn(function, "[(");
    const char *slash = NULL, *before = NULL;
    for (const char *at = function; at < end; at++)
        if (*at == '/') {
            before = slash;
            slash = at;
        }
    if (!slash)
        return function;
    if (slash[1] == 'v' && slash[2] >= '0' && slash[2] <= '9')
        return before ? before + 1 : function;
    return slash + 1;
}

void ca_words_cut(struct ca_buf *buf, const char *text, int width)
{
    size_t size = strlen(text);
    if ((int64_t)size <= width || width < 6) {
        ca_buf_add(buf, text, size);
        return;
    }
    size_t tail = (size_t)(width - 3) * 2 / 3, head = (size_t)(width - 3) - tail;
    /* Not in the middle of a character. */
    while (head && ((unsigned char)text[head] & 0xc0) == 0x80)
        head--;
    while (tail && ((unsigned char)text[size - tail] & 0xc0) == 0x80)
        tail--;
    ca_buf_add(buf, text, head);
    ca_buf_puts(buf, "...");
    ca_buf_add(buf, text + size - tail, tail);
}

void ca_words_function(struct ca_buf *buf, const char *function, int width)
{
    if (!function) {
        ca_buf_puts(buf, "?");
        return;
    }
    struct ca_buf clean = {0};
    ca_words_clean(&clean, short_name(function));
    ca_words_cut(buf, clean.data ? clean.data : "?", width);
    buf->failed |= clean.failed;
    ca_buf_deinit(&clean);
}

/* Whether the folder that ends before end is named as a GOROOT: go, go-1.19, go1.22.12, or a
 * toolchain in the module cache. */
static bool is_goroot(const char *file, const char *end)
{
    const char *name = end;
    while (name > file && name[-1] != '/')
        name--;
    if (!strncmp(name, "toolchain@", strlen("toolchain@")))
        return true;
    return end - name >= 2 && !strncmp(name, "go", 2) && strchr("/-.0123456789", name[2]);
}

/* Behind GOROOT or the module cache, whose own place says nothing. */
static const char *behind_cache(const char *file)
{
    static const char src[] = "/src/", modules[] = "/pkg/mod/";
    for (const char *at = file; (at = strstr(at, src)); at++)
        if (is_goroot(file, at))
            return at + strlen(src);
    const char *found = strstr(file, "/src/runtime/");
    if (found)
        return found + strlen(src);
    found = strstr(file, modules);
    return found ? found + strlen(modules) : NULL;
}

static void meet(struct ca_paths *paths, const char *file, bool *any)
{
    if (!file || file[0] != '/' || behind_cache(file))
        return;
    size_t size = 0, folder = 0;
    if (!*any)
        snprintf(paths->common, sizeof(paths->common), "%s", file);
    *any = true;
    for (; paths->common[size] && paths->common[size] == file[size]; size++)
        if (file[size] == '/')
            folder = size + 1;
    paths->common[folder] = 0;
}

void ca_paths_learn(struct ca_paths *paths, struct ca_session *session)
{
    struct ca_group_info group;
    bool any = false;
    paths->common[0] = 0;
    for (size_t i = 0; i < 1000 && ca_session_group(session, i, &group); i++) {
        if (ca_shown_verdict(group.verdict) == CA_SHOWN_SYSTEM)
            continue;
        if (!group.site.runtime)
            meet(paths, group.site.file, &any);
        if (group.created.function && strncmp(group.created.function, "runtime.", 8))
            meet(paths, group.created.file, &any);
    }
}

void ca_words_place(struct ca_buf *buf, const struct ca_paths *paths, const char *file,
                    int64_t line)
{
    if (!file)
        return;
    const char *shown = behind_cache(file);
    size_t size = strlen(paths->common);
    if (!shown)
        shown = size && !strncmp(file, paths->common, size) ? file + size : file;
    ca_words_clean(buf, shown);
    if (line > 0)
        ca_buf_printf(buf, ":%" PRId64, line);
}

/* ---- what a task waits for ---- */

static void capacity(struct ca_buf *buf, const struct ca_case_info *channel)
{
    if (channel->capacity == 0)
        ca_buf_puts(buf, ", unbuffered");
    else if (channel->capacity > 0 && channel->length == channel->capacity)
        ca_buf_printf(buf, ", buffer of %" PRId64 " full", channel->capacity);
    else if (channel->capacity > 0 && channel->length >= 0)
        ca_buf_printf(buf, ", %" PRId64 " of %" PRId64 " places filled", channel->length,
                      channel->capacity);
    if (channel->closed == 1)
        ca_buf_puts(buf, ", closed");
}

void ca_words_case(struct ca_buf *buf, const struct ca_case_info *one)
{
    bool sends = one->direction && !strcmp(one->direction, "send");
    const char *other = !one->direction ? "somebody"
                        : sends         ? "a receiver"
                        : one->address  ? "a sender or a close"
                                        : "a sender";
    if (!one->address) {
        ca_buf_printf(buf, "%s on a nil channel, which can never come", other);
        return;
    }
    ca_buf_printf(buf, "%s on chan 0x%" PRIx64, other, one->address);
    capacity(buf, one);
    int64_t there = sends ? one->receivers : one->senders;
    if (one->direction && there == 0)
        ca_buf_printf(buf, "; none waits");
    else if (one->direction && there > 0)
        ca_buf_printf(buf, "; %" PRId64 " wait%s there", there, there == 1 ? "s" : "");
}

static void deadline(struct ca_buf *buf, int64_t ns)
{
    if (ns == CA_UNKNOWN)
        return;
    ca_buf_puts(buf, ns < 0 ? ", due since " : ", ends in ");
    ca_words_age(buf, ns < 0 ? -ns : ns);
}

void ca_words_waiting_for(struct ca_buf *buf, const struct ca_wait_info *wait, const char *noun)
{
    const char *kind = wait->kind;
    if (!strcmp(kind, "channel")) {
        ca_words_case(buf, &wait->channel);
        return;
    }
    if (!strcmp(kind, "nothing")) {
        ca_buf_puts(buf, "nothing: a wait like this never ends");
        return;
    }
    if (!strcmp(kind, "select") && !wait->case_count)
        ca_buf_puts(buf, "one of several things");
    else if (!strcmp(kind, "select"))
        ca_buf_printf(buf, "any of %zu case%s", wait->case_count, wait->case_count == 1 ? "" : "s");
    else if (!strcmp(kind, "waitgroup"))
        ca_buf_puts(buf, "a wait group to come to zero");
    else if (!strcmp(kind, "cond"))
        ca_buf_puts(buf, "a signal on a condition");
    else if (!strcmp(kind, "io"))
        ca_buf_puts(buf, "input or output");
    else if (!strcmp(kind, "join"))
        ca_buf_puts(buf, "the end of another task");
    else
        ca_buf_puts(buf, kind);
    if (wait->fd != CA_UNKNOWN)
        ca_buf_printf(buf, " on descriptor %" PRId64, wait->fd);
    if (wait->has_address && wait->channel.address)
        ca_buf_printf(buf, " at 0x%" PRIx64, wait->channel.address);
    if (wait->counter != CA_UNKNOWN)
        ca_buf_printf(buf, ", which is at %" PRId64, wait->counter);
    if (wait->owner[0])
        ca_buf_printf(buf, ", %s%s %s", strcmp(kind, "join") ? "held by " : "", noun, wait->owner);
    if (wait->waiters > 1) {
        ca_buf_puts(buf, "; ");
        ca_words_number(buf, wait->waiters);
        ca_buf_puts(buf, " wait there");
    }
    deadline(buf, wait->deadline_ns);
}

const char *ca_words_noun(const struct ca_session *session)
{
    struct ca_runtime_info runtime;
    bool one = ca_session_runtime_count(session) == 1 && ca_session_runtime(session, 0, &runtime);
    return one && runtime.task_noun ? runtime.task_noun : "task";
}

const struct ca_frame_info *ca_words_site(const struct ca_task_info *task)
{
    for (size_t i = 0; i < task->frame_count; i++)
        if (!task->frames[i].runtime)
            return &task->frames[i];
    return task->frame_count ? &task->frames[0] : NULL;
}

/* ---- the parts of every document ---- */

void ca_words_runtime(struct ca_buf *buf, const struct ca_runtime_info *runtime)
{
    const char *version = runtime->version;
    const char *title = runtime->title ? runtime->title : runtime->name;
    ca_words_clean(buf, title ? title : "?");
    if (!version)
        return;
    if (runtime->name && !strncmp(version, runtime->name, strlen(runtime->name)))
        version += strlen(runtime->name);
    ca_buf_putc(buf, ' ');
    ca_words_clean(buf, version);
}

/* Who copies a running process into a core writes down the signal that it stood still by; nothing
 * dies of these. */
static bool is_a_stop(const char *signal)
{
    return !strcmp(signal, "SIGSTOP") || !strcmp(signal, "SIGTSTP") || !strcmp(signal, "SIGTTIN") ||
           !strcmp(signal, "SIGTTOU") || !strcmp(signal, "SIGCONT");
}

void ca_words_headline(struct ca_buf *buf, const struct ca_session *session)
{
    struct ca_target_info target;
    struct ca_runtime_info runtime;
    ca_session_target(session, &target);
    const char *name = target.executable ? target.executable : target.path;
    const char *slash = name ? strrchr(name, '/') : NULL;
    bool died = target.signal && !is_a_stop(target.signal);
    ca_words_clean(buf, slash ? slash + 1 : name ? name : "a program");
    for (size_t i = 0; ca_session_runtime(session, i, &runtime); i++) {
        ca_buf_puts(buf, ", ");
        ca_words_runtime(buf, &runtime);
    }
    ca_buf_printf(buf, "%s, linux/%s", target.stripped ? ", stripped" : "",
                  target.arch ? target.arch : "?");
    if (died)
        ca_buf_printf(buf, "; died of %s", target.signal);
    else if (target.pid != CA_UNKNOWN)
        ca_buf_printf(buf, "; process %" PRId64, target.pid);
    if (target.uptime_ns != CA_UNKNOWN && target.uptime_ns > 0) {
        ca_buf_puts(buf, died ? " after " : ", running for ");
        ca_words_age(buf, target.uptime_ns);
    }
    if (target.cause && died) {
        ca_buf_puts(buf, ": ");
        ca_words_clean(buf, target.cause);
    }
    if (target.stopped_ns != CA_UNKNOWN && target.kind && !strcmp(target.kind, "live")) {
        ca_buf_puts(buf, "; stood still for ");
        ca_words_age(buf, target.stopped_ns);
    }
    ca_buf_putc(buf, '\n');
}

enum { GAPS_SHOWN = 10 };

void ca_words_gaps(struct ca_buf *buf, const struct ca_session *session, bool all)
{
    struct ca_gap_info gap;
    size_t count = ca_session_gap_count(session);
    if (!count)
        return;
    ca_buf_puts(buf, "\nWhat is missing:\n");
    for (size_t i = 0; (all || i < GAPS_SHOWN) && ca_session_gap(session, i, &gap); i++) {
        ca_buf_puts(buf, "  ");
        ca_words_clean(buf, gap.what ? gap.what : "?");
        ca_buf_puts(buf, ": ");
        ca_words_clean(buf, gap.why ? gap.why : "?");
        ca_buf_putc(buf, '\n');
    }
    if (!all && count > GAPS_SHOWN)
        ca_buf_printf(buf, "  and %zu more; --full shows all\n", count - GAPS_SHOWN);
}

int ca_words_width(const struct ca_request *request)
{
    return request->width > 40 ? request->width : 100;
}

struct ca_error *ca_words_out(struct ca_buf *buf, struct ca_output *output)
{
    if (buf->failed)
        return &ca_error_nomem;
    if (buf->len)
        ca_wrap(&output->sink, buf->data, buf->len, ca_words_width(output->request));
    buf->len = 0;
    return NULL;
}

void ca_words_label(struct ca_buf *buf, const char *label)
{
    ca_buf_printf(buf, "  %-13s", label);
}
