#include "base/strings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

enum { CHUNK_BYTES = 16384 };

struct ca_strings_chunk {
    struct ca_strings_chunk *next;
    size_t used, size;
    char data[];
};

void ca_strings_deinit(struct ca_strings *strings)
{
    while (strings->chunks) {
        struct ca_strings_chunk *next = strings->chunks->next;
        free(strings->chunks);
        strings->chunks = next;
    }
    free(strings->slots);
    memset(strings, 0, sizeof(*strings));
}

static size_t find(const struct ca_strings *strings, const char *text, size_t size)
{
    size_t mask = strings->cap - 1;
    size_t i = ca_hash_bytes(text, size) & mask;
    while (strings->slots[i] &&
           (strncmp(strings->slots[i], text, size) != 0 || strings->slots[i][size]))
        i = (i + 1) & mask;
    return i;
}

static int grow(struct ca_strings *strings)
{
    struct ca_strings bigger = *strings;
    bigger.cap = strings->cap ? strings->cap * 2 : 64;
    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    if (!bigger.slots)
        return 0;
    for (size_t i = 0; i < strings->cap; i++)
        if (strings->slots[i])
            bigger.slots[find(&bigger, strings->slots[i], strlen(strings->slots[i]))] =
                strings->slots[i];
    free(strings->slots);
    *strings = bigger;
    return 1;
}

static char *carve(struct ca_strings *strings, size_t size)
{
    struct ca_strings_chunk *chunk = strings->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk = malloc(sizeof(*chunk) + room);
        if (!chunk)
            return NULL;
        chunk->next = strings->chunks;
        chunk->used = 0;
        chunk->size = room;
        strings->chunks = chunk;
    }
    char *at = chunk->data + chunk->used;
    chunk->used += size;
    return at;
}

const char *ca_strings_intern(struct ca_strings *strings, const char *text, size_t size)
{
    size = strnlen(text, size);
    if (strings->len * 2 >= strings->cap && !grow(strings))
        return NULL;
    size_t i = find(strings, text, size);
    if (strings->slots[i])
        return strings->slots[i];
    char *copy = carve(strings, size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, size);
    copy[size] = 0;
    strings->slots[i] = copy;
    strings->len++;
    return copy;
}

const char *ca_strings_printf(struct ca_strings *strings, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        return NULL;
    const char *interned = ca_strings_intern(strings, text, (size_t)size);
    free(text);
    return interned;
}
