#include "base/buf.h"

#include <inttypes.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ca_buf_deinit(struct ca_buf *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

static bool room(struct ca_buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (buf->cap - buf->len > more)
        return true;
    size_t cap = buf->cap * 2 > buf->len + more + 1 ? buf->cap * 2 : buf->len + more + 64;
    char *moved = realloc(buf->data, cap);
    if (!moved) {
        buf->failed = true;
        return false;
    }
    buf->data = moved;
    buf->cap = cap;
    return true;
}

void ca_buf_add(struct ca_buf *buf, const char *text, size_t size)
{
    if (!room(buf, size))
        return;
    memcpy(buf->data + buf->len, text, size);
    buf->len += size;
    buf->data[buf->len] = 0;
}

void ca_buf_puts(struct ca_buf *buf, const char *text)
{
    ca_buf_add(buf, text, strlen(text));
}

void ca_buf_putc(struct ca_buf *buf, char c)
{
    ca_buf_add(buf, &c, 1);
}

void ca_buf_printf(struct ca_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (size >= 0 && (size_t)size < sizeof(small)) {
        ca_buf_add(buf, small, (size_t)size);
    } else if (size >= 0 && room(buf, (size_t)size)) {
        vsnprintf(buf->data + buf->len, (size_t)size + 1, format, again);
        buf->len += (size_t)size;
    }
    va_end(again);
}

void ca_buf_number(struct ca_buf *buf, int64_t n)
{
    char digits[32];
    int size = snprintf(digits, sizeof(digits), "%" PRIu64, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
    if (n < 0)
        ca_buf_putc(buf, '-');
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            ca_buf_putc(buf, ',');
        ca_buf_putc(buf, digits[i]);
    }
}
