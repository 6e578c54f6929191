/* Documents: one request in, one text for a person or one JSON document out.
 *
 * To add a command: a row in the table of output.c with its two writers, a row in request.c.
 * Writers see the session only through coreanalyze.h, so that every door has what they have.
 */
#ifndef CA_OUTPUT_OUTPUT_H
#define CA_OUTPUT_OUTPUT_H

#include "output/selection.h"
#include "output/sink.h"

/* What a writer works with. */
struct ca_output {
    struct ca_session *session;
    const struct ca_request *request;
    struct ca_sink sink;
    struct ca_selection chosen; /* what the request leaves to show: tasks, or groups */
    struct ca_summary summary;  /* of the whole target, whatever is shown */
    size_t task;                /* of the commands that take an id */
};

typedef struct ca_error *ca_output_fn(struct ca_output *output);

/* See ca_session_write. CA_ERROR_INVALID: an unknown command, order or verdict; CA_ERROR_NOT_FOUND:
 * no such task. Nothing has reached the sink then. */
struct ca_error *ca_output_write(struct ca_session *session, const struct ca_request *request,
                                 ca_sink_fn *sink, void *arg, int *status);

#endif
