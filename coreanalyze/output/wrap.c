#include "output/wrap.h"

#include <string.h>

enum { LABEL = 15 };

/* Columns that a byte adds: none behind the first of a character. */
static int columns(const char *at, bool *escape)
{
    if (*at == '\033')
        *escape = true;
    if (*escape) {
        *escape = *at != 'm';
        return 0;
    }
    return ((unsigned char)*at & 0xc0) != 0x80;
}

static size_t indent_of(const char *line, size_t size)
{
    if (size > LABEL + 1 && line[0] == ' ' && line[LABEL - 1] == ' ')
        return line[LABEL] == '-' ? LABEL + (line[LABEL + 1] == '>' ? 3 : 2) : LABEL;
    return line[0] == ' ' ? 4 : 2;
}

/* Bytes of the line that fit, from `from` on: up to the last space there, or the first behind. */
static size_t fitting(const char *line, size_t size, size_t from, int room)
{
    size_t space = 0;
    bool escape = false;
    for (size_t i = 0; i < size; i++) {
        room -= columns(line + i, &escape);
        if (room < 0 && space)
            return space;
        if (line[i] == ' ' && i > from && (i + 1 == size || line[i + 1] != ' '))
            space = i;
    }
    return room < 0 && space ? space : size;
}

static void put(struct ca_sink *sink, const char *line, size_t size, int width)
{
    size_t indent = indent_of(line, size), from = indent;
    if (size > 6 && !memcmp(line, "Next: ", 6)) {
        ca_sink_add(sink, line, size);
        return;
    }
    for (int room = width;; room = width - (int)indent, from = 0) {
        size_t fits = fitting(line, size, from, room), end = fits;
        while (end && fits < size && line[end - 1] == ' ')
            end--;
        ca_sink_add(sink, line, end);
        line += fits;
        size -= fits;
        while (size && *line == ' ') {
            line++;
            size--;
        }
        if (!size)
            return;
        ca_sink_putc(sink, '\n');
        for (size_t i = 0; i < indent; i++)
            ca_sink_putc(sink, ' ');
    }
}

void ca_wrap(struct ca_sink *sink, const char *text, size_t size, int width)
{
    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t line = end ? (size_t)(end - text) : size;
        if (line <= (size_t)width || width < LABEL * 2)
            ca_sink_add(sink, text, line);
        else
            put(sink, text, line, width);
        if (end)
            ca_sink_putc(sink, '\n');
        text += line + (end != NULL);
        size -= line + (end != NULL);
    }
}
