/* One line a task. Columns are as wide as what is in them; a long list is written in pieces, in
 * which columns only grow, so that memory does not. */
#include <limits.h>

#include "output/blocks.h"
#include "output/text.h"

/* The two places are kept as function and file, and cut to what is left when they are written. */
enum { ID, STATE, REASON, AGE, SITE, SITE_FILE, CREATED, CREATED_FILE, CELLS };
enum { PIECE = 1000, GAP = 2, PLACE_LEAST = 16, REASON_MOST = 28 };

static const char *const titles[CELLS] = {"ID",       "STATE", "REASON",     "AGE",
                                          "WAITS AT", NULL,    "CREATED AT", NULL};

struct table {
    CA_VEC(struct { char *cell[CELLS]; }) rows;
    int widths[CELLS];
    int site, created; /* columns that the places get */
    bool headed;
};

static void drop_rows(struct table *table)
{
    for (size_t i = 0; i < table->rows.len; i++)
        for (int c = 0; c < CELLS; c++)
            free(table->rows.data[i].cell[c]);
    table->rows.len = 0;
}

/* "api.(*Client).fetch  client.go:88": the folder is for `task`. */
static void place(struct ca_buf cells[2], const char *function, const char *file, int64_t line)
{
    static const struct ca_paths none;
    const char *slash = file ? strrchr(file, '/') : NULL;
    if (function || !file)
        ca_words_function(&cells[0], function, INT_MAX);
    ca_words_place(&cells[!function && file ? 0 : 1], &none, slash ? slash + 1 : file, line);
}

static void fill(struct ca_buf cells[CELLS], const struct ca_task_info *task)
{
    const struct ca_frame_info *frame = ca_words_site(task);
    struct ca_buf reason = {0};
    ca_words_clean(&cells[ID], task->id);
    ca_words_clean(&cells[STATE], task->state ? task->state : "-");
    ca_words_clean(&reason, task->reason ? task->reason : "-");
    ca_words_cut(&cells[REASON], reason.data ? reason.data : "-", REASON_MOST);
    cells[REASON].failed |= reason.failed;
    ca_buf_deinit(&reason);
    if (task->since_ns != CA_UNKNOWN && task->since_ns >= 0)
        ca_words_age(&cells[AGE], task->since_ns);
    if (frame)
        place(&cells[SITE], frame->function, frame->file, frame->line);
    if (task->created.function || task->created.file)
        place(&cells[CREATED], task->created.function, task->created.file, task->created.line);
}

/* Columns on the screen: characters, not bytes. */
static int columns(const char *text)
{
    int count = 0;
    for (; text && *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static int place_width(char *const *cell)
{
    int file = columns(cell[1]);
    return columns(cell[0]) + (file ? 1 + file : 0);
}

static void at_least(int *width, int wanted)
{
    if (wanted > *width)
        *width = wanted;
}

static struct ca_error *add(struct table *table, const struct ca_task_info *task)
{
    struct ca_buf cells[CELLS] = {{0}};
    struct ca_error *error = NULL;
    fill(cells, task);
    if (!ca_vec_reserve(&table->rows, 1))
        error = &ca_error_nomem;
    for (int c = 0; c < CELLS; c++)
        if (cells[c].failed)
            error = &ca_error_nomem;
    for (int c = 0; c < CELLS; c++) {
        if (error)
            ca_buf_deinit(&cells[c]);
        else
            table->rows.data[table->rows.len].cell[c] = cells[c].data;
    }
    table->rows.len += !error;
    return error;
}

/* Widths for the rows at hand. Each place gets what it needs where there is room, else half. */
static void measure(struct table *table, int width)
{
    int room = width - GAP;
    for (size_t i = 0; i < table->rows.len; i++) {
        char *const *cell = table->rows.data[i].cell;
        for (int c = 0; c < SITE; c++)
            at_least(&table->widths[c], columns(cell[c]));
        at_least(&table->widths[SITE], place_width(cell + SITE));
        at_least(&table->widths[CREATED], place_width(cell + CREATED));
    }
    for (int c = 0; c < SITE; c++)
        room -= table->widths[c] + GAP;
    if (room < 2 * PLACE_LEAST)
        room = 2 * PLACE_LEAST;
    table->site = table->widths[SITE];
    table->created = table->widths[CREATED];
    if (table->site + table->created > room) {
        if (table->site > room / 2)
            table->site = table->created < room / 2 ? room - table->created : room / 2;
        table->created = room - table->site;
    }
}

/* The function loses its middle; of a file that alone is too long, the end is what says most. */
static void write_place(struct ca_buf *buf, char *const *cell, int room)
{
    int file = columns(cell[1]), left = room - (file ? file + 1 : 0);
    const char *name = cell[1];
    if (place_width(cell) <= room)
        left = INT_MAX;
    if (left >= 6)
        ca_words_cut(buf, cell[0] ? cell[0] : "", left);
    if (!file)
        return;
    if (left >= 6)
        ca_buf_putc(buf, ' ');
    for (; file > room; name++)
        file -= ((unsigned char)*name & 0xc0) != 0x80;
    while (((unsigned char)*name & 0xc0) == 0x80)
        name++;
    ca_buf_puts(buf, name);
}

static void pad(struct ca_buf *buf, size_t start, int width)
{
    int used = columns(buf->data ? buf->data + start : NULL);
    if (used < width)
        ca_buf_printf(buf, "%*s", width - used, "");
}

static void write_row(struct ca_buf *buf, const struct table *table, char *const *cell)
{
    size_t start;
    ca_buf_printf(buf, "%*s%s", table->widths[ID] - columns(cell[ID]), "", cell[ID]);
    for (int c = STATE; c < SITE; c++) {
        ca_buf_printf(buf, "%*s", GAP, "");
        start = buf->len;
        ca_buf_puts(buf, cell[c] ? cell[c] : "");
        pad(buf, start, table->widths[c]);
    }
    ca_buf_printf(buf, "%*s", GAP, "");
    start = buf->len;
    write_place(buf, cell + SITE, table->site);
    pad(buf, start, table->site);
    ca_buf_printf(buf, "%*s", GAP, "");
    write_place(buf, cell + CREATED, table->created);
    while (buf->len && !buf->failed && buf->data[buf->len - 1] == ' ')
        buf->data[--buf->len] = 0;
    ca_buf_putc(buf, '\n');
}

static void write_piece(struct ca_buf *buf, struct table *table, int width)
{
    measure(table, width);
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

struct ca_error *ca_text_tasks(struct ca_output *output)
{
    struct table table = {0};
    struct ca_buf buf = {0};
    struct ca_error *error = NULL;
    struct ca_task_info task;
    int width = ca_words_width(output->request);
    for (int c = 0; c < CELLS; c++)
        table.widths[c] = columns(titles[c]);
    for (size_t i = 0; !error && i < output->chosen.shown && !output->sink.stopped; i++) {
        error = ca_session_task(output->session, ca_selection_at(&output->chosen, i), &task);
        if (!error)
            error = add(&table, &task);
        if (!error && table.rows.len == PIECE) {
            write_piece(&buf, &table, width);
            error = ca_words_out(&buf, output);
        }
    }
    if (!error && table.rows.len)
        write_piece(&buf, &table, width);
    rest(&buf, output);
    ca_words_gaps(&buf, output->session, output->request->full);
    if (!error)
        error = ca_words_out(&buf, output);
    drop_rows(&table);
    ca_vec_deinit(&table.rows);
    ca_buf_deinit(&buf);
    return error;
}
