/* Memory that is given back all at once: a description, its types and its bound paths. */
#ifndef CA_DESCRIBED_ARENA_H
#define CA_DESCRIBED_ARENA_H

#include <stddef.h>

struct ca_arena_chunk;

struct ca_arena {
    struct ca_arena_chunk *chunks;
    size_t used, size; /* of the newest chunk */
};

void ca_arena_deinit(struct ca_arena *arena);

/* Zeroed, aligned for anything; NULL: no memory. */
void *ca_arena_alloc(struct ca_arena *arena, size_t size);

/* A NUL-terminated copy. */
char *ca_arena_text(struct ca_arena *arena, const char *text, size_t size);

/* Formatted text; NULL: no memory. */
char *ca_arena_printf(struct ca_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
