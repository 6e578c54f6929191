/* A hash table from 64-bit keys to 64-bit values (open addressing). Any key is allowed. */
#ifndef CA_BASE_MAP_H
#define CA_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ca_map_slot {
    uint64_t key, value;
};

struct ca_map {
    struct ca_map_slot *slots;
    uint8_t *used;
    size_t len, cap; /* cap is 0 or a power of two */
};

void ca_map_deinit(struct ca_map *map);

/* The value's place, or NULL when the key is not there; valid until the next put. */
uint64_t *ca_map_get(const struct ca_map *map, uint64_t key);

/* The value's place, made with value 0 when new (*fresh tells, may be NULL); NULL: no memory. */
uint64_t *ca_map_put(struct ca_map *map, uint64_t key, bool *fresh);

/* As many keys will be there soon: the table is not grown step by step. No memory is no error. */
void ca_map_expect(struct ca_map *map, size_t count);

/* A good mixing of 64 bits, for tables of one's own. */
static inline uint64_t ca_hash_u64(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    return x ^ (x >> 32);
}

uint64_t ca_hash_bytes(const void *data, size_t size);

#endif
