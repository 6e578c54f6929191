/* leaks, tasks, task, explain, info: the document is the library's, the manners are ours. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

enum { GAPS_SHOWN = 5 };

static void fit_terminal(struct ca_request *request)
{
    struct winsize size;
    const char *no_colour = getenv("NO_COLOR");
    if (!isatty(STDOUT_FILENO))
        return;
    request->colour = !(no_colour && no_colour[0]);
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        request->width = size.ws_col;
}

/* On stderr, so that a script's document stays whole; on a terminal the text already says it. */
static void tell_gaps(const struct ca_session *session, const struct ca_request *request)
{
    struct ca_gap_info gap;
    size_t count = ca_session_gap_count(session);
    if (!count || (!request->json && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO)))
        return;
    fprintf(stderr, "coreanalyze: the analysis is partial: %zu gap%s\n", count,
            count == 1 ? "" : "s");
    for (size_t i = 0; i < GAPS_SHOWN && ca_session_gap(session, i, &gap); i++)
        fprintf(stderr, "  %s: %s\n", gap.what ? gap.what : "?", gap.why ? gap.why : "?");
    if (count > GAPS_SHOWN)
        fprintf(stderr, "  and %zu more\n", count - GAPS_SHOWN);
}

static int finish(const struct ca_session *session, const struct ca_request *request, int status,
                  int failed)
{
    /* A reader that has seen enough is no failure of ours. */
    if (failed && failed != EPIPE) {
        fprintf(stderr, "coreanalyze: cannot write to standard output: %s\n", strerror(failed));
        return CA_EXIT_FAILED;
    }
    tell_gaps(session, request);
    if (request->strict && ca_session_gap_count(session))
        return CA_EXIT_FAILED;
    return status;
}

int ca_cli_report(struct ca_command_line *line)
{
    struct ca_session *session = NULL;
    int status = 0, failed = 0;
    /* Variables are read after the analysis: a live target must stand still until then. */
    line->options.hold = line->request.locals;
    line->options.check = line->check;
    struct ca_error *error = ca_cli_open(line, &session);
    if (error)
        return ca_cli_fail(error);
    fit_terminal(&line->request);
    error = ca_session_write(session, &line->request, ca_cli_stdout, &failed, &status);
    status = error ? ca_cli_fail(error) : finish(session, &line->request, status, failed);
    ca_session_destroy(session);
    return status;
}
