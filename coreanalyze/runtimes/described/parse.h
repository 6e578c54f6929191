/* Reading nodes into structs, by tables of keys. */
#ifndef CA_DESCRIBED_PARSE_H
#define CA_DESCRIBED_PARSE_H

#include "runtimes/described/description.h"

struct ca_key {
    const char *name;
    size_t offset; /* of a struct ca_expr */
};

struct ca_error *ca_parse_expr(struct ca_arena *arena, const struct ca_node *node,
                               struct ca_expr *ret);
struct ca_error *ca_parse_tests(struct ca_arena *arena, const struct ca_node *node,
                                struct ca_test **ret);
/* Is the key the name, or the name and '?'? */
bool ca_parse_is(const struct ca_node *node, const char *name);
/* Takes a key of the table. *taken tells whether it was one. */
struct ca_error *ca_parse_keyed(struct ca_arena *arena, const struct ca_node *node,
                                const struct ca_key *keys, void *into, bool *taken);
struct ca_error *ca_parse_text(const struct ca_node *node, const char **ret);
struct ca_error *ca_parse_bool(const struct ca_node *node, bool *ret);
struct ca_error *ca_parse_number(const struct ca_node *node, uint64_t *ret);
/* The index of the text in a NULL-ended list of words. */
struct ca_error *ca_parse_word(const struct ca_node *node, const char *const *words, int *ret);
struct ca_error *ca_parse_kind(const struct ca_node *node, enum ca_node_kind kind);
struct ca_error *ca_parse_unknown(const struct ca_node *node, const char *where);

struct ca_error *ca_parse_sources(struct ca_arena *arena, const struct ca_node *node,
                                  struct ca_source **ret);
struct ca_error *ca_parse_rules(struct ca_arena *arena, const struct ca_node *node,
                                struct ca_when **ret);
struct ca_error *ca_parse_objects(struct ca_arena *arena, const struct ca_node *node,
                                  struct ca_object **ret);
struct ca_error *ca_parse_context(struct ca_arena *arena, const struct ca_node *node,
                                  enum ca_arch arch, struct ca_context_form *ret);

#endif
