#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ca_error ca_error_nomem = {.code = CA_ERROR_NOMEM, .message = (char *)"out of memory"};

static struct ca_error *create(enum ca_error_code code, const char *format, va_list args)
{
    struct ca_error *error = calloc(1, sizeof(*error));
    if (!error)
        return &ca_error_nomem;
    error->code = code;
    if (vasprintf(&error->message, format, args) < 0) {
        free(error);
        return &ca_error_nomem;
    }
    return error;
}

struct ca_error *ca_error_create(enum ca_error_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct ca_error *error = create(code, format, args);
    va_end(args);
    return error;
}

struct ca_error *ca_error_at(enum ca_error_code code, uint64_t address, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct ca_error *error = create(code, format, args);
    va_end(args);
    if (error != &ca_error_nomem) {
        error->has_address = true;
        error->address = address;
    }
    return error;
}

struct ca_error *ca_error_prefix(struct ca_error *error, const char *format, ...)
{
    if (!error || error == &ca_error_nomem)
        return error;
    va_list args;
    va_start(args, format);
    char *words = NULL, *joined = NULL;
    int got = vasprintf(&words, format, args);
    va_end(args);
    if (got < 0)
        return error;
    if (asprintf(&joined, "%s: %s", words, error->message) >= 0) {
        free(error->message);
        error->message = joined;
    }
    free(words);
    return error;
}

void ca_error_destroy(struct ca_error *error)
{
    if (!error || error == &ca_error_nomem)
        return;
    free(error->message);
    free(error);
}
