/* A small number (0 to 3) for each of many addresses that lie close together, as objects of a heap
 * do: two bits for every eighth byte of the pages in use, where a hash table would take 34 bytes.
 * Addresses are rounded down to a multiple of 8.
 */
#ifndef CA_BASE_MARKS_H
#define CA_BASE_MARKS_H

#include "base/map.h"
#include "base/vec.h"

enum { CA_MARKS_PAGE = 65536, CA_MARKS_WORDS = CA_MARKS_PAGE / 8 * 2 / 64 };

struct ca_marks_page {
    uint64_t words[CA_MARKS_WORDS];
};

struct ca_marks {
    struct ca_map index; /* page number -> place in pages + 1 */
    CA_VEC(struct ca_marks_page) pages;
    uint64_t last_number; /* the page used last */
    size_t last;          /* its place + 1; 0: none yet */
};

void ca_marks_deinit(struct ca_marks *marks);

/* 0 where nothing was set. */
unsigned ca_marks_get(struct ca_marks *marks, uint64_t address);

/* Sets value (1 to 3) where there was none; *fresh: there was none. false: no memory. */
bool ca_marks_put(struct ca_marks *marks, uint64_t address, unsigned value, bool *fresh);

#endif
