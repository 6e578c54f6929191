/* export-core OUT: the library writes the core, we say what is in it. */
#include <stdio.h>

#include "cli/cli.h"

int ca_cli_export_core(struct ca_command_line *line)
{
    struct ca_session *session = NULL;
    size_t count = 0;
    /* The memory is copied after the analysis: a live target must stand still until then. */
    line->options.hold = true;
    /* No verdict that is asked for, no proof that is needed. */
    if (!line->request.verdict && !line->request.group_of)
        line->options.no_proof = true;
    struct ca_error *error = ca_cli_open(line, &session);
    if (error)
        return ca_cli_fail(error);
    struct ca_export_options options = {
        .size = sizeof(options),
        .verdict = line->request.verdict,
        .group = line->request.group_of,
        .overwrite = line->options.force,
    };
    error = ca_session_export_core(session, line->request.argument, &options, &count);
    ca_session_destroy(session);
    if (error)
        return ca_cli_fail(error);
    printf("%zu tasks are threads in %s\n", count, line->request.argument);
    return CA_EXIT_CLEAN;
}
