/* The `ps` document: a table for a person, or JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "output/json_runtime.h"

/* ---- JSON ---- */

static void put_process(struct ca_json *json, const struct ca_process_info *process)
{
    ca_json_object(json);
    ca_json_key(json, "pid");
    ca_json_int(json, process->pid);
    ca_json_key(json, "program");
    ca_json_string(json, process->program);
    ca_json_key(json, "runtimes");
    ca_json_array(json);
    for (size_t i = 0; i < process->runtime_count; i++)
        ca_json_put_runtime(json, &process->runtimes[i]);
    ca_json_end(json);
    ca_json_key(json, "threads");
    ca_json_int(json, process->threads);
    ca_json_key(json, "readable");
    ca_json_bool(json, process->readable);
    ca_json_key(json, "why");
    ca_json_string(json, process->why);
    ca_json_end(json);
}

/* There is no one target: its keys are there, and empty. */
static void put_document(struct ca_json *json, const struct ca_processes *processes)
{
    struct ca_process_info process;
    ca_json_object(json);
    ca_json_key(json, "schema");
    ca_json_string(json, "coreanalyze/1");
    ca_json_key(json, "target");
    ca_json_null(json);
    ca_json_key(json, "runtimes");
    ca_json_array(json);
    ca_json_end(json);
    ca_json_key(json, "gaps");
    ca_json_array(json);
    ca_json_end(json);
    ca_json_key(json, "processes");
    ca_json_array(json);
    for (size_t i = 0; ca_processes_get(processes, i, &process); i++) {
        ca_json_break_line(json);
        put_process(json, &process);
    }
    ca_json_end(json);
    ca_json_end(json);
}

/* ---- text ---- */

enum { COLUMNS = 6, NAME_MAX_SHOWN = 40 };

struct row {
    char *cells[COLUMNS];
};

static const char *const heads[COLUMNS] = {"PID", "PROGRAM", "RUNTIME", "TASKS", "THREADS", ""};
static const bool right[COLUMNS] = {true, false, false, true, true, false};

/* Bytes that a terminal would obey are shown as \xNN. */
static void add_safely(struct ca_buf *buf, const char *text)
{
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            ca_buf_printf(buf, "\\x%02x", c);
        else
            ca_buf_putc(buf, *text);
    }
}

static void add_number(struct ca_buf *buf, int64_t value)
{
    char digits[32];
    if (value == CA_UNKNOWN || value < 0) {
        ca_buf_puts(buf, "?");
        return;
    }
    int count = snprintf(digits, sizeof(digits), "%" PRId64, value);
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0)
            ca_buf_putc(buf, ',');
        ca_buf_putc(buf, digits[i]);
    }
}

/* "Go 1.22.5": the version without the name that it may begin with. */
static void add_runtime_title(struct ca_buf *buf, const struct ca_runtime_info *runtime)
{
    const char *version = runtime->version;
    size_t name = runtime->name ? strlen(runtime->name) : 0;
    add_safely(buf, runtime->title ? runtime->title : runtime->name);
    if (version && name && !strncmp(version, runtime->name, name))
        version += name;
    if (!version)
        return;
    ca_buf_putc(buf, ' ');
    add_safely(buf, version);
}

static void fill_cell(struct ca_buf *buf, const struct ca_process_info *process, int column)
{
    int64_t tasks = 0;
    switch (column) {
    case 0:
        ca_buf_printf(buf, "%" PRId64, process->pid);
        break;
    case 1:
        add_safely(buf, process->program ? process->program : "?");
        break;
    case 2:
        for (size_t i = 0; i < process->runtime_count; i++) {
            ca_buf_puts(buf, i ? ", " : "");
            add_runtime_title(buf, &process->runtimes[i]);
        }
        ca_buf_puts(buf, !process->runtime_count  ? "?"
                         : process->stripped == 1 ? ", stripped"
                                                  : "");
        break;
    case 3:
        for (size_t i = 0; i < process->runtime_count; i++)
            tasks = process->runtimes[i].tasks == CA_UNKNOWN || tasks < 0
                        ? -1
                        : tasks + process->runtimes[i].tasks;
        add_number(buf, process->runtime_count ? tasks : -1);
        break;
    case 4:
        add_number(buf, process->threads);
        break;
    default:
        ca_buf_puts(buf, process->readable ? "" : "not readable: ");
        add_safely(buf, process->why);
    }
}

static void row_deinit(struct row *row)
{
    for (int column = 0; column < COLUMNS; column++)
        free(row->cells[column]);
}

static bool row_fill(struct row *row, const struct ca_process_info *process)
{
    bool ok = true;
    for (int column = 0; column < COLUMNS; column++) {
        struct ca_buf buf = {0};
        ca_buf_puts(&buf, "");
        fill_cell(&buf, process, column);
        ok = ok && !buf.failed && buf.data;
        row->cells[column] = buf.data;
    }
    return ok;
}

static void put_cell(struct ca_sink *sink, const char *text, size_t width, bool to_right)
{
    size_t size = strlen(text), pad = size < width ? width - size : 0;
    for (size_t i = 0; to_right && i < pad; i++)
        ca_sink_putc(sink, ' ');
    ca_sink_add(sink, text, size);
    for (size_t i = 0; !to_right && i < pad; i++)
        ca_sink_putc(sink, ' ');
}

static void put_row(struct ca_sink *sink, const char *const *cells, const size_t *width)
{
    int last = cells[COLUMNS - 1][0] ? COLUMNS : COLUMNS - 1;
    for (int column = 0; column < last; column++) {
        if (column)
            ca_sink_add(sink, "  ", 2);
        put_cell(sink, cells[column], column == COLUMNS - 1 ? 0 : width[column], right[column]);
    }
    ca_sink_putc(sink, '\n');
}

static void put_table(struct ca_sink *sink, const struct row *rows, size_t count)
{
    size_t width[COLUMNS] = {7}; /* pids of different runs stand below each other */
    for (int column = 0; column < COLUMNS - 1; column++) {
        if (strlen(heads[column]) > width[column])
            width[column] = strlen(heads[column]);
        for (size_t i = 0; i < count; i++) {
            size_t size = strlen(rows[i].cells[column]);
            if (size > width[column])
                width[column] = size < NAME_MAX_SHOWN ? size : NAME_MAX_SHOWN;
        }
    }
    put_row(sink, heads, width);
    for (size_t i = 0; i < count; i++)
        put_row(sink, (const char *const *)rows[i].cells, width);
}

static bool put_text(struct ca_sink *sink, const struct ca_processes *processes)
{
    static const char none[] = "no process with a known runtime\n";
    size_t count = ca_processes_count(processes);
    if (!count) {
        ca_sink_add(sink, none, sizeof(none) - 1);
        return true;
    }
    struct row *rows = calloc(count, sizeof(*rows));
    bool ok = rows != NULL;
    struct ca_process_info process;
    for (size_t i = 0; ok && ca_processes_get(processes, i, &process); i++)
        ok = row_fill(&rows[i], &process);
    if (ok)
        put_table(sink, rows, count);
    for (size_t i = 0; rows && i < count; i++)
        row_deinit(&rows[i]);
    free(rows);
    return ok;
}

struct ca_error *ca_processes_write(const struct ca_processes *processes,
                                    const struct ca_request *request, ca_sink_fn *sink, void *arg)
{
    struct ca_sink *out = calloc(1, sizeof(*out));
    bool ok = out != NULL;
    if (!out)
        return &ca_error_nomem;
    out->fn = sink;
    out->arg = arg;
    if (request->json) {
        struct ca_json json;
        ca_json_init(&json, out);
        put_document(&json, processes);
        ca_sink_putc(out, '\n');
    } else {
        ok = put_text(out, processes);
    }
    ca_sink_flush(out);
    free(out);
    return ok ? NULL : &ca_error_nomem;
}
