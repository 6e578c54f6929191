/* Walks over the elements that a description names: rings, lists, trees, arrays, scans, nested. */
#ifndef CA_DESCRIBED_WALK_H
#define CA_DESCRIBED_WALK_H

#include "runtimes/described/description.h"

/* No walk visits more elements than this: memory is finite, a cycle is not. */
#define CA_WALK_LIMIT 16000000u

/* Called for each item. false stops everything (no memory, cancelled). */
typedef bool ca_walk_fn(void *arg, struct ca_source *source, const struct ca_scope *scope);

/* Binds a source and all under it. outer_items: what '.' is for its root (NULL at the top).
 * NULL, or the reason; *line is then its line and *key its key. */
const char *ca_walk_bind(struct ca_types *types, struct ca_source *source,
                         const struct ca_ctype *outer, unsigned *line, const char **key);

/* Walks; scope->here is what '.' is for the root; in the callback it is the item, and outer the
 * element's container. Where a walk breaks, source->breaks, broke_at and broke_why tell. false:
 * the callback stopped it. */
bool ca_walk(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn, void *arg);

/* An item that was found: down the walks that start at it, or out. */
bool ca_walk_found(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn,
                   void *arg);

/* scan.c: the same for a scan of all writable memory. */
bool ca_walk_scan(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn,
                  void *arg);

/* From a link of a ring, the first link that is in no known task; 0: none. known: of a task. */
uint64_t ca_walk_ring_head(struct ca_source *source, const struct ca_scope *scope,
                           const struct ca_map *known);

#endif
