/* A description's text as a tree of maps, sequences and scalars, each with its line.
 *
 * YAML by libyaml's event API. Descriptions come out of cores that nobody trusts: aliases, anchors,
 * tags and more than one document are refused, size, depth and number of nodes are bounded.
 */
#ifndef CA_DESCRIBED_NODE_H
#define CA_DESCRIBED_NODE_H

#include "base/error.h"
#include "runtimes/described/arena.h"

enum {
    CA_NODE_SIZE = 256 * 1024, /* bytes of a description */
    CA_NODE_DEPTH = 16,
    CA_NODE_COUNT = 20000,
};

enum ca_node_kind { CA_NODE_SCALAR, CA_NODE_MAP, CA_NODE_SEQUENCE };

struct ca_node {
    enum ca_node_kind kind;
    unsigned line;    /* from 1 */
    const char *key;  /* in a map; NULL in a sequence */
    const char *text; /* of a scalar */
    bool quoted;
    struct ca_node *child, *next;
};

/* Everything lives in the arena. Errors: CA_ERROR_FORMAT with the line. */
struct ca_error *ca_node_parse(struct ca_arena *arena, const char *text, size_t size,
                               struct ca_node **ret);

/* The value of a key of a map, or NULL. */
struct ca_node *ca_node_get(const struct ca_node *map, const char *key);

#endif
