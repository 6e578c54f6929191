/* One line a task. Columns are as wide as what is in them; a long list is written in pieces, in
 * which columns only grow, so that memory does not. */
#include <limits.h>

#include "output/blocks.h"
#include "output/text.h"

enum { ID, STATE, REASON, AGE, SITE, CREATED, COLUMNS };
enum { PIECE = 1000, GAP = 2 };

static const char *const titles[COLUMNS] = {"ID",  "STATE",    "REASON",
                                            "AGE", "WAITS AT", "CREATED AT"};

struct table {
    CA_VEC(struct { char *cell[COLUMNS]; }) rows;
    int widths[COLUMNS];
    bool headed;
};

static void drop_rows(struct table *table)
{
    for (size_t i = 0; i < table->rows.len; i++)
        for (int c = 0; c < COLUMNS; c++)
            free(table->rows.data[i].cell[c]);
    table->rows.len = 0;
}

/* "api.(*Client).fetch  client.go:88": the folder is for `task`. */
static void site(struct ca_buf *buf, const char *function, const char *file, int64_t line, int room)
{
    static const struct ca_paths none;
    struct ca_buf where = {0};
    const char *slash = file ? strrchr(file, '/') : NULL;
    ca_words_place(&where, &none, slash ? slash + 1 : file, line);
    ca_words_function(buf, function, room - (int)where.len - 1);
    if (where.len) {
        ca_buf_putc(buf, ' ');
        ca_buf_add(buf, where.data, where.len);
    }
    buf->failed |= where.failed;
    ca_buf_deinit(&where);
}

static void fill(struct ca_buf cells[COLUMNS], const struct ca_task_info *task, int room)
{
    const struct ca_frame_info *frame = ca_words_site(task);
    ca_words_clean(&cells[ID], task->id);
    ca_words_clean(&cells[STATE], task->state ? task->state : "-");
    ca_words_clean(&cells[REASON], task->reason ? task->reason : "-");
    if (task->since_ns != CA_UNKNOWN && task->since_ns >= 0)
        ca_words_age(&cells[AGE], task->since_ns);
    if (frame)
        site(&cells[SITE], frame->function, frame->file, frame->line, room);
    if (task->created.function || task->created.file)
        site(&cells[CREATED], task->created.function, task->created.file, task->created.line, room);
}

static struct ca_error *add(struct table *table, const struct ca_task_info *task, int room)
{
    struct ca_buf cells[COLUMNS] = {{0}};
    struct ca_error *error = NULL;
    fill(cells, task, room);
    if (!ca_vec_reserve(&table->rows, 1))
        error = &ca_error_nomem;
    for (int c = 0; c < COLUMNS; c++) {
        if (cells[c].failed)
            error = &ca_error_nomem;
        if ((int)cells[c].len > table->widths[c])
            table->widths[c] = (int)cells[c].len;
    }
    for (int c = 0; c < COLUMNS; c++) {
        if (error)
            ca_buf_deinit(&cells[c]);
        else
            table->rows.data[table->rows.len].cell[c] = cells[c].data;
    }
    table->rows.len += !error;
    return error;
}

static void write_row(struct ca_buf *buf, const struct table *table, char *const *cell)
{
    int last = COLUMNS - 1;
    while (last > 0 && (!cell[last] || !cell[last][0]))
        last--;
    for (int c = 0; c <= last; c++) {
        const char *text = cell[c] ? cell[c] : "";
        if (c == ID)
            ca_buf_printf(buf, "%*s", table->widths[c], "");
        if (c == ID) {
            buf->len -= strlen(text);
            ca_buf_puts(buf, text);
        } else {
            ca_buf_puts(buf, text);
        }
        if (c < last)
            ca_buf_printf(buf, "%*s", GAP + (c == ID ? 0 : table->widths[c] - (int)strlen(text)),
                          "");
    }
    ca_buf_putc(buf, '\n');
}

static void write_piece(struct ca_buf *buf, struct table *table)
{
    if (!table->headed)
        write_row(buf, table, (char *const *)titles);
    table->headed = true;
    for (size_t i = 0; i < table->rows.len; i++)
        write_row(buf, table, table->rows.data[i].cell);
    drop_rows(table);
}

static void rest(struct ca_buf *buf, const struct ca_output *output)
{
    size_t more = output->chosen.total - output->chosen.shown;
    if (!output->chosen.total)
        ca_buf_puts(buf, "No task to show.\n");
    if (!more)
        return;
    ca_words_number(buf, (int64_t)more);
    ca_buf_puts(buf, " more; --limit 0 shows all, --group groups them\n");
}

/* What the first columns leave to the two places. Ids grow along the list: the last shown one is
 * the widest. */
static struct ca_error *measure(struct ca_output *output, int *room)
{
    int widths[SITE], used = 0;
    size_t shown = output->chosen.shown;
    for (int c = 0; c < SITE; c++)
        widths[c] = (int)strlen(titles[c]);
    for (size_t i = 0; i < shown; i = i + 1 < PIECE || i + 1 >= shown ? i + 1 : shown - 1) {
        struct ca_task_info task;
        struct ca_buf cells[COLUMNS] = {{0}};
        struct ca_error *error =
            ca_session_task(output->session, ca_selection_at(&output->chosen, i), &task);
        if (error)
            return error;
        fill(cells, &task, INT_MAX);
        for (int c = 0; c < COLUMNS; c++) {
            if (c < SITE && (int)cells[c].len > widths[c])
                widths[c] = (int)cells[c].len;
            ca_buf_deinit(&cells[c]);
        }
    }
    for (int c = 0; c < SITE; c++)
        used += widths[c] + GAP;
    *room = (ca_block_width(output->request) - used - GAP) / 2;
    if (*room < 20)
        *room = 20;
    return NULL;
}

struct ca_error *ca_text_tasks(struct ca_output *output)
{
    struct table table = {0};
    struct ca_buf buf = {0};
    struct ca_error *error = NULL;
    struct ca_task_info task;
    int room = 20;
    for (int c = 0; c < COLUMNS; c++)
        table.widths[c] = (int)strlen(titles[c]);
    error = measure(output, &room);
    for (size_t i = 0; !error && i < output->chosen.shown && !output->sink.stopped; i++) {
        error = ca_session_task(output->session, ca_selection_at(&output->chosen, i), &task);
        if (!error)
            error = add(&table, &task, room);
        if (!error && table.rows.len == PIECE) {
            write_piece(&buf, &table);
            error = ca_words_out(&buf, output);
        }
    }
    if (!error && table.rows.len)
        write_piece(&buf, &table);
    rest(&buf, output);
    ca_words_gaps(&buf, output->session, output->request->full);
    if (!error)
        error = ca_words_out(&buf, output);
    drop_rows(&table);
    ca_vec_deinit(&table.rows);
    ca_buf_deinit(&buf);
    return error;
}
