/* Opening a target, what is said meanwhile, and what is said when it fails. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

/* Short work says nothing; long work a line that goes away again. */
struct progress {
    int64_t next_ms;
    bool shown;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool show_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct progress *shown = arg;
    int64_t now = now_ms();
    if (now < shown->next_ms)
        return true;
    shown->next_ms = now + 200;
    shown->shown = true;
    if (total)
        fprintf(stderr, "\r\033[K%.60s: %.0f%%", what, 100.0 * (double)done / (double)total);
    else
        fprintf(stderr, "\r\033[K%.60s", what);
    return true;
}

/* The session may call it as long as it lives. */
static struct progress progress;

void ca_cli_progress_start(struct ca_options *options)
{
    progress.next_ms = now_ms() + 500;
    if (isatty(STDERR_FILENO)) {
        options->progress = show_progress;
        options->progress_arg = &progress;
    }
}

void ca_cli_progress_end(void)
{
    if (progress.shown)
        fputs("\r\033[K", stderr);
    progress.shown = false;
}

struct ca_error *ca_cli_open(struct ca_command_line *line, struct ca_session **ret)
{
    ca_cli_progress_start(&line->options);
    struct ca_error *error = line->target ? ca_session_open_core(line->target, &line->options, ret)
                                          : ca_session_attach(line->pid, &line->options, ret);
    ca_cli_progress_end();
    return error;
}

int ca_cli_fail(struct ca_error *error)
{
    fputs("coreanalyze: ", stderr);
    for (const char *at = error->message; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            fprintf(stderr, "\\x%02x", (unsigned char)*at);
        else
            fputc(*at, stderr);
    fputc('\n', stderr);
    ca_error_destroy(error);
    return CA_EXIT_FAILED;
}

bool ca_cli_stdout(void *arg, const char *text, size_t size)
{
    int *failed = arg;
    while (size) {
        ssize_t wrote = write(STDOUT_FILENO, text, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            *failed = wrote < 0 ? errno : EIO;
            return false;
        }
        text += wrote;
        size -= (size_t)wrote;
    }
    return true;
}
