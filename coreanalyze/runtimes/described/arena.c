#include "runtimes/described/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ca_arena_chunk {
    struct ca_arena_chunk *next;
    alignas(16) char data[];
};

enum { CHUNK = 16 * 1024 };

void ca_arena_deinit(struct ca_arena *arena)
{
    while (arena->chunks) {
        struct ca_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
    arena->used = arena->size = 0;
}

void *ca_arena_alloc(struct ca_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!arena->chunks || size > arena->size - arena->used) {
        size_t room = size > CHUNK ? size : CHUNK;
        struct ca_arena_chunk *chunk = calloc(1, sizeof(*chunk) + room);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used = 0;
        arena->size = room;
    }
    void *ret = arena->chunks->data + arena->used;
    arena->used += size;
    return ret;
}

char *ca_arena_text(struct ca_arena *arena, const char *text, size_t size)
{
    char *ret = ca_arena_alloc(arena, size + 1);
    if (ret)
        memcpy(ret, text, size);
    return ret;
}

char *ca_arena_printf(struct ca_arena *arena, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return ca_arena_text(arena, text, strlen(text));
}
