#include "output/sink.h"

void ca_sink_flush(struct ca_sink *sink)
{
    if (sink->len && !sink->stopped && !sink->fn(sink->arg, sink->data, sink->len))
        sink->stopped = true;
    sink->len = 0;
}

void ca_sink_add_slowly(struct ca_sink *sink, const char *text, size_t size)
{
    while (size) {
        if (sink->len == sizeof(sink->data))
            ca_sink_flush(sink);
        size_t room = sizeof(sink->data) - sink->len;
        size_t part = size < room ? size : room;
        memcpy(sink->data + sink->len, text, part);
        sink->len += part;
        text += part;
        size -= part;
    }
}
