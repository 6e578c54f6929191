#include <string.h>

#include "runtimes/described/described.h"
#include "runtimes/described/find.h"

void ca_described_destroy(struct ca_runtime *runtime)
{
    struct ca_described *self = (struct ca_described *)runtime;
    if (!self)
        return;
    ca_vec_deinit(&self->found);
    ca_vec_deinit(&self->knowns);
    ca_map_deinit(&self->known_index);
    ca_vec_deinit(&self->excluded_words);
    ca_map_deinit(&self->excluded);
    ca_map_deinit(&self->by_address);
    ca_map_deinit(&self->by_number);
    ca_map_deinit(&self->current);
    ca_map_deinit(&self->starts);
    ca_map_deinit(&self->sites);
    ca_map_deinit(&self->marks);
    ca_cfi_deinit(&self->cfi);
    ca_lines_deinit(&self->lines);
    ca_tls_deinit(&self->tls);
    ca_fit_deinit(&self->fit);
    ca_types_deinit(&self->types);
    ca_described_forget_rings(&self->description);
    ca_arena_deinit(&self->arena);
    free(self);
}

static void forget_ring(struct ca_source *source)
{
    if (source)
        ca_map_deinit(&source->ring_heads);
}

static void forget_rules(struct ca_when *rule)
{
    for (; rule; rule = rule->next)
        forget_ring(rule->outcome.object_ring);
}

static void forget_sources(struct ca_source *source)
{
    for (; source; source = source->next) {
        forget_ring(source->as.object_ring);
        forget_rules(source->rules);
        forget_sources(source->each);
    }
}

/* The only memory of a description that is not in its arena. */
void ca_described_forget_rings(struct ca_description *description)
{
    forget_rules(description->rules);
    forget_sources(description->tasks);
    forget_sources(description->waits);
}

static struct ca_error *name_stack(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                   const struct ca_raw_frame *frames, uint32_t count,
                                   struct ca_frames *ret)
{
    struct ca_described *self = (struct ca_described *)runtime;
    for (uint32_t i = 0; i < count; i++) {
        const struct ca_line *lines;
        uint64_t pc = frames[i].exact ? frames[i].pc : frames[i].pc - 1;
        size_t calls = ca_lines_at(&self->lines, &tasks->strings, pc, &lines);
        if (!calls)
            return &ca_error_nomem;
        for (size_t k = 0; k < calls; k++) {
            struct ca_frame frame = {.pc = frames[i].pc,
                                     .sp = frames[i].sp,
                                     .function = lines[k].function,
                                     .file = lines[k].file,
                                     .line = lines[k].line,
                                     .inlined = lines[k].inlined};
            frame.runtime = ca_described_own(self, pc, frame.function, frame.file);
            if (!ca_vec_push(&ret->list, frame))
                return &ca_error_nomem;
        }
    }
    return NULL;
}

static void facts(struct ca_runtime *runtime, struct ca_runtime_facts *ret)
{
    (void)runtime;
    *ret = (struct ca_runtime_facts){CA_UNKNOWN, CA_UNKNOWN, CA_UNKNOWN, CA_UNKNOWN, CA_UNKNOWN};
}

static struct ca_error *probe(const struct ca_context *context, struct ca_runtime **ret)
{
    return ca_described_find(context, ret);
}

const struct ca_runtime_ops ca_described_ops = {
    .probe = probe,
    .collect = ca_described_collect,
    .name_stack = name_stack,
    .facts = facts,
    .destroy = ca_described_destroy,
};
