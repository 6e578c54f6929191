/* Names for explanations: of globals, stack slots and types. */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    TYPE_STR = 40, /* internal/abi/type.go: Str NameOff, behind GCData */
    FLAG_STAR = 2, /* TFlagExtraStar: the text has a * too many */
    NAME_MAX_ = 512,
};

/* The text of a type: a flag byte, a length in base 128, the bytes. */
static const char *type_name(struct ca_go_heap *heap, struct ca_strings *strings, uint64_t type)
{
    struct ca_go *go = heap->go;
    int32_t offset;
    uint8_t tflag, head[3];
    char text[NAME_MAX_];
    if (!ca_target_read(heap->target, type + TYPE_STR, &offset, 4) || offset < 0 ||
        !ca_target_read(heap->target, type + (uint64_t)go->layout.at[GO_TYPE_TFLAG], &tflag, 1))
        return NULL;
    for (size_t i = 0; i < go->tables.modules.len; i++) {
        const struct ca_go_module *module = &go->tables.modules.data[i];
        uint64_t types;
        if (!ca_go_read_u64(go, module->address, GO_MD_TYPES, &types) || type < types ||
            type - types > (UINT64_C(1) << 31))
            continue;
        uint64_t at = types + (uint32_t)offset;
        if (!ca_target_read(heap->target, at, head, 3))
            return NULL;
        size_t size = head[1] & 0x7f, skip = 2;
        if (head[1] & 0x80) {
            size |= (size_t)(head[2] & 0x7f) << 7;
            skip = 3;
        }
        if (size == 0 || size >= sizeof(text) ||
            !ca_target_read(heap->target, at + skip, text, size))
            return NULL;
        bool star = (tflag & FLAG_STAR) && text[0] == '*';
        return ca_strings_intern(strings, text + star, size - star);
    }
    return NULL;
}

static void describe_global(struct ca_go_heap *heap, struct ca_strings *strings, uint64_t address,
                            struct ca_edge_info *ret)
{
    struct ca_module *module = ca_modules_at(heap->go->runtime.context.modules, address);
    Dwfl_Module *dwfl = module ? ca_module_debug(heap->go->runtime.context.modules, module) : NULL;
    GElf_Off offset;
    GElf_Sym symbol;
    if (!dwfl)
        return;
    const char *name = dwfl_module_addrinfo(dwfl, address, &offset, &symbol, NULL, NULL, NULL);
    if (!name || offset >= (1u << 30))
        return;
    ret->name = ca_strings_intern(strings, name, strlen(name));
    ret->offset = (int64_t)offset;
}

static void describe_frame(struct ca_go_heap *heap, struct ca_strings *strings, uint32_t index,
                           uint32_t number, struct ca_edge_info *ret)
{
    const struct ca_task *task = &heap->tasks->list.data[index];
    ret->name =
        ca_strings_printf(strings, "stack of goroutine %llu", (unsigned long long)task->number);
    if (task->stack == CA_STACK_NONE)
        return;
    const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
    if (number >= stack->count)
        return;
    const struct ca_raw_frame *raw = &heap->tasks->stacks.frames.data[stack->first + number];
    const struct ca_go_pc_name *names = ca_go_name_pc(heap->go, heap->tasks, raw->pc, raw->exact);
    if (!names || names->count == 0)
        return;
    const struct ca_frame *frame = &heap->go->pc_frames.data[names->first];
    ret->function = frame->function;
    ret->line = frame->line;
}

void ca_go_heap_describe_root(struct ca_heap *base, struct ca_strings *strings,
                              const struct ca_root *root, uint32_t task, uint64_t address,
                              struct ca_edge_info *ret)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    *ret = (struct ca_edge_info){.offset = CA_UNKNOWN};
    if (root->kind == CA_ROOT_GLOBAL) {
        describe_global(heap, strings, address, ret);
        if (!ret->name) /* a stripped program: there is an address only */
            ret->name = ca_strings_printf(strings, "a global variable");
    } else if (root->kind == CA_ROOT_REGISTERS)
        ret->name = ca_strings_printf(strings, "registers of a thread");
    else if (root->kind == CA_ROOT_STACK && task != CA_NONE)
        describe_frame(heap, strings, task, root->frame, ret);
    else if (task != CA_NONE)
        ret->name = ca_strings_printf(strings, "record of goroutine %llu",
                                      (unsigned long long)heap->tasks->list.data[task].number);
}

void ca_go_heap_describe_object(struct ca_heap *base, struct ca_strings *strings,
                                const struct ca_region *region, uint32_t slot,
                                struct ca_edge_info *ret)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    uint64_t type = 0;
    *ret = (struct ca_edge_info){.offset = CA_UNKNOWN};
    if (region->kind == CA_GO_FORMAT_LARGE && region->detail)
        type = heap->types.data[region->detail - 1].address;
    else if (region->kind == CA_GO_FORMAT_HEADER && region->bytes)
        memcpy(&type, region->bytes + slot * region->size, 8);
    if (type)
        ret->type = type_name(heap, strings, type);
}
