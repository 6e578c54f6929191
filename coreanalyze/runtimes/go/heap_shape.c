/* What the program's code says about a goroutine: does it come back to where it waits, and what
 * does the function do that made it? Read from the calls and jumps in the machine code, so that it
 * works without symbols of the program's own.
 */
#include "runtimes/go/find.h"
#include "runtimes/go/heap.h"

#include <string.h>

enum { CODE_MAX = 1 << 16, AHEAD = 64 };

struct code {
    struct ca_go_func func;
    const uint8_t *bytes;
    uint8_t *owned;
    uint64_t size;
};

/* The function's code ends where the next function begins. */
static bool load(struct ca_go_heap *heap, uint64_t pc, struct code *ret)
{
    struct ca_go_func next;
    *ret = (struct code){0};
    if (!ca_go_func_find(&heap->go->tables, pc, &ret->func))
        return false;
    uint64_t low = pc - ret->func.entry, high = CODE_MAX;
    if (low >= high)
        return false;
    while (high - low > 1) { /* entries rise, so this is a border */
        uint64_t middle = low + (high - low) / 2;
        if (ca_go_func_find(&heap->go->tables, ret->func.entry + middle, &next) &&
            next.entry == ret->func.entry)
            low = middle;
        else
            high = middle;
    }
    ret->size = low + 1;
    ret->owned = malloc(ret->size);
    ret->bytes = ret->owned;
    return ret->owned && ca_target_read(heap->target, ret->func.entry, ret->owned, ret->size);
}

static uint64_t call_at(const struct ca_go_heap *heap, const struct code *code, uint64_t offset)
{
    return ca_go_call_target(heap->go, code->bytes + offset, code->size - offset,
                             code->func.entry + offset);
}

static uint32_t flag_of(const char *name)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } table[] = {
        {"runtime.selectgo", CA_SHAPE_MAKER_SELECTS},
        {"runtime.selectnbrecv", CA_SHAPE_MAKER_SELECTS},
        {"runtime.chanrecv1", CA_SHAPE_MAKER_RECEIVES},
        {"runtime.chanrecv2", CA_SHAPE_MAKER_RECEIVES},
        {"runtime.chansend1", CA_SHAPE_MAKER_SENDS},
        {"time.After", CA_SHAPE_MAKER_TIMES},
        {"time.NewTimer", CA_SHAPE_MAKER_TIMES},
        {"time.newTimer", CA_SHAPE_MAKER_TIMES},
        {"time.Tick", CA_SHAPE_MAKER_TIMES},
        {"time.NewTicker", CA_SHAPE_MAKER_TIMES},
        {"context.WithTimeout", CA_SHAPE_MAKER_TIMES},
        {"context.WithDeadline", CA_SHAPE_MAKER_TIMES},
        {"context.WithDeadlineCause", CA_SHAPE_MAKER_TIMES},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (!strcmp(table[i].name, name))
            return table[i].flag;
    return 0;
}

static uint32_t maker_shape(struct ca_go_heap *heap, uint64_t pc)
{
    struct code code;
    uint32_t shape = 0;
    if (load(heap, pc, &code))
        for (uint64_t i = 0; i < code.size; i++) {
            uint64_t target = call_at(heap, &code, i);
            struct ca_go_func func;
            if (target && ca_go_func_find(&heap->go->tables, target, &func) && func.entry == target)
                shape |= flag_of(ca_go_func_name(&func));
        }
    free(code.owned);
    return shape;
}

/* Does a jump that comes soon after the call at pc lead back before it? Jumps to the function's
 * start are its growing of the stack. */
static bool comes_back(struct ca_go_heap *heap, uint64_t pc)
{
    struct code code;
    bool back = false;
    if (load(heap, pc, &code)) {
        uint64_t at = pc - code.func.entry, end = at + AHEAD < code.size ? at + AHEAD : code.size;
        bool arm = heap->target->arch == CA_ARCH_ARM64;
        for (uint64_t i = at; i + 4 < end && !back; i += arm ? 4 : 1) {
            uint64_t target = UINT64_MAX;
            uint32_t word;
            memcpy(&word, code.bytes + i, 4);
            if (arm && word == 0xd65f03c0) /* RET */
                break;
            if (!arm && code.bytes[i] == 0x5d && code.bytes[i + 1] == 0xc3) /* POP BP; RET */
                break;
            if (arm && word >> 26 == 5)
                target = i + (uint64_t)(int64_t)((int32_t)(word << 6) >> 4);
            else if (!arm && code.bytes[i] == 0xeb)
                target = i + 2 + (uint64_t)(int64_t)(int8_t)code.bytes[i + 1];
            else if (!arm && code.bytes[i] == 0xe9 && i + 5 <= end) {
                int32_t distance;
                memcpy(&distance, code.bytes + i + 1, 4);
                target = i + 5 + (uint64_t)(int64_t)distance;
            }
            back = target < at && target > 0;
        }
    }
    free(code.owned);
    return back;
}

uint32_t ca_go_heap_shape(struct ca_heap *base, uint32_t index)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    const struct ca_task *task = &heap->tasks->list.data[index];
    uint32_t shape = 0;
    if (task->created != CA_NONE && heap->tasks->sites.data[task->created].pc)
        shape |= maker_shape(heap, heap->tasks->sites.data[task->created].pc);
    if (task->stack == CA_STACK_NONE)
        return shape;
    const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
    for (uint32_t i = 0; i < stack->count && i < 16; i++) {
        uint64_t pc = heap->tasks->stacks.frames.data[stack->first + i].pc;
        struct ca_go_func func;
        if (!ca_go_func_find(&heap->go->tables, pc, &func))
            break;
        const char *name = ca_go_func_name(&func);
        if (!strcmp(name, "runtime.chanrecv2"))
            shape |= CA_SHAPE_RANGES;
        if (strncmp(name, "runtime.", 8) != 0) {
            if (comes_back(heap, pc))
                shape |= CA_SHAPE_AGAIN;
            break;
        }
    }
    return shape;
}
