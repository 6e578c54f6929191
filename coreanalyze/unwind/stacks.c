#include "unwind/stacks.h"

#include <string.h>

#include "base/map.h"

void ca_stacks_deinit(struct ca_stacks *stacks)
{
    ca_vec_deinit(&stacks->frames);
    ca_vec_deinit(&stacks->list);
    free(stacks->slots);
    memset(stacks, 0, sizeof(*stacks));
}

static uint64_t hash_frames(const struct ca_raw_frame *frames, uint32_t count, uint64_t base)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++)
        hash = ca_hash_u64(hash ^ frames[i].pc) + (frames[i].sp - base) * 2 + frames[i].exact;
    return ca_hash_u64(hash);
}

static bool same(const struct ca_raw_frame *stored, const struct ca_raw_frame *frames,
                 uint32_t count, uint64_t base)
{
    for (uint32_t i = 0; i < count; i++)
        if (stored[i].pc != frames[i].pc || stored[i].sp != frames[i].sp - base ||
            stored[i].exact != frames[i].exact)
            return false;
    return true;
}

/* Slots hold index + 1; 0 is empty. */
static bool grow(struct ca_stacks *stacks)
{
    size_t count = stacks->slot_count ? stacks->slot_count * 2 : 256;
    uint32_t *slots = calloc(count, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < stacks->list.len; i++) {
        const struct ca_stack *stack = &stacks->list.data[i];
        size_t at = hash_frames(stacks->frames.data + stack->first, stack->count, 0) & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(stacks->slots);
    stacks->slots = slots;
    stacks->slot_count = count;
    return true;
}

static uint32_t append(struct ca_stacks *stacks, const struct ca_raw_frame *frames, uint32_t count,
                       uint32_t missing)
{
    struct ca_stack stack = {.first = stacks->frames.len, .count = count, .missing = missing};
    if (!ca_vec_reserve(&stacks->frames, count) || !ca_vec_push(&stacks->list, stack))
        return CA_STACK_NONE;
    struct ca_raw_frame *to = stacks->frames.data + stacks->frames.len;
    memcpy(to, frames, count * sizeof(*frames));
    for (uint32_t i = 0; i < count; i++)
        to[i].sp -= frames[0].sp;
    stacks->frames.len += count;
    return (uint32_t)stacks->list.len - 1;
}

uint32_t ca_stacks_intern(struct ca_stacks *stacks, const struct ca_raw_frame *frames,
                          uint32_t count, uint32_t missing)
{
    if (!count)
        return CA_STACK_NONE;
    if (stacks->list.len * 2 >= stacks->slot_count && !grow(stacks))
        return CA_STACK_NONE;
    uint64_t base = frames[0].sp;
    size_t mask = stacks->slot_count - 1;
    size_t at = hash_frames(frames, count, base) & mask;
    for (; stacks->slots[at]; at = (at + 1) & mask) {
        uint32_t index = stacks->slots[at] - 1;
        const struct ca_stack *stack = &stacks->list.data[index];
        if (stack->count == count && stack->missing == missing &&
            same(stacks->frames.data + stack->first, frames, count, base))
            return index;
    }
    uint32_t index = append(stacks, frames, count, missing);
    if (index != CA_STACK_NONE)
        stacks->slots[at] = index + 1;
    return index;
}
