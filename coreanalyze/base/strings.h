/* A table of interned strings: equal text is one pointer, valid as long as the table. */
#ifndef CA_BASE_STRINGS_H
#define CA_BASE_STRINGS_H

#include <stddef.h>
#include <stdint.h>

struct ca_strings_chunk;

struct ca_strings {
    const char **slots;
    size_t len, cap;
    struct ca_strings_chunk *chunks;
};

void ca_strings_deinit(struct ca_strings *strings);

/* The one copy of text (NUL-terminated; a NUL inside text ends it); NULL: no memory. */
const char *ca_strings_intern(struct ca_strings *strings, const char *text, size_t size);
const char *ca_strings_printf(struct ca_strings *strings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
