#include "output/json_writer.h"

#include "output/utf8.h"

void ca_json_init(struct ca_json *json, struct ca_sink *sink)
{
    memset(json, 0, sizeof(*json));
    json->sink = sink;
    json->first = true;
}

/* The comma that may have to come before a value or a key. */
static void separate(struct ca_json *json)
{
    if (json->after_key)
        json->after_key = false;
    else if (!json->first)
        ca_sink_putc(json->sink, ',');
    json->first = false;
}

static void open(struct ca_json *json, char opening, char closing)
{
    separate(json);
    if (json->depth == CA_JSON_DEPTH) {
        json->misused = true;
        return;
    }
    ca_sink_putc(json->sink, opening);
    json->closing[json->depth++] = closing;
    json->first = true;
}

void ca_json_object(struct ca_json *json)
{
    open(json, '{', '}');
}

void ca_json_array(struct ca_json *json)
{
    open(json, '[', ']');
}

void ca_json_end(struct ca_json *json)
{
    if (json->depth == 0) {
        json->misused = true;
        return;
    }
    ca_sink_putc(json->sink, json->closing[--json->depth]);
    json->first = false;
}

void ca_json_break_line(struct ca_json *json)
{
    if (!json->first && !json->after_key) {
        ca_sink_putc(json->sink, ',');
        json->first = true; /* the comma is written */
    }
    ca_sink_putc(json->sink, '\n');
}

void ca_json_key_sized(struct ca_json *json, const char *key, size_t size)
{
    separate(json);
    ca_sink_putc(json->sink, '"');
    ca_sink_add(json->sink, key, size);
    ca_sink_add(json->sink, "\":", 2);
    json->after_key = true;
}

void ca_json_null(struct ca_json *json)
{
    separate(json);
    ca_sink_add(json->sink, "null", 4);
}

void ca_json_bool(struct ca_json *json, bool value)
{
    separate(json);
    ca_sink_add(json->sink, value ? "true" : "false", value ? 4 : 5);
}

void ca_json_int(struct ca_json *json, int64_t value)
{
    if (value == CA_UNKNOWN) {
        ca_json_null(json);
        return;
    }
    separate(json);
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--at] = '-';
    ca_sink_add(json->sink, digits + at, sizeof(digits) - at);
}

void ca_json_address(struct ca_json *json, uint64_t value)
{
    separate(json);
    char text[24];
    size_t at = sizeof(text);
    text[--at] = '"';
    do {
        text[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    text[--at] = 'x';
    text[--at] = '0';
    text[--at] = '"';
    ca_sink_add(json->sink, text + at, sizeof(text) - at);
}

static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void escape(struct ca_sink *sink, unsigned char c)
{
    static const char short_escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *pair = short_escapes; *pair; pair += 2) {
        if ((unsigned char)pair[0] == c) {
            ca_sink_putc(sink, '\\');
            ca_sink_putc(sink, pair[1]);
            return;
        }
    }
    ca_sink_add(sink, "\\u00", 4);
    ca_sink_putc(sink, "0123456789abcdef"[c >> 4]);
    ca_sink_putc(sink, "0123456789abcdef"[c & 15]);
}

static void quote(struct ca_sink *sink, const char *value)
{
    ca_sink_putc(sink, '"');
    const unsigned char *at = (const unsigned char *)value;
    while (*at) {
        const unsigned char *start = at;
        while (plain(*at))
            at++;
        if (at != start) {
            ca_sink_add(sink, (const char *)start, (size_t)(at - start));
        } else if (*at < 0x80) {
            escape(sink, *at++);
        } else {
            size_t size = ca_utf8_size(at);
            if (size)
                ca_sink_add(sink, (const char *)at, size);
            else
                ca_sink_add(sink, "\xef\xbf\xbd", 3);
            at += size ? size : 1;
        }
    }
    ca_sink_putc(sink, '"');
}

void ca_json_string(struct ca_json *json, const char *value)
{
    if (!value) {
        ca_json_null(json);
        return;
    }
    separate(json);
    quote(json->sink, value);
}

void ca_json_key_text(struct ca_json *json, const char *key)
{
    separate(json);
    quote(json->sink, key);
    ca_sink_putc(json->sink, ':');
    json->after_key = true;
}
