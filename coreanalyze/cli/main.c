/* coreanalyze: words in, one subcommand called. To add a subcommand: a row in output/commands.c,
 * cmd_NAME.c here with its function in cli.h, and a row in the table below. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
    const char *name;
    int (*run)(struct ca_command_line *line);
} commands[] = {
    {"leaks", ca_cli_report},    {"tasks", ca_cli_report}, {"task", ca_cli_report},
    {"explain", ca_cli_report},  {"info", ca_cli_report},  {"export-core", ca_cli_export_core},
    {"describe", ca_cli_report}, {"ps", ca_cli_ps},
};

static int say(const char *text)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        perror("coreanalyze: cannot write to standard output");
        return CA_EXIT_FAILED;
    }
    return CA_EXIT_CLEAN;
}

static int run(struct ca_command_line *line)
{
    if (line->version) {
        char text[64];
        snprintf(text, sizeof(text), "coreanalyze %s\n", ca_version());
        return say(text);
    }
    if (line->help)
        return say(ca_command_help(line->request.command));
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (!strcmp(commands[i].name, line->request.command))
            return commands[i].run(line);
    return ca_cli_fail(ca_error_create(CA_ERROR_UNSUPPORTED, "this build does not have `%s` yet",
                                       line->request.command));
}

int main(int argc, char **argv)
{
    struct ca_command_line *line = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        fputs(ca_command_help(NULL), stderr);
        return CA_EXIT_FAILED;
    }
    struct ca_error *error =
        ca_request_parse(argc - 1, (const char *const *)argv + 1, CA_DOOR_COMMAND, &line);
    if (error)
        return ca_cli_fail(error);
    int status = run(line);
    ca_command_line_destroy(line);
    return status;
}
