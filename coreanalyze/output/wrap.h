/* Long lines of a text are broken at spaces, so that they fit the screen. */
#ifndef CA_OUTPUT_WRAP_H
#define CA_OUTPUT_WRAP_H

#include "output/sink.h"

/* Writes whole lines. What follows a break is indented below the text of its label. A word that
 * is wider than the screen stays whole, as do lines that are there to be copied. */
void ca_wrap(struct ca_sink *sink, const char *text, size_t size, int width);

#endif
