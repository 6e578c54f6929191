#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/large.h"

void ca_map_deinit(struct ca_map *map)
{
    free(map->slots);
    free(map->used);
    memset(map, 0, sizeof(*map));
}

static size_t find(const struct ca_map *map, uint64_t key)
{
    size_t mask = map->cap - 1;
    size_t i = ca_hash_u64(key) & mask;
    while (map->used[i] && map->slots[i].key != key)
        i = (i + 1) & mask;
    return i;
}

uint64_t *ca_map_get(const struct ca_map *map, uint64_t key)
{
    if (!map->cap)
        return NULL;
    size_t i = find(map, key);
    return map->used[i] ? &map->slots[i].value : NULL;
}

static bool grow_to(struct ca_map *map, size_t cap)
{
    struct ca_map bigger = {.len = map->len, .cap = cap};
    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    bigger.used = calloc(bigger.cap, 1);
    if (!bigger.slots || !bigger.used) {
        free(bigger.slots);
        free(bigger.used);
        return false;
    }
    ca_large_expect(bigger.slots, bigger.cap * sizeof(*bigger.slots));
    for (size_t i = 0; i < map->cap; i++) {
        if (!map->used[i])
            continue;
        size_t at = find(&bigger, map->slots[i].key);
        bigger.used[at] = 1;
        bigger.slots[at] = map->slots[i];
    }
    ca_map_deinit(map);
    *map = bigger;
    return true;
}

void ca_map_expect(struct ca_map *map, size_t count)
{
    size_t cap = map->cap ? map->cap : 16;
    while (cap / 2 <= count && cap <= SIZE_MAX / 4)
        cap *= 2;
    if (cap > map->cap)
        (void)grow_to(map, cap);
}

uint64_t *ca_map_put(struct ca_map *map, uint64_t key, bool *fresh)
{
    if (map->len * 2 >= map->cap && !grow_to(map, map->cap ? map->cap * 2 : 16))
        return NULL;
    size_t i = find(map, key);
    if (fresh)
        *fresh = !map->used[i];
    if (!map->used[i]) {
        map->used[i] = 1;
        map->slots[i] = (struct ca_map_slot){.key = key};
        map->len++;
    }
    return &map->slots[i].value;
}

uint64_t ca_hash_bytes(const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t hash = 0xcbf29ce484222325ull ^ size;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = ca_hash_u64(hash ^ word);
    }
    for (; size; size--, at++)
        hash = (hash ^ *at) * 0x100000001b3ull;
    return ca_hash_u64(hash);
}
