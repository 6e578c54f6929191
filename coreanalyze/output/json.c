#include "output/json.h"

#include <stdlib.h>

#include "output/counts.h"
#include "output/json_runtime.h"
#include "output/json_task.h"

/* ---- what every document begins with ---- */

static void put_target(struct ca_json *json, const struct ca_session *session)
{
    struct ca_target_info target;
    ca_session_target(session, &target);
    ca_json_key(json, "target");
    ca_json_object(json);
    ca_json_key(json, "kind");
    ca_json_string(json, target.kind);
    ca_json_key(json, "path");
    ca_json_string(json, target.path);
    ca_json_key(json, "pid");
    ca_json_int(json, target.pid);
    ca_json_key(json, "executable");
    ca_json_string(json, target.executable);
    ca_json_key(json, "build_id");
    ca_json_string(json, target.build_id);
    ca_json_key(json, "arch");
    ca_json_string(json, target.arch);
    ca_json_key(json, "signal");
    ca_json_string(json, target.signal);
    ca_json_key(json, "complete");
    ca_json_bool(json, target.complete);
    ca_json_key(json, "stopped_ns");
    ca_json_int(json, target.stopped_ns);
    ca_json_end(json);
}

static void put_runtimes(struct ca_json *json, const struct ca_session *session)
{
    struct ca_runtime_info runtime;
    ca_json_key(json, "runtimes");
    ca_json_array(json);
    for (size_t i = 0; ca_session_runtime(session, i, &runtime); i++)
        ca_json_put_runtime(json, &runtime);
    ca_json_end(json);
}

static void put_gaps(struct ca_json *json, const struct ca_session *session)
{
    struct ca_gap_info gap;
    ca_json_key(json, "gaps");
    ca_json_array(json);
    for (size_t i = 0; ca_session_gap(session, i, &gap); i++) {
        ca_json_break_line(json);
        ca_json_object(json);
        ca_json_key(json, "what");
        ca_json_string(json, gap.what);
        ca_json_key(json, "address");
        ca_json_put_optional_address(json, gap.has_address, gap.address);
        ca_json_key(json, "why");
        ca_json_string(json, gap.why);
        ca_json_end(json);
    }
    ca_json_end(json);
}

static void begin(struct ca_json *json, struct ca_output *output)
{
    ca_json_init(json, &output->sink);
    ca_json_object(json);
    ca_json_key(json, "schema");
    ca_json_string(json, "coreanalyze/1");
    put_target(json, output->session);
    put_runtimes(json, output->session);
    put_gaps(json, output->session);
}

static void end(struct ca_json *json)
{
    ca_json_end(json);
    ca_sink_putc(json->sink, '\n');
}

/* ---- leaks ---- */

static void put_summary(struct ca_json *json, const struct ca_summary *summary)
{
    ca_json_key(json, "summary");
    ca_json_object(json);
    ca_json_key(json, "leaked");
    ca_json_int(json, summary->tasks[CA_SHOWN_LEAKED]);
    ca_json_key(json, "suspect");
    ca_json_int(json, summary->tasks[CA_SHOWN_SUSPECT]);
    ca_json_key(json, "waiting");
    ca_json_int(json, summary->tasks[CA_SHOWN_WAITING]);
    ca_json_key(json, "active");
    ca_json_int(json, summary->tasks[CA_SHOWN_ACTIVE]);
    ca_json_key(json, "system");
    ca_json_int(json, summary->tasks[CA_SHOWN_SYSTEM]);
    /* What would come back: of the leaked ones, as of the others nothing is proved. */
    ca_json_key(json, "retained_bytes");
    ca_json_int(json, summary->retained);
    ca_json_end(json);
}

static void put_evidence(struct ca_json *json, const struct ca_evidence_info *list, size_t count)
{
    ca_json_key(json, "evidence");
    ca_json_array(json);
    for (size_t i = 0; i < count; i++) {
        ca_json_object(json);
        ca_json_key(json, "kind");
        ca_json_string(json, list[i].kind);
        ca_json_key(json, "address");
        ca_json_put_optional_address(json, list[i].has_address, list[i].address);
        ca_json_key(json, "task");
        ca_json_put_id(json, list[i].task);
        ca_json_key(json, "text");
        ca_json_string(json, list[i].text);
        ca_json_end(json);
    }
    ca_json_end(json);
}

static void put_ids(struct ca_json *json, struct ca_session *session, const size_t *tasks,
                    size_t count)
{
    char id[48];
    ca_json_array(json);
    for (size_t i = 0; i < count; i++) {
        ca_session_task_id(session, tasks[i], id);
        ca_json_string(json, id);
    }
    ca_json_end(json);
}

static void put_group_head(struct ca_json *json, const struct ca_group_info *group)
{
    ca_json_key(json, "verdict");
    ca_json_string(json, group->verdict);
    ca_json_key(json, "rule");
    ca_json_string(json, group->rule);
    ca_json_key(json, "proof");
    ca_json_string(json, group->proof);
    ca_json_key(json, "pattern");
    ca_json_string(json, group->pattern);
    ca_json_key(json, "confidence");
    ca_json_string(json, group->confidence);
    ca_json_key(json, "count");
    ca_json_int(json, (int64_t)group->count);
    ca_json_key(json, "reason");
    ca_json_string(json, group->reason);
    ca_json_key(json, "site");
    ca_json_put_site(json, group->site.function, group->site.file, group->site.line);
    ca_json_key(json, "created");
    ca_json_put_created(json, &group->created, group->created_by, group->known_from);
}

static struct ca_error *put_group(struct ca_json *json, struct ca_session *session, size_t index)
{
    struct ca_group_info group;
    struct ca_task_info member;
    if (!ca_session_group(session, index, &group) || !group.count)
        return NULL;
    struct ca_error *error = ca_session_task(session, group.members[0], &member);
    if (error)
        return error;
    ca_json_break_line(json);
    ca_json_object(json);
    put_group_head(json, &group);
    ca_json_key(json, "frames");
    ca_json_put_frames(json, member.frames, member.frame_count);
    ca_json_key(json, "ids");
    put_ids(json, session, group.members, group.count);
    ca_json_key(json, "waiting_for");
    ca_json_put_waiting_for(json, &member.waiting_for);
    put_evidence(json, group.evidence, group.evidence_count);
    ca_json_key(json, "retained");
    ca_json_object(json);
    ca_json_key(json, "stack_bytes");
    ca_json_int(json, group.stack_bytes);
    ca_json_key(json, "heap_bytes");
    ca_json_int(json, group.heap_bytes);
    ca_json_end(json);
    ca_json_key(json, "oldest_ns");
    ca_json_int(json, group.oldest_ns);
    ca_json_key(json, "advice");
    ca_json_string(json, group.advice);
    ca_json_end(json);
    return NULL;
}

struct ca_error *ca_json_leaks(struct ca_output *output)
{
    struct ca_json json;
    struct ca_error *error = NULL;
    begin(&json, output);
    put_summary(&json, &output->summary);
    ca_json_key(&json, "groups");
    ca_json_array(&json);
    for (size_t i = 0; !error && i < output->chosen.shown && !output->sink.stopped; i++)
        error = put_group(&json, output->session, ca_selection_at(&output->chosen, i));
    ca_json_end(&json);
    end(&json);
    return error;
}

/* ---- tasks, task, explain ---- */

struct ca_error *ca_json_tasks(struct ca_output *output)
{
    struct ca_json json;
    struct ca_task_info task;
    struct ca_error *error = NULL;
    begin(&json, output);
    ca_json_key(&json, "tasks");
    ca_json_array(&json);
    for (size_t i = 0; i < output->chosen.shown && !output->sink.stopped; i++) {
        error = ca_session_task(output->session, ca_selection_at(&output->chosen, i), &task);
        if (error)
            break;
        ca_json_break_line(&json);
        ca_json_put_task(&json, &task);
    }
    ca_json_end(&json);
    end(&json);
    return error;
}

static struct ca_error *put_locals(struct ca_json *json, struct ca_session *session, size_t task,
                                   size_t frames)
{
    ca_json_key(json, "locals");
    ca_json_array(json);
    for (size_t f = 0; f < frames; f++) {
        const struct ca_local_info *locals = NULL;
        size_t count = 0;
        struct ca_error *error = ca_session_locals(session, task, f, &locals, &count);
        if (error == &ca_error_nomem)
            return error;
        ca_json_break_line(json);
        ca_json_object(json);
        ca_json_key(json, "frame");
        ca_json_int(json, (int64_t)f);
        ca_json_key(json, "why");
        ca_json_string(json, error ? error->message : NULL);
        ca_json_key(json, "variables");
        ca_json_array(json);
        for (size_t i = 0; !error && i < count; i++) {
            ca_json_object(json);
            ca_json_key(json, "name");
            ca_json_string(json, locals[i].name);
            ca_json_key(json, "type");
            ca_json_string(json, locals[i].type);
            ca_json_key(json, "value");
            ca_json_string(json, locals[i].value);
            ca_json_key(json, "why");
            ca_json_string(json, locals[i].why);
            ca_json_key(json, "argument");
            ca_json_bool(json, locals[i].argument);
            ca_json_end(json);
        }
        ca_json_end(json);
        ca_json_end(json);
        ca_error_destroy(error);
    }
    ca_json_end(json);
    return NULL;
}

struct ca_error *ca_json_task(struct ca_output *output)
{
    struct ca_json json;
    struct ca_task_info task;
    const size_t *others;
    size_t count;
    struct ca_error *error = ca_session_task(output->session, output->task, &task);
    if (error)
        return error;
    begin(&json, output);
    ca_json_key(&json, "task");
    size_t frames = task.frame_count;
    ca_json_put_task(&json, &task);
    error = ca_session_others(output->session, output->task, &others, &count);
    if (error)
        return error;
    ca_json_key(&json, "others");
    put_ids(&json, output->session, others, count);
    if (output->request->locals)
        error = put_locals(&json, output->session, output->task, frames);
    end(&json);
    return error;
}

static void put_path(struct ca_json *json, const struct ca_path_info *path, size_t count)
{
    ca_json_key(json, "path");
    ca_json_array(json);
    for (size_t i = 0; i < count; i++) {
        ca_json_object(json);
        ca_json_key(json, "kind");
        ca_json_string(json, path[i].kind);
        ca_json_key(json, "address");
        ca_json_put_optional_address(json, path[i].address != 0, path[i].address);
        ca_json_key(json, "name");
        ca_json_string(json, path[i].name);
        ca_json_key(json, "type");
        ca_json_string(json, path[i].type);
        ca_json_key(json, "offset");
        ca_json_int(json, path[i].offset);
        ca_json_key(json, "function");
        ca_json_string(json, path[i].function);
        ca_json_key(json, "line");
        ca_json_int(json, path[i].line > 0 ? path[i].line : CA_UNKNOWN);
        ca_json_end(json);
    }
    ca_json_end(json);
}

struct ca_error *ca_json_explain(struct ca_output *output)
{
    struct ca_json json;
    struct ca_task_info task;
    struct ca_explanation why;
    struct ca_error *error = ca_session_explain(output->session, output->task, &why);
    if (!error)
        error = ca_session_task(output->session, output->task, &task);
    if (error)
        return error;
    begin(&json, output);
    ca_json_key(&json, "task");
    ca_json_put_task(&json, &task);
    ca_json_key(&json, "verdict");
    ca_json_string(&json, task.verdict);
    ca_json_key(&json, "proof");
    ca_json_string(&json, task.proof);
    put_evidence(&json, why.evidence, why.evidence_count);
    put_path(&json, why.path, why.path_count);
    end(&json);
    return NULL;
}

/* ---- describe ---- */

struct ca_error *ca_json_describe(struct ca_output *output)
{
    struct ca_json json;
    struct ca_check_info check;
    begin(&json, output);
    ca_json_key(&json, "lines");
    ca_json_array(&json);
    for (size_t i = 0; ca_session_check(output->session, i, &check); i++) {
        ca_json_break_line(&json);
        ca_json_object(&json);
        ca_json_key(&json, "line");
        ca_json_int(&json, check.line);
        ca_json_key(&json, "key");
        ca_json_string(&json, check.key);
        ca_json_key(&json, "ok");
        ca_json_bool(&json, check.ok);
        ca_json_key(&json, "found");
        ca_json_string(&json, check.found);
        ca_json_key(&json, "why");
        ca_json_string(&json, check.why);
        ca_json_end(&json);
    }
    ca_json_end(&json);
    end(&json);
    return NULL;
}

/* ---- info ---- */

static void put_threads(struct ca_json *json, const struct ca_session *session)
{
    struct ca_thread_info thread;
    ca_json_key(json, "threads");
    ca_json_array(json);
    for (size_t i = 0; ca_session_thread(session, i, &thread); i++) {
        char name[sizeof(thread.name) + 1] = "";
        memcpy(name, thread.name, sizeof(thread.name));
        ca_json_break_line(json);
        ca_json_object(json);
        ca_json_key(json, "tid");
        ca_json_int(json, thread.tid);
        ca_json_key(json, "name");
        ca_json_put_id(json, name);
        ca_json_key(json, "task");
        ca_json_put_id(json, thread.task);
        ca_json_key(json, "pc");
        ca_json_put_optional_address(json, thread.pc != 0, thread.pc);
        ca_json_key(json, "signal");
        ca_json_int(json, thread.signal > 0 ? thread.signal : CA_UNKNOWN);
        ca_json_end(json);
    }
    ca_json_end(json);
}

static void put_counts(struct ca_json *json, const struct ca_counts *counts)
{
    ca_json_object(json);
    for (size_t i = 0; i < counts->len; i++) {
        bool seen = false;
        for (size_t j = 0; !seen && j < i; j++)
            seen = ca_json_same_key(counts->list[i].word, counts->list[j].word);
        if (seen)
            continue;
        ca_json_key_text(json, counts->list[i].word);
        ca_json_int(json, counts->list[i].count);
    }
    ca_json_end(json);
}

struct ca_error *ca_json_info(struct ca_output *output)
{
    struct ca_json json;
    struct ca_counts states, reasons;
    struct ca_memory_info memory;
    struct ca_error *error = ca_counts_make(output->session, &states, &reasons);
    if (error)
        return error;
    ca_session_memory(output->session, &memory);
    begin(&json, output);
    put_threads(&json, output->session);
    ca_json_key(&json, "counts");
    ca_json_object(&json);
    ca_json_key(&json, "states");
    put_counts(&json, &states);
    ca_json_key(&json, "reasons");
    put_counts(&json, &reasons);
    ca_json_end(&json);
    ca_json_key(&json, "memory");
    ca_json_object(&json);
    ca_json_key(&json, "heap_in_use");
    ca_json_int(&json, memory.heap_in_use);
    ca_json_key(&json, "stacks_in_use");
    ca_json_int(&json, memory.stacks_in_use);
    ca_json_key(&json, "last_gc_ns");
    ca_json_int(&json, memory.last_gc_ns);
    ca_json_end(&json);
    ca_json_key(&json, "procs");
    ca_json_int(&json, memory.procs);
    ca_json_key(&json, "cpus");
    ca_json_int(&json, memory.cpus);
    end(&json);
    return NULL;
}
