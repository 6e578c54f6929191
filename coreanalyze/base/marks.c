#include "base/marks.h"

#include <string.h>

void ca_marks_deinit(struct ca_marks *marks)
{
    ca_map_deinit(&marks->index);
    ca_vec_deinit(&marks->pages);
    memset(marks, 0, sizeof(*marks));
}

/* The page's place + 1, or 0. */
static size_t find(struct ca_marks *marks, uint64_t number)
{
    if (marks->last && marks->last_number == number)
        return marks->last;
    const uint64_t *slot = ca_map_get(&marks->index, number);
    if (!slot || !*slot)
        return 0;
    marks->last_number = number;
    return marks->last = (size_t)*slot;
}

static size_t add(struct ca_marks *marks, uint64_t number)
{
    if (!ca_vec_reserve(&marks->pages, 1))
        return 0;
    uint64_t *slot = ca_map_put(&marks->index, number, NULL);
    if (!slot)
        return 0;
    memset(&marks->pages.data[marks->pages.len++], 0, sizeof(struct ca_marks_page));
    *slot = marks->pages.len;
    marks->last_number = number;
    return marks->last = marks->pages.len;
}

/* Two bits for each eighth byte: word and shift. */
static unsigned shift_of(uint64_t address)
{
    return (unsigned)(address / 8 % 32) * 2;
}

static size_t word_of(uint64_t address)
{
    return (size_t)(address % CA_MARKS_PAGE / 8 / 32);
}

unsigned ca_marks_get(struct ca_marks *marks, uint64_t address)
{
    size_t place = find(marks, address / CA_MARKS_PAGE);
    if (!place)
        return 0;
    return marks->pages.data[place - 1].words[word_of(address)] >> shift_of(address) & 3;
}

bool ca_marks_put(struct ca_marks *marks, uint64_t address, unsigned value, bool *fresh)
{
    size_t place = find(marks, address / CA_MARKS_PAGE);
    if (!place && !(place = add(marks, address / CA_MARKS_PAGE)))
        return false;
    uint64_t *word = &marks->pages.data[place - 1].words[word_of(address)];
    *fresh = !(*word >> shift_of(address) & 3);
    if (*fresh)
        *word |= (uint64_t)(value & 3) << shift_of(address);
    return true;
}
