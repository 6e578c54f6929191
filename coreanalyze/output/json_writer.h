/* A streaming JSON writer: what it is told goes straight to the sink, commas and nesting are its
 * own. Memory does not grow with the document. The text is always valid UTF-8: bytes that are not
 * become U+FFFD.
 *
 * No white space, but that `break_line` starts a new line: lists of tasks have one a line.
 */
#ifndef CA_OUTPUT_JSON_WRITER_H
#define CA_OUTPUT_JSON_WRITER_H

#include "output/sink.h"

enum { CA_JSON_DEPTH = 16 };

struct ca_json {
    struct ca_sink *sink;
    unsigned depth;
    char closing[CA_JSON_DEPTH];
    bool first;     /* nothing yet in the innermost object or array */
    bool after_key; /* a value comes next, without a comma */
    bool misused;   /* nested too deep, or closed too often: a bug of the caller */
};

void ca_json_init(struct ca_json *json, struct ca_sink *sink);

void ca_json_object(struct ca_json *json); /* { */
void ca_json_array(struct ca_json *json);  /* [ */
void ca_json_end(struct ca_json *json);    /* closes the innermost */
/* Keys of ours are literals, and are not escaped. */
void ca_json_key_sized(struct ca_json *json, const char *key, size_t size);
#define ca_json_key(json, literal) ca_json_key_sized((json), "" literal, sizeof(literal) - 1)
void ca_json_key_text(struct ca_json *json, const char *key); /* of the target's: escaped */

void ca_json_null(struct ca_json *json);
void ca_json_bool(struct ca_json *json, bool value);
void ca_json_int(struct ca_json *json, int64_t value);        /* CA_UNKNOWN: null */
void ca_json_string(struct ca_json *json, const char *value); /* NULL: null */
void ca_json_address(struct ca_json *json, uint64_t value);   /* "0xc000012345" */

/* A new line before the next element. */
void ca_json_break_line(struct ca_json *json);

#endif
