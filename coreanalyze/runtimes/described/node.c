#include "runtimes/described/node.h"

#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct ca_arena *arena;
    unsigned count;
};

static struct ca_error *read_node(struct reader *reader, yaml_event_t *event, unsigned depth,
                                  struct ca_node **ret);

static struct ca_error *next_event(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event))
        return NULL;
    if (reader->parser.error == YAML_MEMORY_ERROR)
        return &ca_error_nomem;
    /* What YAML stumbles over in a description is nearly always a sign of a path. */
    return ca_error_create(
        CA_ERROR_FORMAT,
        "line %zu: not YAML: %s (column %zu). In [...] and {...}, a text with any "
        "of [ ] { } , needs quotes; everywhere one that begins with & or * or "
        "holds ': '",
        reader->parser.problem_mark.line + 1, reader->parser.problem ? reader->parser.problem : "?",
        reader->parser.problem_mark.column + 1);
}

static unsigned line_of(const yaml_event_t *event)
{
    return (unsigned)event->start_mark.line + 1;
}

static struct ca_error *refuse_extras(const yaml_event_t *event, const yaml_char_t *anchor,
                                      const yaml_char_t *tag)
{
    if (anchor)
        return ca_error_create(CA_ERROR_FORMAT,
                               "line %u: anchors are not allowed (a path that begins with & needs "
                               "quotes: \"&%s\")",
                               line_of(event), (const char *)anchor);
    if (tag)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: tags are not allowed", line_of(event));
    return NULL;
}

static struct ca_error *read_scalar(struct reader *reader, const yaml_event_t *event,
                                    struct ca_node *node)
{
    size_t size = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;
    struct ca_error *error =
        refuse_extras(event, event->data.scalar.anchor, event->data.scalar.tag);
    if (error)
        return error;
    if (memchr(value, 0, size))
        return ca_error_create(CA_ERROR_FORMAT, "line %u: a zero byte in the text", node->line);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = ca_arena_text(reader->arena, value, size);
    return node->text ? NULL : &ca_error_nomem;
}

static struct ca_error *read_sequence(struct reader *reader, unsigned depth, struct ca_node *node)
{
    struct ca_node **end = &node->child;
    for (;;) {
        yaml_event_t event;
        struct ca_error *error = next_event(reader, &event);
        if (error)
            return error;
        bool done = event.type == YAML_SEQUENCE_END_EVENT;
        if (!done)
            error = read_node(reader, &event, depth + 1, end);
        yaml_event_delete(&event);
        if (error || done)
            return error;
        end = &(*end)->next;
    }
}

static struct ca_error *read_key(struct reader *reader, const yaml_event_t *event,
                                 const struct ca_node *map, const char **ret)
{
    if (event->type != YAML_SCALAR_EVENT)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: a key must be plain text",
                               line_of(event));
    struct ca_node key = {.line = line_of(event)};
    struct ca_error *error = read_scalar(reader, event, &key);
    if (error)
        return error;
    if (ca_node_get(map, key.text))
        return ca_error_create(CA_ERROR_FORMAT, "line %u: the key \"%s\" is here twice", key.line,
                               key.text);
    *ret = key.text;
    return NULL;
}

static struct ca_error *read_map(struct reader *reader, unsigned depth, struct ca_node *node)
{
    struct ca_node **end = &node->child;
    for (;;) {
        yaml_event_t event;
        const char *key = NULL;
        struct ca_error *error = next_event(reader, &event);
        if (error)
            return error;
        bool done = event.type == YAML_MAPPING_END_EVENT;
        if (!done)
            error = read_key(reader, &event, node, &key);
        yaml_event_delete(&event);
        if (error || done)
            return error;
        error = next_event(reader, &event);
        if (error)
            return error;
        struct ca_node *value = NULL;
        error = read_node(reader, &event, depth + 1, &value);
        yaml_event_delete(&event);
        if (error)
            return error;
        value->key = key;
        *end = value;
        end = &value->next;
    }
}

static struct ca_error *read_node(struct reader *reader, yaml_event_t *event, unsigned depth,
                                  struct ca_node **ret)
{
    unsigned line = line_of(event);
    if (depth > CA_NODE_DEPTH)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: nested deeper than %d", line,
                               CA_NODE_DEPTH);
    if (++reader->count > CA_NODE_COUNT)
        return ca_error_create(CA_ERROR_FORMAT, "line %u: more than %d values", line,
                               CA_NODE_COUNT);
    struct ca_node *node = ca_arena_alloc(reader->arena, sizeof(*node));
    if (!node)
        return &ca_error_nomem;
    node->line = line;
    struct ca_error *error;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        node->kind = CA_NODE_SCALAR;
        error = read_scalar(reader, event, node);
        break;
    case YAML_MAPPING_START_EVENT:
        node->kind = CA_NODE_MAP;
        error =
            refuse_extras(event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        if (!error)
            error = read_map(reader, depth, node);
        break;
    case YAML_SEQUENCE_START_EVENT:
        node->kind = CA_NODE_SEQUENCE;
        error =
            refuse_extras(event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        if (!error)
            error = read_sequence(reader, depth, node);
        break;
    case YAML_ALIAS_EVENT:
        return ca_error_create(CA_ERROR_FORMAT,
                               "line %u: aliases are not allowed (a path that begins with * needs "
                               "quotes)",
                               line);
    default:
        return ca_error_create(CA_ERROR_FORMAT, "line %u: not expected here", line);
    }
    *ret = node;
    return error;
}

static struct ca_error *read_document(struct reader *reader, struct ca_node **ret)
{
    bool root = false;
    for (;;) {
        yaml_event_t event;
        struct ca_error *error = next_event(reader, &event);
        if (error)
            return error;
        bool done = event.type == YAML_STREAM_END_EVENT;
        bool frame =
            done || event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && root)
            error = ca_error_create(CA_ERROR_FORMAT, "line %u: a second document", line_of(&event));
        else if (!frame && event.type != YAML_DOCUMENT_START_EVENT) {
            error = read_node(reader, &event, 1, ret);
            root = true;
        }
        yaml_event_delete(&event);
        if (error)
            return error;
        if (done)
            break;
    }
    if (!root || (*ret)->kind != CA_NODE_MAP)
        return ca_error_create(CA_ERROR_FORMAT,
                               "line 1: a description is a map of keys (name, match, tasks, ...)");
    return NULL;
}

struct ca_error *ca_node_parse(struct ca_arena *arena, const char *text, size_t size,
                               struct ca_node **ret)
{
    if (size > CA_NODE_SIZE)
        return ca_error_create(CA_ERROR_FORMAT, "larger than %d bytes", CA_NODE_SIZE);
    struct reader reader = {.arena = arena};
    if (!yaml_parser_initialize(&reader.parser))
        return &ca_error_nomem;
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    struct ca_error *error = read_document(&reader, ret);
    yaml_parser_delete(&reader.parser);
    return error;
}

struct ca_node *ca_node_get(const struct ca_node *map, const char *key)
{
    for (struct ca_node *node = map->child; node; node = node->next)
        if (node->key && strcmp(node->key, key) == 0)
            return node;
    return NULL;
}
