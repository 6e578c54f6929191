/* UTF-8 in text that a target wrote: nothing may be taken on trust. */
#ifndef CA_OUTPUT_UTF8_H
#define CA_OUTPUT_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character at text (2 to 4; 1 below 0x80), 0 when it is none: overlong,
 * a surrogate, above U+10FFFF, or cut short. text ends in NUL and is not read behind it. */
size_t ca_utf8_size(const unsigned char *text);

#endif
