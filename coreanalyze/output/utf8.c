#include "output/utf8.h"

#include <stdbool.h>

static bool follows(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The first byte decides the size, and the range of the second (Unicode 15, table 3-7). A NUL is
 * in no range, so that the tests from left to right never pass the end. */
size_t ca_utf8_size(const unsigned char *text)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    if (first < 0xe0)
        return 2;
    if (!follows(text[2]))
        return 0;
    if (first < 0xf0)
        return 3;
    return follows(text[3]) ? 4 : 0;
}
