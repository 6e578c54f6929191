/* The way from a root to what a goroutine waits for, in words. */
#include <string.h>

#include "runtimes/go/views.h"
#include "unwind/locals.h"

enum {
    GLOBALS_MAX = 8 << 20, /* words that are looked through */
    LITERAL_MAX = 1 << 20, /* bytes */
};

struct route {
    struct ca_go_heap *heap;
    struct ca_strings *strings;
    struct ca_go_view view;    /* of the object that the last hop leads to */
    const struct ca_hop *last; /* NULL: none yet */
};

static const char *keep(struct route *route, const struct ca_buf *buf)
{
    return buf->len && !buf->failed ? ca_strings_intern(route->strings, buf->data, buf->len) : NULL;
}

/* What an object says itself of its type: those of more than 512 bytes do since Go 1.22. */
static bool own_view(struct ca_go_heap *heap, const struct ca_hop *hop, struct ca_go_view *ret)
{
    const struct ca_region *region = hop->region;
    uint64_t type = 0, skip = 0;
    if (!region)
        return false;
    if (region->kind == CA_GO_FORMAT_LARGE && region->detail) {
        type = heap->types.data[region->detail - 1].address;
    } else if (region->kind == CA_GO_FORMAT_HEADER && region->bytes) {
        memcpy(&type, region->bytes + hop->slot * region->size, 8);
        skip = 8;
    }
    *ret = (struct ca_go_view){.shape = CA_GO_SHAPE_VALUES,
                               .address = region->start + hop->slot * region->size + skip};
    if (!type || !ca_go_descriptor(heap, type, &ret->type))
        return false;
    uint64_t size = ca_go_descriptor_size(heap, type);
    if (size > (region->size - skip) / 2)
        ret->shape = CA_GO_SHAPE_VALUE;
    return true;
}

/* ---- roots --------------------------------------------------------------------------------- */

/* A word of a variable: what it is called, and what it leads to. */
static void take_variable(struct route *route, struct ca_variable *variable, struct ca_hop *hop,
                          struct ca_buf *name)
{
    struct ca_go_view view = {.shape = CA_GO_SHAPE_VALUE, .address = variable->address};
    struct ca_go_view_word word;
    if (!ca_go_debug_type(route->heap, &variable->type, &view.type))
        return;
    bool known = !hop->region ? ca_go_view_lock(route->heap, &view, hop->waits, &word)
                              : ca_go_view_word(route->heap, &view, hop->address, &word);
    if (known) {
        hop->type = ca_go_view_name(route->heap, route->strings, &word.type);
        if (word.name.len)
            ca_buf_printf(name, ", %s", word.name.data);
        route->view = word.leads;
    }
    ca_buf_deinit(&word.name);
}

/* The symbol around an address. */
static const char *symbol_at(struct route *route, uint64_t address, uint64_t *start)
{
    struct ca_modules *modules = route->heap->go->runtime.context.modules;
    struct ca_module *module = ca_modules_at(modules, address);
    Dwfl_Module *dwfl = module ? ca_module_debug(modules, module) : NULL;
    GElf_Off offset;
    GElf_Sym symbol;
    const char *name =
        dwfl ? dwfl_module_addrinfo(dwfl, address, &offset, &symbol, NULL, NULL, NULL) : NULL;
    if (!name || offset >= (1u << 30) || (symbol.st_size && offset >= symbol.st_size))
        return NULL;
    *start = address - offset;
    return name;
}

/* The global of this name, as a view. */
static bool view_global(struct route *route, const char *name, uint64_t start,
                        struct ca_go_view *ret)
{
    struct ca_modules *modules = route->heap->go->runtime.context.modules;
    struct ca_module *module = ca_modules_at(modules, start);
    struct ca_variable variable;
    *ret = (struct ca_go_view){.shape = CA_GO_SHAPE_VALUE, .address = start};
    return module && ca_variable_global(modules, module, name, &variable) &&
           ca_go_debug_type(route->heap, &variable.type, &ret->type);
}

/* The word of the globals that points at an address, or at the nearest place before it. */
static uint64_t pointer_to(struct ca_go_heap *heap, uint64_t address)
{
    uint64_t found = 0, nearest = 0;
    for (size_t i = 0; i < heap->go->tables.modules.len; i++) {
        const struct ca_go_module *module = &heap->go->tables.modules.data[i];
        const uint64_t ranges[2][2] = {{module->data, module->edata}, {module->bss, module->ebss}};
        for (int r = 0; r < 2; r++) {
            uint64_t at = (ranges[r][0] + 7) & ~UINT64_C(7), value;
            for (uint64_t n = 0; at + 8 <= ranges[r][1] && n < GLOBALS_MAX; n++, at += 8)
                if (!ca_target_read_u64(heap->target, at, &value))
                    break;
                else if (value <= address && value > nearest)
                    nearest = value, found = at;
        }
    }
    return address - nearest < LITERAL_MAX ? found : 0;
}

/* What the compiler laid out beside a variable, for a literal whose address it holds, has no name:
 * it is told by the variable. */
static bool name_by_pointer(struct route *route, struct ca_hop *hop)
{
    uint64_t address = hop->region ? hop->address : hop->waits, variable;
    uint64_t pointer = pointer_to(route->heap, address);
    const char *name = pointer ? symbol_at(route, pointer, &variable) : NULL;
    struct ca_go_view view;
    struct ca_go_view_word word, inner = {0};
    if (!name || !view_global(route, name, variable, &view) ||
        !ca_go_view_word(route->heap, &view, pointer, &word))
        return false;
    bool known = !hop->region ? ca_go_view_lock(route->heap, &word.leads, address, &inner)
                              : ca_go_view_word(route->heap, &word.leads, address, &inner);
    if (known) {
        struct ca_buf text = {0};
        ca_buf_puts(&text, name);
        if (word.name.len)
            ca_buf_printf(&text, ", %s", word.name.data);
        if (inner.name.len)
            ca_buf_printf(&text, ", %s", inner.name.data);
        hop->name = keep(route, &text);
        hop->type = ca_go_view_name(route->heap, route->strings, &inner.type);
        route->view = inner.leads;
        ca_buf_deinit(&text);
    }
    ca_buf_deinit(&word.name);
    ca_buf_deinit(&inner.name);
    return known;
}

static void name_global(struct route *route, struct ca_hop *hop)
{
    struct ca_modules *modules = route->heap->go->runtime.context.modules;
    uint64_t address = hop->region ? hop->address : hop->waits, start;
    const char *name = symbol_at(route, address, &start);
    struct ca_variable variable;
    struct ca_buf text = {0};
    struct ca_module *module = name ? ca_modules_at(modules, address) : NULL;
    if (module && ca_variable_global(modules, module, name, &variable)) {
        variable.address = start;
        ca_buf_puts(&text, name);
        take_variable(route, &variable, hop, &text);
        hop->name = keep(route, &text);
    } else if (!name_by_pointer(route, hop) && name) {
        hop->offset = (int64_t)(address - start);
        hop->name = ca_strings_printf(route->strings, "%s", name);
    } else if (!hop->name) {
        /* A stripped program: there is an address only. */
        hop->name = ca_strings_printf(route->strings, "a global variable");
    }
    ca_buf_deinit(&text);
}

/* The variable of a frame that the word belongs to. */
static bool find_local(struct route *route, const struct ca_task *task, uint32_t number,
                       const struct ca_hop *hop, struct ca_variable *ret)
{
    struct ca_go_heap *heap = route->heap;
    const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
    const struct ca_raw_frame *raw = &heap->tasks->stacks.frames.data[stack->first + number];
    unsigned sp = heap->target->arch == CA_ARCH_ARM64 ? 31 : 7;
    struct ca_local_frame frame = {.target = heap->target, .pc = raw->pc - !raw->exact};
    if (number + 1 >= stack->count)
        return false;
    frame.regs.value[sp] = task->sp + raw->sp;
    frame.regs.known = UINT64_C(1) << sp;
    /* Go's frames: where the caller's begins. */
    frame.has_cfa = true;
    frame.cfa = task->sp + raw[1].sp;
    return ca_variable_local(heap->go->runtime.context.modules, &frame, hop->address, ret);
}

static void name_stack(struct route *route, struct ca_hop *hop)
{
    struct ca_go_heap *heap = route->heap;
    const struct ca_task *task = &heap->tasks->list.data[hop->task];
    struct ca_buf text = {0};
    uint32_t number = hop->root->frame;
    bool framed =
        task->stack != CA_STACK_NONE && number < heap->tasks->stacks.list.data[task->stack].count;
    if (framed) {
        struct ca_variable variable;
        const struct ca_stack *stack = &heap->tasks->stacks.list.data[task->stack];
        const struct ca_raw_frame *raw = &heap->tasks->stacks.frames.data[stack->first + number];
        const struct ca_go_pc_name *names =
            ca_go_name_pc(heap->go, heap->tasks, raw->pc, raw->exact);
        if (names && names->count > 0) {
            hop->function = heap->go->pc_frames.data[names->first].function;
            hop->line = heap->go->pc_frames.data[names->first].line;
        }
        if (hop->root->exact && find_local(route, task, number, hop, &variable) &&
            !strchr("~.", *variable.name)) {
            /* Go keeps a variable that outlives its function on the heap, as &name. */
            ca_buf_puts(&text, variable.name + (*variable.name == '&'));
            take_variable(route, &variable, hop, &text);
            ca_buf_puts(&text, ", on the ");
        }
    }
    ca_buf_printf(&text, "stack of goroutine %llu", (unsigned long long)task->number);
    hop->name = keep(route, &text);
    ca_buf_deinit(&text);
}

static void name_timer(struct route *route, struct ca_hop *hop)
{
    struct ca_go *go = route->heap->go;
    struct ca_go_view_word word;
    struct ca_go_func func;
    uint64_t entry;
    int64_t when = hop->root->detail;
    if (when != CA_UNKNOWN && go->now != CA_UNKNOWN && when > go->now)
        hop->name = ca_strings_printf(route->strings, "timer, due in %lld s",
                                      (long long)((when - go->now) / 1000000000));
    /* Its argument is an interface: the word before says what it is. */
    if (ca_go_view_dynamic(route->heap, hop->address - 8, &word)) {
        hop->type = ca_go_view_name(route->heap, route->strings, &word.type);
        route->view = word.leads;
        if (word.leads.shape == CA_GO_SHAPE_CLOSURE &&
            ca_target_read_u64(route->heap->target, word.leads.address, &entry) &&
            ca_go_func_find(&go->tables, entry, &func))
            hop->function = ca_strings_printf(route->strings, "%s", ca_go_func_name(&func));
    }
    ca_buf_deinit(&word.name);
}

static void name_root(struct route *route, struct ca_hop *hop)
{
    const struct ca_root *root = hop->root;
    struct ca_strings *strings = route->strings;
    bool of_task = hop->task != CA_NONE;
    unsigned long long number =
        of_task ? (unsigned long long)route->heap->tasks->list.data[hop->task].number : 0;
    if (root->name)
        hop->name = ca_strings_printf(strings, "%s", root->name);
    if (root->kind == CA_ROOT_GLOBAL)
        name_global(route, hop);
    else if (root->kind == CA_ROOT_TIMER)
        name_timer(route, hop);
    else if (root->kind == CA_ROOT_REGISTERS && of_task)
        hop->name = ca_strings_printf(strings, "registers of the thread of goroutine %llu", number);
    else if (root->kind == CA_ROOT_REGISTERS)
        hop->name = ca_strings_printf(strings, "registers of a thread");
    else if (root->kind == CA_ROOT_STACK && of_task && !root->name)
        name_stack(route, hop);
    else if (of_task && root->kind == CA_ROOT_RUNTIME)
        hop->name = ca_strings_printf(strings, "record of goroutine %llu", number);
    if (ca_root_is_guess(root) && hop->name)
        hop->name = ca_strings_printf(strings, "%s, a word that may be stale", hop->name);
}

/* ---- edges --------------------------------------------------------------------------------- */

/* A method value's closure is {code, receiver}; its code is named as the method, with -fm behind
 * (cmd/compile/internal/ir/expr.go: MethodSymSuffix). */
static bool name_receiver(struct route *route, struct ca_hop *hop, const char *function,
                          struct ca_buf *text)
{
    struct ca_modules *modules = route->heap->go->runtime.context.modules;
    struct ca_module *module = ca_modules_at(modules, route->heap->go->tables.modules.data[0].text);
    size_t size = strlen(function);
    struct ca_variable variable;
    char method[512];
    uint64_t entry;
    if (size <= 3 || size >= sizeof(method) || strcmp(function + size - 3, "-fm") != 0 ||
        hop->address < route->view.address + 8)
        return false;
    memcpy(method, function, size - 3);
    method[size - 3] = 0;
    ca_buf_printf(text, "receiver of %s", method);
    if (module && ca_module_symbol(module, method, &entry, NULL) &&
        ca_variable_receiver(modules, entry, &variable)) {
        variable.address = route->view.address + 8;
        take_variable(route, &variable, hop, text);
    }
    return true;
}

/* Closures are {code, variable, variable, ...}. */
static void name_captured(struct route *route, struct ca_hop *hop)
{
    struct ca_go_heap *heap = route->heap;
    struct ca_variable variable;
    struct ca_go_func func;
    struct ca_buf text = {0};
    uint64_t entry, start = route->view.address;
    route->view.shape = CA_GO_SHAPE_NONE;
    if (hop->address <= start || !ca_target_read_u64(heap->target, start, &entry) ||
        !ca_go_func_find(&heap->go->tables, entry, &func) || func.entry != entry)
        return;
    if (name_receiver(route, hop, ca_go_func_name(&func), &text)) {
        hop->name = keep(route, &text);
        ca_buf_deinit(&text);
        return;
    }
    if (ca_variable_captured(heap->go->runtime.context.modules, entry, hop->address - start,
                             &variable)) {
        ca_buf_printf(&text, "variable %s", variable.name + (*variable.name == '&'));
        variable.address = hop->address;
        take_variable(route, &variable, hop, &text);
        ca_buf_puts(&text, " of ");
    } else {
        ca_buf_puts(&text, "variable of ");
    }
    ca_buf_puts(&text, ca_go_func_name(&func));
    hop->name = keep(route, &text);
    ca_buf_deinit(&text);
}

static bool take_word(struct route *route, const struct ca_go_view *view, struct ca_hop *hop)
{
    struct ca_go_view_word word;
    bool known = ca_go_view_word(route->heap, view, hop->address, &word);
    if (known) {
        hop->name = keep(route, &word.name);
        hop->inner = word.inner;
        hop->type = ca_go_view_name(route->heap, route->strings, &word.type);
        route->view = word.leads;
    }
    ca_buf_deinit(&word.name);
    return known;
}

static void name_edge(struct route *route, struct ca_hop *hop)
{
    struct ca_go_view own, view = route->view;
    if (view.shape == CA_GO_SHAPE_CLOSURE) {
        name_captured(route, hop);
        return;
    }
    if (take_word(route, &view, hop))
        return;
    route->view.shape = CA_GO_SHAPE_NONE;
    if (route->last && own_view(route->heap, route->last, &own))
        take_word(route, &own, hop);
}

/* What the channel at the end carries: it says so itself. */
static void type_channel(struct route *route, struct ca_hop *hop)
{
    struct ca_go_view_type type;
    uint64_t elem;
    if (hop->type || !ca_go_read_u64(route->heap->go, hop->waits, GO_HCHAN_ELEMTYPE, &elem) ||
        !ca_go_descriptor(route->heap, elem, &type))
        return;
    const char *name = ca_go_descriptor_name(route->heap, route->strings, elem);
    if (name)
        hop->type = ca_strings_printf(route->strings, "chan %s", name);
}

/* The lock inside the object at the end. */
static void name_lock(struct route *route, struct ca_hop *hop)
{
    struct ca_go_view_word word;
    struct ca_go_view own;
    bool known = ca_go_view_lock(route->heap, &route->view, hop->waits, &word);
    if (!known && own_view(route->heap, hop, &own)) {
        ca_buf_deinit(&word.name);
        known = ca_go_view_lock(route->heap, &own, hop->waits, &word);
    }
    if (known) {
        hop->part = keep(route, &word.name);
        hop->part_type = ca_go_view_name(route->heap, route->strings, &word.type);
    }
    ca_buf_deinit(&word.name);
}

void ca_go_heap_describe_route(struct ca_heap *base, struct ca_strings *strings,
                               struct ca_hop *hops, size_t count)
{
    struct route route = {.heap = ca_go_heap_of(base), .strings = strings};
    for (size_t i = 0; i < count; i++) {
        struct ca_hop *hop = &hops[i];
        struct ca_go_view own;
        if (hop->root) {
            route.view = (struct ca_go_view){0};
            name_root(&route, hop);
        } else {
            name_edge(&route, hop);
        }
        if (hop->region && hop->region->kind == CA_GO_FORMAT_HEADER)
            hop->header = 8;
        if (!hop->type && own_view(route.heap, hop, &own))
            hop->object = ca_go_view_name(route.heap, strings, &own.type);
        if (hop->waits && hop->region && hop->channel)
            type_channel(&route, hop);
        else if (hop->waits && hop->region)
            name_lock(&route, hop);
        route.last = hop;
    }
}
