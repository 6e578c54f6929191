/* What every writer puts its text into: a fixed buffer in front of the caller's ca_sink_fn, so that
 * a document of any length takes no memory. Remembers that the sink said stop. */
#ifndef CA_OUTPUT_SINK_H
#define CA_OUTPUT_SINK_H

#include <string.h>

#include "coreanalyze.h"

enum { CA_SINK_SIZE = 64 * 1024 };

struct ca_sink {
    ca_sink_fn *fn;
    void *arg;
    size_t len;
    bool stopped; /* the sink said stop: what comes after is dropped */
    char data[CA_SINK_SIZE];
};

void ca_sink_flush(struct ca_sink *sink);

/* For text that does not fit what is left of the buffer. */
void ca_sink_add_slowly(struct ca_sink *sink, const char *text, size_t size);

static inline void ca_sink_add(struct ca_sink *sink, const char *text, size_t size)
{
    if (size > sizeof(sink->data) - sink->len) {
        ca_sink_add_slowly(sink, text, size);
        return;
    }
    memcpy(sink->data + sink->len, text, size);
    sink->len += size;
}

static inline void ca_sink_putc(struct ca_sink *sink, char c)
{
    if (sink->len == sizeof(sink->data))
        ca_sink_flush(sink);
    sink->data[sink->len++] = c;
}

#endif
