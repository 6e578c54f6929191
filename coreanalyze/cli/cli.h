/* The command: a thin door. One function for each subcommand that has something of its own; it
 * returns the exit status of the contract. */
#ifndef CA_CLI_CLI_H
#define CA_CLI_CLI_H

#include "coreanalyze.h"

enum { CA_EXIT_CLEAN = 0, CA_EXIT_LEAKS = 1, CA_EXIT_FAILED = 2 };

int ca_cli_report(struct ca_command_line *line); /* leaks, tasks, task, explain, info */
int ca_cli_export_core(struct ca_command_line *line);

int ca_cli_ps(struct ca_command_line *line);

/* Progress of long work, on stderr when that is a terminal; ended before anything else is said. */
void ca_cli_progress_start(struct ca_options *options);
void ca_cli_progress_end(void);

/* Opens what the words name, with progress on a terminal. */
struct ca_error *ca_cli_open(struct ca_command_line *line, struct ca_session **ret);

/* "coreanalyze: message" on stderr; destroys the error. Always CA_EXIT_FAILED. */
int ca_cli_fail(struct ca_error *error);

/* A sink on standard output; arg is an int that takes the errno of a failed write. */
bool ca_cli_stdout(void *arg, const char *text, size_t size);

#endif
