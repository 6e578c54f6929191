#include "base/vec.h"

#include <stdint.h>

#include "base/large.h"

bool ca_vec_grow_(void **data, size_t *cap, size_t len, size_t more, size_t size)
{
    if (more <= *cap - len)
        return true;
    size_t want;
    if (__builtin_add_overflow(len, more, &want))
        return false;
    size_t grown = *cap + *cap / 2;
    if (grown < want)
        grown = want;
    if (grown < 8)
        grown = 8;
    size_t bytes;
    if (__builtin_mul_overflow(grown, size, &bytes))
        return false;
    void *moved =
        bytes < CA_LARGE_LEAST ? realloc(*data, bytes) : ca_large_grow(*data, len * size, bytes);
    if (!moved)
        return false;
    *data = moved;
    *cap = grown;
    return true;
}
