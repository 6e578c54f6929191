/* Memory of other languages in the same process: it is the program's, and may hold pointers to
 * Go's. Everything that can be written is read word by word, but for what is known to be the Go
 * runtime's own (full of stale pointers) and for the unused parts of stacks.
 */
#include "runtimes/go/heap.h"

#include <elf.h>
#include <string.h>

enum {
    CHUNK = 256 << 10, /* runtime/malloc.go persistentChunkSize */
    CHUNKS_MAX = 1 << 16,
    RINGS_MAX = 1 << 16,
    RING_MAX = 1 << 24, /* entries */
    PROCESSORS_MAX = 1 << 16,
    PAGE = 4096,
};

static bool find_foreign_code(struct ca_go_heap *heap)
{
    const struct ca_modules *modules = heap->go->runtime.context.modules;
    uint64_t address;
    uint8_t iscgo = 0;
    for (size_t i = 0; i < modules->list.len; i++)
        if (!modules->list.data[i].main && !modules->list.data[i].vdso)
            return true;
    if (ca_module_symbol(heap->go->module, "runtime.iscgo", &address, NULL))
        return !ca_target_read(heap->target, address, &iscgo, 1) || iscgo;
    /* Without symbols: the Go side of runtime/cgo is in the tables. */
    static const char *const names[] = {"runtime/cgo.init"};
    struct ca_go_func found[1];
    ca_go_tables_functions(&heap->go->tables, names, 1, found);
    return found[0].record != NULL;
}

bool ca_go_heap_has_foreign_code(struct ca_go_heap *heap)
{
    if (heap->foreign_code == CA_GO_FOREIGN_UNKNOWN)
        heap->foreign_code = find_foreign_code(heap) ? CA_GO_FOREIGN_SOME : CA_GO_FOREIGN_NONE;
    return heap->foreign_code == CA_GO_FOREIGN_SOME;
}

struct skip {
    CA_VEC(struct ca_go_range) list;
};

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct ca_go_range *)a)->start;
    uint64_t y = ((const struct ca_go_range *)b)->start;
    return x < y ? -1 : x > y;
}

static bool skip_add(struct skip *skip, uint64_t start, uint64_t end)
{
    return end <= start || ca_vec_push(&skip->list, (struct ca_go_range){start, end});
}

/* The runtime's immortal records lie in chunks, chained by their first words. */
static bool skip_chunks(struct ca_go_heap *heap, struct skip *skip, uint64_t chunk)
{
    for (size_t i = 0; chunk && i < CHUNKS_MAX; i++) {
        if (chunk % PAGE || !skip_add(skip, chunk, chunk + CHUNK) ||
            !ca_target_read_u64(heap->target, chunk, &chunk))
            return false;
    }
    return true;
}

/* How many of some span records lie in the chain that starts at chunk. */
static size_t chain_holds(struct ca_go_heap *heap, uint64_t chunk, const uint64_t *records,
                          size_t count)
{
    size_t found = 0;
    for (size_t i = 0; chunk && chunk % PAGE == 0 && i < CHUNKS_MAX; i++) {
        for (size_t j = 0; j < count; j++)
            found += records[j] - chunk < CHUNK;
        if (!ca_target_read_u64(heap->target, chunk, &chunk))
            break;
    }
    return found;
}

/* runtime.persistentChunks without symbols: a word without pointers (to the collector) whose chain
 * holds the records of spans. 0: not found. */
static uint64_t find_chunks(struct ca_go_heap *heap)
{
    struct ca_go *go = heap->go;
    uint64_t slice[2], records[8], address, value;
    size_t count = 0;
    if (ca_module_symbol(go->module, "runtime.persistentChunks", &address, NULL))
        return ca_target_read_u64(heap->target, address, &value) ? value : 0;
    if (!ca_target_read(heap->target,
                        go->globals.mheap + (uint64_t)go->layout.at[GO_MHEAP_ALLSPANS], slice, 16))
        return 0;
    while (count < 8 && count < slice[1] &&
           ca_target_read_u64(heap->target, slice[0] + count * 8, &records[count]))
        count++;
    for (size_t i = 0; i < go->tables.modules.len && count > 0; i++) {
        const struct ca_go_module *module = &go->tables.modules.data[i];
        for (address = module->noptrbss; address + 8 <= module->enoptrbss; address += 8)
            if (ca_target_read_u64(heap->target, address, &value) && value && value % PAGE == 0 &&
                chain_holds(heap, value, records, count) == count)
                return value;
    }
    return 0;
}

/* The collector's queues of spans, since 1.26: rings in pages of their own, all of them chained,
 * and of each processor the newest is known. runtime/mgcmark_greenteagc.go spanSPMC */
static bool skip_rings(struct ca_go_heap *heap, struct skip *skip)
{
    struct ca_go *go = heap->go;
    const int32_t *at = go->layout.at;
    uint64_t allp[2], p, start, ring, next;
    uint32_t cap;
    struct ca_map seen = {0};
    CA_VEC(uint64_t) left = {0};
    bool ok = true;
    if (at[GO_SPANSPMC_NODE] == CA_LAYOUT_ABSENT ||
        !ca_target_read(heap->target, go->globals.allp, allp, 16))
        return true;
    for (uint64_t i = 0; i < allp[1] && i < PROCESSORS_MAX && ok; i++)
        if (ca_target_read_u64(heap->target, allp[0] + i * 8, &p) &&
            ca_go_read_u64(go, p, GO_P_SPAN_QUEUE, &start) && start)
            ok = ca_vec_push(&left, start);
    while (ok && left.len > 0 && seen.len < RINGS_MAX) {
        bool fresh;
        start = left.data[--left.len];
        ok = ca_map_put(&seen, start, &fresh) != NULL;
        if (!ok || !fresh || !ca_go_read_u64(go, start, GO_SPANSPMC_RING, &ring) ||
            !ca_go_read_u32(go, start, GO_SPANSPMC_CAP, &cap))
            continue;
        if (ring && ring % PAGE == 0 && cap <= RING_MAX)
            ok = skip_add(skip, ring,
                          ring + (((uint64_t)cap * 8 + PAGE - 1) & ~(uint64_t)(PAGE - 1)));
        for (uint64_t k = 0; k < 2 && ok; k++) /* to both sides */
            if (ca_target_read_u64(heap->target, start + (uint64_t)at[GO_SPANSPMC_NODE] + k * 8,
                                   &next) &&
                next)
                ok = ca_vec_push(&left, next);
    }
    ca_map_deinit(&seen);
    ca_vec_deinit(&left);
    return ok;
}

/* Of a thread's own stack: what is below the part in use, and the frames of Go's in it, which
 * are scanned with the thread. */
static bool skip_stacks(struct ca_go_heap *heap, struct skip *skip)
{
    for (size_t i = 0; i < heap->target->threads.len; i++) {
        uint64_t from;
        const struct ca_mapping *mapping;
        if (ca_go_heap_c_stack(heap, &heap->target->threads.data[i], &from) &&
            (mapping = ca_target_mapping(heap->target, from)) && !mapping->path &&
            !skip_add(skip, mapping->start, from))
            return false;
    }
    return true;
}

/* The record of each arena by number: of those with objects, and of their neighbours, which may
 * have held nothing but stacks that are gone. false: no memory. */
static bool find_arenas(struct ca_go_heap *heap, struct ca_map *ret)
{
    CA_VEC(uint64_t) left = {0};
    uint64_t last = UINT64_MAX;
    bool ok = true;
    for (size_t i = 0; i < heap->heap.regions.len && ok; i++) {
        uint64_t number =
            (heap->heap.regions.data[i].start - heap->arena_base) >> CA_GO_ARENA_SHIFT;
        if (number != last)
            ok = ca_vec_push(&left, number);
        last = number;
    }
    while (ok && left.len > 0) {
        uint64_t number = left.data[--left.len], record = ca_go_heap_arena_record(heap, number);
        bool fresh;
        if (record == 0)
            continue;
        uint64_t *slot = ca_map_put(ret, number, &fresh);
        ok = slot != NULL;
        if (!ok || !fresh)
            continue;
        *slot = record;
        ok = ca_vec_push(&left, number + 1) && ca_vec_push(&left, number - 1);
    }
    ca_vec_deinit(&left);
    return ok;
}

/* The runtime's own: arenas and their records, the table of arenas, data that masks describe. */
static bool skip_make(struct ca_go_heap *heap, struct skip *skip)
{
    struct ca_go *go = heap->go;
    uint64_t table = 0;
    for (size_t i = 0; i < go->tables.modules.len; i++) {
        const struct ca_go_module *module = &go->tables.modules.data[i];
        if (!skip_add(skip, module->data, module->edata) ||
            !skip_add(skip, module->bss, module->ebss) ||
            !skip_add(skip, module->noptrbss, module->enoptrbss) ||
            !skip_add(skip, module->noptrdata, module->data))
            return false;
    }
    if (ca_go_read_u64(go, go->globals.mheap, GO_MHEAP_ARENAS, &table) && table)
        if (!skip_add(skip, table, table + UINT64_C(8) * CA_GO_ARENAS))
            return false;
    struct ca_map arenas = {0};
    bool ok = find_arenas(heap, &arenas);
    for (size_t i = 0; i < arenas.cap && ok; i++) {
        if (!arenas.used[i])
            continue;
        uint64_t start = (arenas.slots[i].key << CA_GO_ARENA_SHIFT) + heap->arena_base;
        uint64_t record = arenas.slots[i].value;
        ok = skip_add(skip, start, start + (UINT64_C(1) << CA_GO_ARENA_SHIFT)) &&
             skip_add(skip, record, record + (uint64_t)go->layout.at[GO_HEAPARENA_SIZE]);
    }
    ca_map_deinit(&arenas);
    if (!ok)
        return false;
    skip_chunks(heap, skip, find_chunks(heap));
    if (!skip_rings(heap, skip) || !skip_stacks(heap, skip))
        return false;
    qsort(skip->list.data, skip->list.len, sizeof(struct ca_go_range), by_start);
    return true;
}

/* What of a mapping is left when the skipped ranges are taken out. Pages that are not there were
 * never touched or are a file's: neither holds a pointer that the program wrote. */
static void foreign_mapping(struct ca_go_heap *heap, const struct ca_root_sink *sink,
                            const struct skip *skip, uint64_t start, uint64_t end)
{
    struct ca_root root = {.kind = CA_ROOT_FOREIGN, .name = "C memory", .frame = CA_NONE};
    for (size_t i = 0; i <= skip->list.len && start < end; i++) {
        uint64_t stop = i < skip->list.len ? skip->list.data[i].start : end;
        uint64_t next = i < skip->list.len ? skip->list.data[i].end : end;
        if (stop > end)
            stop = end;
        for (uint64_t at = start; (at = ca_target_next(heap->target, at)) < stop;) {
            uint64_t part = 4096 - at % 4096;
            if (part > stop - at)
                part = stop - at;
            ca_go_heap_words(heap, sink, &root, at, at + part);
            at += part;
        }
        if (next > start)
            start = next;
    }
}

void ca_go_heap_foreign(struct ca_go_heap *heap, const struct ca_root_sink *sink)
{
    struct skip skip = {0};
    if (!ca_go_heap_has_foreign_code(heap))
        return;
    if (heap->target->mappings.len == 0)
        ca_go_heap_break(heap, "C memory", 0, "its mappings are not known");
    if (!skip_make(heap, &skip)) {
        heap->failed = true;
        ca_go_heap_break(heap, "C memory", 0, "no memory left here");
    }
    for (size_t i = 0; i < heap->target->mappings.len; i++) {
        const struct ca_mapping *mapping = &heap->target->mappings.data[i];
        if ((mapping->flags & PF_W) && (mapping->flags & PF_R))
            foreign_mapping(heap, sink, &skip, mapping->start, mapping->end);
    }
    ca_vec_deinit(&skip.list);
}
