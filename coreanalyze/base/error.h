/* Errors: what a call that can fail returns. NULL is success.
 *
 * Whoever receives an error either passes it on or calls ca_error_destroy. Running out of memory
 * is one static instance, so that reporting it cannot fail.
 */
#ifndef CA_BASE_ERROR_H
#define CA_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ca_error_code {
    CA_ERROR_NOMEM = 1,   /* no memory left in this process */
    CA_ERROR_INVALID,     /* the call itself was wrong */
    CA_ERROR_IO,          /* a file could not be opened or read */
    CA_ERROR_FORMAT,      /* a file is not what it should be */
    CA_ERROR_FAULT,       /* target memory is not there */
    CA_ERROR_NOT_FOUND,   /* a symbol, type, task or runtime is not there */
    CA_ERROR_MISMATCH,    /* executable and core do not belong together */
    CA_ERROR_UNSUPPORTED, /* understood, but not by this build */
    CA_ERROR_PERMISSION,  /* the kernel refused */
    CA_ERROR_BUSY,        /* another tracer holds the target */
    CA_ERROR_CANCELLED,   /* the progress callback said stop */
};

struct ca_error {
    enum ca_error_code code;
    bool has_address;
    uint64_t address; /* in the target; valid with has_address */
    char *message;    /* for a person: what happened, why, what to try; no newline at the end */
};

extern struct ca_error ca_error_nomem; /* static: destroying it does nothing */

/* A new error; falls back to ca_error_nomem. Never returns NULL. */
struct ca_error *ca_error_create(enum ca_error_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/* The same with the target address that it is about. */
struct ca_error *ca_error_at(enum ca_error_code code, uint64_t address, const char *format, ...)
    __attribute__((format(printf, 3, 4), returns_nonnull));

/* Puts words before an error's message ("reading allgs: ..."); returns the same error. */
struct ca_error *ca_error_prefix(struct ca_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* NULL is allowed and does nothing. */
void ca_error_destroy(struct ca_error *error);

#ifdef __cplusplus
}
#endif

#endif
