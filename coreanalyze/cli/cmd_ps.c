/* ps: the processes of this machine in which a known runtime lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int ca_cli_ps(struct ca_command_line *line)
{
    struct ca_processes *processes = NULL;
    int failed = 0;
    ca_cli_progress_start(&line->options);
    struct ca_error *error = ca_processes_create(&line->options, &processes);
    ca_cli_progress_end();
    if (!error)
        error = ca_processes_write(processes, &line->request, ca_cli_stdout, &failed);
    ca_processes_destroy(processes);
    if (error)
        return ca_cli_fail(error);
    if (failed && failed != EPIPE) {
        fprintf(stderr, "coreanalyze: cannot write to standard output: %s\n", strerror(failed));
        return CA_EXIT_FAILED;
    }
    return CA_EXIT_CLEAN;
}
