/* The blocking site of each stack: its first frame that is neither the runtime's nor the standard
 * library's synchronisation. Found once for each different stack.
 */
#ifndef CA_ANALYSIS_SITES_H
#define CA_ANALYSIS_SITES_H

#include "base/error.h"
#include "runtimes/runtime.h"

struct ca_sites {
    struct ca_frames frames; /* of all stacks, named */
    CA_VEC(struct ca_stack_names {
        size_t first;
        uint32_t count;
        uint32_t site; /* index in frames of the site; CA_NONE: no frame at all */
        uint32_t key;  /* equal sites (function, file, line) have equal keys */
    })
    stacks; /* by index of the stack */
    struct ca_map keys;
};

void ca_sites_deinit(struct ca_sites *sites);

/* Names every stack that a task has. runtimes is by task.runtime. */
struct ca_error *ca_sites_name(struct ca_sites *sites, struct ca_tasks *tasks,
                               struct ca_runtime *const *runtimes);

/* The key of a task's site, or CA_NONE. */
static inline uint32_t ca_sites_key(const struct ca_sites *sites, const struct ca_task *task)
{
    return task->stack < sites->stacks.len ? sites->stacks.data[task->stack].key : CA_NONE;
}

/* The site itself; NULL: not known. */
const struct ca_frame *ca_sites_frame(const struct ca_sites *sites, const struct ca_task *task);

#endif
