#include "base/marks.h"

#include <string.h>

void ca_marks_deinit(struct ca_marks *marks)
{
    ca_map_deinit(&marks->index);
    for (size_t i = 0; i < marks->blocks.len; i++)
        free(marks->blocks.data[i]);
    ca_vec_deinit(&marks->blocks);
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

static bool add_block(struct ca_marks *marks)
{
    struct ca_marks_page *block = calloc(CA_MARKS_BLOCK, sizeof(*block));
    if (block && ca_vec_push(&marks->blocks, block))
        return true;
    free(block);
    return false;
}

static size_t add(struct ca_marks *marks, uint64_t number)
{
    if (marks->pages == marks->blocks.len * CA_MARKS_BLOCK && !add_block(marks))
        return 0;
    uint64_t *slot = ca_map_put(&marks->index, number, NULL);
    if (!slot)
        return 0;
    *slot = ++marks->pages;
    marks->last_number = number;
    return marks->last = marks->pages;
}

/* What a byte says of an address: its value, and where in the unit it is. */
static uint8_t *byte_of(struct ca_marks *marks, size_t place, uint64_t address)
{
    struct ca_marks_page *block = marks->blocks.data[(place - 1) / CA_MARKS_BLOCK];
    return &block[(place - 1) % CA_MARKS_BLOCK].bytes[address % CA_MARKS_PAGE / CA_MARKS_UNIT];
}

static uint8_t pack(uint64_t address, unsigned value)
{
    return (uint8_t)(address % CA_MARKS_UNIT << 2 | (value & 3));
}

unsigned ca_marks_get(struct ca_marks *marks, uint64_t address)
{
    size_t place = find(marks, address / CA_MARKS_PAGE);
    uint8_t byte = place ? *byte_of(marks, place, address) : 0;
    return address % 8 == 0 && byte == pack(address, byte) ? byte & 3 : 0;
}

bool ca_marks_put(struct ca_marks *marks, uint64_t address, unsigned value, bool *fresh)
{
    *fresh = false;
    if (address % 8)
        return true;
    size_t place = find(marks, address / CA_MARKS_PAGE);
    if (!place && !(place = add(marks, address / CA_MARKS_PAGE)))
        return false;
    uint8_t *byte = byte_of(marks, place, address);
    *fresh = *byte == 0;
    if (*fresh)
        *byte = pack(address, value);
    return true;
}
