#include "runtimes/described/ahead.h"

#include <stdlib.h>
#include <string.h>

#include "base/ahead.h"
#include "runtimes/described/context.h"

enum { STACK_SOON = 1024, OBJECT_SOON = 64, OBJECTS = 8, STRUCT_MOST = 4096 };

struct ca_described_ahead {
    const struct ca_described *self;
    struct ca_target target; /* the same bytes, with a memory of its own of where it read last */
    const struct ca_expr *objects[OBJECTS];
    unsigned object_count;
    uint64_t size; /* of a task's struct */
    struct ca_ahead *thread;
};

static void look_at(struct ca_target *target, uint64_t address, uint64_t size)
{
    ca_ahead_touch(ca_target_view(target, address, size), size);
}

static void look_at_stack(struct ca_described_ahead *ahead, const struct ca_scope *scope)
{
    const struct ca_segment *segment;
    struct ca_regs regs;
    const char *why;
    uint64_t sp;
    if (!ca_context_registers(&ahead->self->description.context, scope, &regs, &why) ||
        !ca_target_sp(ahead->target.arch, &regs, &sp) ||
        !(segment = ca_target_segment(&ahead->target, sp)))
        return;
    look_at(&ahead->target, sp, segment->end - sp < STACK_SOON ? segment->end - sp : STACK_SOON);
}

static void look(void *arg, uint64_t i)
{
    struct ca_described_ahead *ahead = arg;
    struct ca_scope scope = {
        .target = &ahead->target, .here = ahead->self->found.data[i].address, .quiet = true};
    look_at(&ahead->target, scope.here, ahead->size);
    look_at_stack(ahead, &scope);
    for (unsigned n = 0; n < ahead->object_count; n++) {
        uint64_t object;
        if (ca_expr_address(ahead->objects[n], &scope, &object) && object)
            look_at(&ahead->target, object, OBJECT_SOON);
    }
}

/* Rules say again and again where the object is: once is enough. */
static void add_object(struct ca_described_ahead *ahead, const struct ca_expr *object)
{
    if (!object->bound || object->shape != CA_EXPR_FIELD)
        return;
    for (unsigned i = 0; i < ahead->object_count; i++)
        if (ahead->objects[i]->imm == object->imm)
            return;
    if (ahead->object_count < OBJECTS)
        ahead->objects[ahead->object_count++] = object;
}

/* What reading changes in a target is its own here; what it shares nobody changes meanwhile. */
static bool copy_target(struct ca_target *ret, const struct ca_target *target)
{
    *ret = *target;
    memset(&ret->segments, 0, sizeof(ret->segments));
    memset(&ret->windows, 0, sizeof(ret->windows));
    memset(&ret->near, 0, sizeof(ret->near));
    ret->load = NULL;
    ret->load_pieces = NULL;
    if (!ca_vec_reserve(&ret->segments, target->segments.len))
        return false;
    for (size_t i = 0; i < target->segments.len; i++)
        ret->segments.data[ret->segments.len++] = target->segments.data[i];
    return true;
}

struct ca_described_ahead *ca_described_ahead_start(const struct ca_described *self)
{
    const struct ca_target *target = self->base.context.target;
    const struct ca_ctype *type = self->description.task_type;
    struct ca_described_ahead *ahead =
        target->kind == CA_TARGET_CORE ? calloc(1, sizeof(*ahead)) : NULL;
    if (!ahead)
        return NULL;
    ahead->self = self;
    ahead->size = type && type->size < STRUCT_MOST ? type->size : STRUCT_MOST;
    for (const struct ca_when *rule = self->description.rules; rule; rule = rule->next)
        add_object(ahead, &rule->outcome.object);
    if (copy_target(&ahead->target, target))
        ahead->thread = ca_ahead_start(look, ahead, self->found.len);
    if (ahead->thread)
        return ahead;
    ca_vec_deinit(&ahead->target.segments);
    free(ahead);
    return NULL;
}

void ca_described_ahead_tell(const struct ca_described_ahead *ahead, uint64_t i)
{
    if (ahead)
        ca_ahead_tell(ahead->thread, i);
}

void ca_described_ahead_stop(struct ca_described_ahead *ahead)
{
    if (!ahead)
        return;
    ca_ahead_stop(ahead->thread);
    ca_vec_deinit(&ahead->target.segments);
    free(ahead);
}
