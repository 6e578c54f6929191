/* Tasks grouped by verdict, blocking site and creation site. */
#ifndef CA_ANALYSIS_GROUPS_H
#define CA_ANALYSIS_GROUPS_H

#include "analysis/verdict.h"

struct ca_evidence {
    const char *kind, *text; /* interned in the tasks' strings */
    bool has_address;
    uint64_t address;
    uint32_t task; /* index, or CA_NONE */
};

typedef CA_VEC(struct ca_evidence) ca_evidence_list;

struct ca_group {
    uint8_t verdict, rule, proof;
    const char *reason;
    uint32_t site_key, created;
    size_t first, count; /* in members */
    size_t at_site;      /* tasks of all groups with this site and rule */
    int64_t oldest_ns, stack_bytes;
    int64_t heap_bytes;                        /* CA_UNKNOWN without a heap walk */
    const char *pattern, *confidence, *advice; /* NULL: none fits */
    size_t first_evidence, evidence_count;
};

struct ca_groups {
    CA_VEC(struct ca_group) list; /* worst verdict first, then largest */
    CA_VEC(size_t) members;       /* indexes of tasks, ascending inside a group */
    ca_evidence_list evidence;
};

void ca_groups_deinit(struct ca_groups *groups);

/* Groups all tasks by their verdicts as they are now, and sets task.group. false: no memory. */
bool ca_groups_make(struct ca_groups *groups, struct ca_tasks *tasks, const struct ca_sites *sites);

#endif
