/* A string buffer that remembers that it failed, so that a writer checks once, at the end. */
#ifndef CA_BASE_BUF_H
#define CA_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ca_buf {
    char *data; /* NUL-terminated when not NULL */
    size_t len, cap;
    bool failed; /* out of memory: what was added since is missing */
};

void ca_buf_deinit(struct ca_buf *buf);
void ca_buf_add(struct ca_buf *buf, const char *text, size_t size);
void ca_buf_puts(struct ca_buf *buf, const char *text);
void ca_buf_putc(struct ca_buf *buf, char c);
void ca_buf_printf(struct ca_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* 48,213. */
void ca_buf_number(struct ca_buf *buf, int64_t n);

#endif
