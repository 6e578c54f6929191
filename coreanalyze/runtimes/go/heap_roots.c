/* What can act and is no goroutine: globals, finalizers about to run. */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    MASK_END = 0xa1, /* runtime/mbitmap.go progToPointerMask */
    BLOCKS_MAX = 1 << 20,
    BATCH = 512,
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
    if (!ca_root_sink_wants(batch->sink, value))
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
    if (start == end)
        return;
    if (start > end) {
        ca_go_heap_break(heap, "globals", start, "where they lie makes no sense");
        return;
    }
    if (!ca_target_read(heap->target, mask_at, vector, 16)) {
        ca_go_heap_break(heap, "globals", mask_at, "which of them are pointers is not there");
        return;
    }
    /* runtime/symtab.go: the mask was made of the section's size. */
    uint64_t count = (uint32_t)vector[0];
    if (count == 0 && vector[1] == 0) {
        ca_go_heap_break(heap, "globals", mask_at,
                         "which of them are pointers is not known: the program is only starting");
        return;
    }
    if (count != (end - start) / 8) {
        ca_go_heap_break(heap, "globals", mask_at, "which of them are pointers makes no sense");
        return;
    }
    const uint8_t *mask = ca_go_heap_bytes(heap, vector[1], (count + 7) / 8 + 1);
    const uint8_t *bytes = ca_go_heap_bytes(heap, start, count * 8);
    if (!mask || !bytes) {
        ca_go_heap_break(heap, "globals", start, "they are not there");
        return;
    }
    if (mask[(count + 7) / 8] != MASK_END) {
        ca_go_heap_break(heap, "globals", mask_at, "which of them are pointers makes no sense");
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

void ca_go_heap_roots(struct ca_heap *base, const struct ca_root_sink *sink)
{
    struct ca_go_heap *heap = ca_go_heap_of(base);
    globals(heap, sink);
    doomed(heap, sink);
    ca_go_heap_threads(heap, sink);
    ca_go_heap_foreign(heap, sink);
}
