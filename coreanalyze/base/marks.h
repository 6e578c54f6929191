/* A small number (1 to 3) for each of many addresses that lie close together, as objects of a heap
 * do: a byte for every 64 of the pages in use, where a hash table would take 34 for each. What is
 * marked lies in order, so that going through a heap touches little memory at a time.
 *
 * Objects are at least 64 bytes large and begin at a multiple of 8, so that no two begin in the
 * same 64: of two that claim to, the first is kept, the other is none.
 */
#ifndef CA_BASE_MARKS_H
#define CA_BASE_MARKS_H

#include "base/map.h"
#include "base/vec.h"

enum { CA_MARKS_PAGE = 65536, CA_MARKS_UNIT = 64 };

struct ca_marks_page {
    uint8_t bytes[CA_MARKS_PAGE / CA_MARKS_UNIT];
};

/* Pages are allocated so many at a time, and never moved. */
enum { CA_MARKS_BLOCK = 64 };

struct ca_marks {
    struct ca_map index; /* page number -> place + 1, counted through all blocks */
    CA_VEC(struct ca_marks_page *) blocks;
    size_t pages;
    uint64_t last_number; /* the page used last */
    size_t last;          /* its place + 1; 0: none yet */
};

void ca_marks_deinit(struct ca_marks *marks);

/* 0 where nothing was set. */
unsigned ca_marks_get(struct ca_marks *marks, uint64_t address);

/* Sets value (1 to 3) where there was none; *fresh: there was none. false: no memory. */
bool ca_marks_put(struct ca_marks *marks, uint64_t address, unsigned value, bool *fresh);

#endif
