#include "output/output.h"

#include <inttypes.h>
#include <stdlib.h>

#include "output/json.h"
#include "output/text.h"

enum picks { PICKS_NOTHING, PICKS_TASKS, PICKS_GROUPS, PICKS_ONE };

enum { ALL_VERDICTS = (1u << CA_SHOWN_VERDICTS) - 1 };

struct writer {
    const char *command;
    enum picks picks;
    int64_t text_limit;     /* when the request names none */
    unsigned text_verdicts; /* the same, for groups */
    unsigned json_verdicts;
    ca_output_fn *json, *text;
};

static const struct writer writers[] = {
    {"leaks", PICKS_GROUPS, 10, 1u << CA_SHOWN_LEAKED | 1u << CA_SHOWN_SUSPECT,
     ALL_VERDICTS & ~(1u << CA_SHOWN_SYSTEM), ca_json_leaks, ca_text_leaks},
    {"tasks", PICKS_TASKS, 40, 0, 0, ca_json_tasks, ca_text_tasks},
    {"task", PICKS_ONE, 0, 0, 0, ca_json_task, ca_text_task},
    {"explain", PICKS_ONE, 0, 0, 0, ca_json_explain, ca_text_explain},
    {"info", PICKS_NOTHING, 0, 0, 0, ca_json_info, ca_text_info},
    {"describe", PICKS_NOTHING, 0, 0, 0, ca_json_describe, ca_text_describe},
};
static const struct writer grouped = {"tasks",      PICKS_GROUPS,  10,           ALL_VERDICTS,
                                      ALL_VERDICTS, ca_json_leaks, ca_text_leaks};

static const struct writer *find_writer(const struct ca_request *request)
{
    if (!request->command)
        return &writers[0];
    if (request->group && !strcmp(request->command, "tasks"))
        return &grouped;
    for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
        if (!strcmp(writers[i].command, request->command))
            return &writers[i];
    return NULL;
}

/* "there is no goroutine 99: 17 goroutines, from 1 to 43" */
static struct ca_error *no_such_task(struct ca_session *session, const char *id)
{
    size_t count = ca_session_task_count(session);
    struct ca_runtime_info runtime = {0};
    const char *noun = "task";
    if (ca_session_runtime_count(session) == 1 && ca_session_runtime(session, 0, &runtime) &&
        runtime.task_noun)
        noun = runtime.task_noun;
    if (!count)
        return ca_error_create(CA_ERROR_NOT_FOUND, "there is no %s %s: none was found at all", noun,
                               id);
    char first[48], last[48];
    ca_session_task_id(session, 0, first);
    ca_session_task_id(session, count - 1, last);
    return ca_error_create(CA_ERROR_NOT_FOUND,
                           "there is no %s %s among the %zu, whose ids go from %s to %s; "
                           "`tasks` lists them",
                           noun, id, count, first, last);
}

static struct ca_error *find_task(struct ca_output *output)
{
    const char *id = output->request->argument;
    if (!id || !id[0])
        return ca_error_create(CA_ERROR_INVALID, "%s needs an id: `tasks` lists them",
                               output->request->command);
    struct ca_error *error = ca_session_find_task(output->session, id, &output->task);
    if (!error || error->code != CA_ERROR_NOT_FOUND)
        return error;
    ca_error_destroy(error);
    return no_such_task(output->session, id);
}

static struct ca_error *choose(struct ca_output *output, const struct writer *writer)
{
    const struct ca_request *request = output->request;
    int64_t limit = request->json ? 0 : writer->text_limit;
    switch (writer->picks) {
    case PICKS_TASKS:
        return ca_selection_tasks(output->session, request, limit, &output->chosen);
    case PICKS_GROUPS:
        return ca_selection_groups(output->session, request,
                                   request->json ? writer->json_verdicts : writer->text_verdicts,
                                   limit, &output->chosen);
    case PICKS_ONE:
        return find_task(output);
    default:
        return NULL;
    }
}

static int status_of(const struct ca_output *output)
{
    if (output->request->command && strcmp(output->request->command, "leaks") != 0)
        return 0;
    return output->summary.tasks[CA_SHOWN_LEAKED] ||
           (output->request->fail_on_suspect && output->summary.tasks[CA_SHOWN_SUSPECT]);
}

static struct ca_error *write_all(struct ca_output *output, int *status)
{
    const struct writer *writer = find_writer(output->request);
    if (!writer)
        return ca_error_create(CA_ERROR_INVALID,
                               "there is no command \"%.40s\" that writes a document; there are "
                               "leaks, tasks, task, explain and info",
                               output->request->command);
    struct ca_error *error = choose(output, writer);
    if (!error)
        error = ca_summary_make(output->session, &output->summary);
    if (!error)
        error = output->request->json ? writer->json(output) : writer->text(output);
    if (error)
        return error;
    ca_sink_flush(&output->sink);
    *status = status_of(output);
    return NULL;
}

struct ca_error *ca_output_write(struct ca_session *session, const struct ca_request *request,
                                 ca_sink_fn *sink, void *arg, int *status)
{
    *status = 0;
    struct ca_output *output = calloc(1, sizeof(*output));
    if (!output)
        return &ca_error_nomem;
    output->session = session;
    output->request = request;
    output->sink.fn = sink;
    output->sink.arg = arg;
    struct ca_error *error = write_all(output, status);
    ca_selection_deinit(&output->chosen);
    free(output);
    return error;
}
