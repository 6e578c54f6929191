/* What can act and is no goroutine: globals, finalizers about to run, threads, C memory. */
#include "runtimes/go/heap.h"

#include <elf.h>
#include <string.h>

enum {
    BLOCKS_MAX = 1 << 20,
    BATCH = 512,
    RED_ZONE = 128,
    FINALIZERS_MAX = 4096,
};

struct batch {
    const struct ca_root_sink *sink;
    struct ca_root root;
    struct ca_word words[BATCH];
    size_t len;
};

static void flush(struct batch *batch)
{
    if (batch->len > 0)
        batch->sink->add(batch->sink->arg, &batch->root, batch->words, batch->len);
    batch->len = 0;
}

static inline void put(struct batch *batch, uint64_t address, uint64_t value)
{
    if (value == 0)
        return;
    batch->words[batch->len++] = (struct ca_word){.address = address, .value = value};
    if (batch->len == BATCH)
        flush(batch);
}

bool ca_go_heap_words(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                      const struct ca_root *root, uint64_t start, uint64_t end)
{
    struct batch batch; /* its room is not cleared: this is called for every task */
    uint64_t chunk[512];
    batch.sink = sink;
    batch.root = *root;
    batch.len = 0;
    start = (start + 7) & ~UINT64_C(7);
    while (start + 8 <= end) {
        /* Never across a page: what is there of a page is there wholly. */
        uint64_t size = 4096 - start % 4096;
        if (size > end - start)
            size = (end - start) & ~UINT64_C(7);
        if (!ca_target_read(heap->target, start, chunk, size)) {
            flush(&batch);
            return false;
        }
        for (uint64_t i = 0; i < size / 8; i++)
            put(&batch, start + i * 8, chunk[i]);
        start += size;
    }
    flush(&batch);
    return true;
}

/* ---- globals ------------------------------------------------------------------------------- */

static void global_section(struct ca_go_heap *heap, const struct ca_root_sink *sink, uint64_t start,
                           uint64_t end, uint64_t mask_at)
{
    struct ca_root root = {.kind = CA_ROOT_GLOBAL, .frame = CA_NONE, .exact = true};
    struct batch batch = {.sink = sink, .root = root};
    uint64_t vector[2];
    if (start >= end)
        return;
    if (!ca_target_read(heap->target, mask_at, vector, 16)) {
        ca_go_heap_break(heap, "globals", mask_at, "which of them are pointers is not there");
        return;
    }
    uint64_t count = (uint32_t)vector[0];
    if (count > (end - start + 7) / 8)
        count = (end - start + 7) / 8;
    const uint8_t *mask = ca_go_heap_bytes(heap, vector[1], (count + 7) / 8);
    const uint8_t *bytes = ca_go_heap_bytes(heap, start, count * 8);
    if (!mask || !bytes) {
        ca_go_heap_break(heap, "globals", start, "they are not there");
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value;
        if (!(mask[i / 8] >> (i % 8) & 1))
            continue;
        memcpy(&value, bytes + i * 8, 8);
        put(&batch, start + i * 8, value);
    }
    flush(&batch);
}

static void globals(struct ca_go_heap *heap, const struct ca_root_sink *sink)
{
    for (size_t i = 0; i < heap->go->tables.modules.len; i++) {
        const struct ca_go_module *module = &heap->go->tables.modules.data[i];
        global_section(heap, sink, module->data, module->edata, module->gcdatamask);
        global_section(heap, sink, module->bss, module->ebss, module->gcbssmask);
    }
}

/* ---- finalizers and cleanups that will run ------------------------------------------------- */

struct chain {
    uint64_t head;
    int link, count, list;
    uint64_t stride;
    const char *name;
};

static void read_chain(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                       const struct chain *chain)
{
    struct ca_root root = {.kind = CA_ROOT_RUNTIME, .name = chain->name, .frame = CA_NONE};
    struct ca_go *go = heap->go;
    uint64_t block;
    if (chain->head == 0)
        return;
    if (!ca_target_read_u64(heap->target, chain->head, &block)) {
        ca_go_heap_break(heap, chain->name, chain->head, "their list is not there");
        return;
    }
    for (size_t i = 0; block && i < BLOCKS_MAX; i++) {
        uint32_t count;
        uint64_t list = block + (uint64_t)go->layout.at[chain->list];
        if (!ca_go_read_u32(go, block, chain->count, &count) || count > FINALIZERS_MAX ||
            !ca_go_heap_words(heap, sink, &root, list, list + count * chain->stride) ||
            !ca_go_read_u64(go, block, chain->link, &block)) {
            ca_go_heap_break(heap, chain->name, block, "their list makes no sense");
            return;
        }
    }
}

static void doomed(struct ca_go_heap *heap, const struct ca_root_sink *sink)
{
    const struct ca_go *go = heap->go;
    struct chain finalizers = {.head = go->globals.allfin,
                               .link = GO_FINBLOCK_ALLLINK,
                               .count = GO_FINBLOCK_CNT,
                               .list = GO_FINBLOCK_FIN,
                               .stride = (uint64_t)go->layout.at[GO_FINALIZER_SIZE],
                               .name = "finalizers about to run"};
    if (go->globals.allfin == 0)
        ca_go_heap_break(heap, "finalizers", 0, "the list of those about to run was not found");
    read_chain(heap, sink, &finalizers);
    if (go->layout.at[GO_CLEANUPS_ALL] == CA_LAYOUT_ABSENT)
        return;
    struct chain cleanups = {.head =
                                 go->globals.gc_cleanups + (uint64_t)go->layout.at[GO_CLEANUPS_ALL],
                             .link = GO_CLEANUPBLOCK_ALLLINK,
                             .count = GO_CLEANUPBLOCK_N,
                             .list = GO_CLEANUPBLOCK_LIST,
                             .stride = (uint64_t)go->layout.at[GO_CLEANUPBLOCK_STRIDE],
                             .name = "cleanups about to run"};
    if (go->globals.gc_cleanups == 0)
        ca_go_heap_break(heap, "cleanups", 0, "the list of those about to run was not found");
    else
        read_chain(heap, sink, &cleanups);
}

/* ---- threads ------------------------------------------------------------------------------- */

/* Pointers are passed in general registers only, so at its entry a function's vectors are dead. */
static bool at_entry(struct ca_go_heap *heap, const struct ca_regs *regs)
{
    struct ca_go_func func;
    uint64_t pc;
    return ca_target_pc(heap->target->arch, regs, &pc) &&
           ca_go_func_find(&heap->go->tables, pc, &func) && func.entry == pc;
}

/* Of these registers a function just entered can use only what was passed. abi-internal.md */
static bool dead_at_entry(struct ca_go_heap *heap, const struct ca_regs *regs, unsigned i)
{
    static const uint32_t live = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 |
                                 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11;
    return heap->target->arch == CA_ARCH_AMD64 && i < 16 && !(live >> i & 1) &&
           at_entry(heap, regs);
}

/* In a system call of Go's own code no register is worth keeping: Go saves none across calls, and
 * the stub that made this one uses none of them afterwards but for the result.
 * runtime/sys_linux_*.s
 */
static bool in_system_call(struct ca_go_heap *heap, const struct ca_regs *regs)
{
    static const uint8_t amd64[] = {0x0f, 0x05}, arm64[] = {0x01, 0x00, 0x00, 0xd4};
    bool is_arm = heap->target->arch == CA_ARCH_ARM64;
    size_t size = is_arm ? sizeof(arm64) : sizeof(amd64);
    struct ca_go_func func;
    uint8_t code[4];
    uint64_t pc;
    return ca_target_pc(heap->target->arch, regs, &pc) &&
           ca_go_func_find(&heap->go->tables, pc, &func) && pc >= func.entry + size &&
           ca_target_read(heap->target, pc - size, code, size) &&
           !memcmp(code, is_arm ? arm64 : amd64, size);
}

static void registers(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                      const struct ca_regs *regs)
{
    struct batch batch = {.sink = sink, .root = {.kind = CA_ROOT_REGISTERS, .frame = CA_NONE}};
    bool dead = in_system_call(heap, regs);
    for (unsigned i = 0; i < CA_REGS_MAX && !dead; i++)
        if (regs->known >> i & 1 && !dead_at_entry(heap, regs, i))
            put(&batch, 0, regs->value[i]);
    flush(&batch);
}

static void vectors(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                    const struct ca_thread *thread)
{
    struct batch batch = {.sink = sink, .root = {.kind = CA_ROOT_REGISTERS, .frame = CA_NONE}};
    bool dead = in_system_call(heap, &thread->regs) || at_entry(heap, &thread->regs);
    for (size_t i = 0; thread->vector && !dead && i + 8 <= thread->vector_size; i += 8) {
        uint64_t value;
        memcpy(&value, thread->vector + i, 8);
        put(&batch, 0, value);
    }
    flush(&batch);
}

/* From sp to the end of the stack that it is on: g0's, the signal stack, or a C stack (to the end
 * of its mapping). A goroutine's own stack is scanned with the goroutine. */
static void stack_from(struct ca_go_heap *heap, const struct ca_root_sink *sink, uint64_t m,
                       uint64_t sp)
{
    struct ca_root root = {.kind = CA_ROOT_STACK, .name = "a thread's stack", .frame = CA_NONE};
    struct ca_go *go = heap->go;
    uint64_t low, high, g = 0;
    if (m && ca_go_read_u64(go, m, GO_M_CURG, &g) && ca_go_stack_bounds(go, g, &low, &high) &&
        sp >= low && sp < high)
        return;
    static const int fields[] = {GO_M_G0, GO_M_GSIGNAL};
    for (size_t i = 0; m && i < 2; i++)
        if (ca_go_read_u64(go, m, fields[i], &g) && ca_go_stack_bounds(go, g, &low, &high) &&
            sp >= low && sp < high) {
            if (!ca_go_heap_words(heap, sink, &root, sp - RED_ZONE < low ? low : sp - RED_ZONE,
                                  high))
                ca_go_heap_break(heap, "stack of a thread", sp, "it is not there");
            return;
        }
    const struct ca_mapping *mapping = ca_target_mapping(heap->target, sp);
    if (mapping && !ca_go_heap_words(heap, sink, &root, sp - RED_ZONE, mapping->end))
        ca_go_heap_break(heap, "stack of a thread", sp, "it is not there");
}

/* On g0 while a goroutine's m is in Go, C code may have left its own frames above: g0's stack from
 * its saved sp on. */
static void thread_roots(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                         const struct ca_thread *thread, uint64_t m)
{
    uint64_t sp, g0, g0_sp;
    struct ca_regs outer;
    registers(heap, sink, &thread->regs);
    vectors(heap, sink, thread);
    if (!ca_target_sp(heap->target->arch, &thread->regs, &sp)) {
        ca_go_heap_break(heap, "thread", 0, "its registers are not known");
        return;
    }
    stack_from(heap, sink, m, sp);
    if (!m)
        return;
    if (ca_go_signal_regs(heap->go, m, &thread->regs, &outer)) {
        registers(heap, sink, &outer);
        if (ca_target_sp(heap->target->arch, &outer, &sp))
            stack_from(heap, sink, m, sp);
    }
    uint64_t low, high;
    if (ca_go_read_u64(heap->go, m, GO_M_G0, &g0) &&
        ca_go_stack_bounds(heap->go, g0, &low, &high) &&
        ca_go_read_u64(heap->go, g0, GO_G_SCHED_SP, &g0_sp) && g0_sp >= low && g0_sp < high &&
        (sp < low || sp >= high))
        stack_from(heap, sink, m, g0_sp);
}

static void threads(struct ca_go_heap *heap, const struct ca_root_sink *sink)
{
    struct ca_go *go = heap->go;
    struct ca_map m_of_tid = {0};
    uint64_t m = 0;
    if (!ca_target_read_u64(heap->target, go->globals.allm, &m))
        ca_go_heap_break(heap, "threads", go->globals.allm, "their list is not there");
    for (size_t i = 0; m && i < BLOCKS_MAX; i++) {
        uint64_t tid;
        if (!ca_go_read_u64(go, m, GO_M_PROCID, &tid))
            break;
        uint64_t *slot = ca_map_put(&m_of_tid, tid, NULL);
        if (slot)
            *slot = m;
        if (!ca_go_read_u64(go, m, GO_M_ALLLINK, &m))
            break;
    }
    if (heap->target->threads.len == 0)
        ca_go_heap_break(heap, "threads", 0, "there are none: their registers may hold pointers");
    for (size_t i = 0; i < heap->target->threads.len; i++) {
        const struct ca_thread *thread = &heap->target->threads.data[i];
        const uint64_t *slot = ca_map_get(&m_of_tid, (uint64_t)thread->tid);
        thread_roots(heap, sink, thread, slot ? *slot : 0);
    }
    ca_map_deinit(&m_of_tid);
}

void ca_go_heap_roots(struct ca_heap *base, const struct ca_root_sink *sink)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    globals(heap, sink);
    doomed(heap, sink);
    threads(heap, sink);
    ca_go_heap_foreign(heap, sink);
}
