/* Growable arrays of any type: CA_VEC(struct thing) things = {0}; elements are moved by growth, so
 * keep indexes, not pointers, across a push.
 */
#ifndef CA_BASE_VEC_H
#define CA_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define CA_VEC(type)                                                                               \
    struct {                                                                                       \
        type *data;                                                                                \
        size_t len, cap;                                                                           \
    }

/* Room for more elements behind len; false when out of memory (the array stays as it was). */
#define ca_vec_reserve(vec, more)                                                                  \
    ca_vec_grow_((void **)&(vec)->data, &(vec)->cap, (vec)->len, (more), sizeof(*(vec)->data))

/* Appends one element; false when out of memory. */
#define ca_vec_push(vec, ...)                                                                      \
    (ca_vec_reserve(vec, 1) ? ((vec)->data[(vec)->len++] = (__VA_ARGS__), true) : false)

#define ca_vec_deinit(vec)                                                                         \
    do {                                                                                           \
        free((vec)->data);                                                                         \
        (vec)->data = NULL;                                                                        \
        (vec)->len = (vec)->cap = 0;                                                               \
    } while (0)

bool ca_vec_grow_(void **data, size_t *cap, size_t len, size_t more, size_t size);

#endif
