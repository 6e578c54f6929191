/* Specials: finalizers, cleanups and weak handles, in chains that hang on spans. */
#include "runtimes/go/heap.h"

#include <string.h>

enum {
    SPECIALS_MAX = 1 << 24,
    KINDS_MAX = 15,   /* 1.27 has 10 */
    HAND_WORDS = 128, /* of the frames of freeSpecial and sweep */
};

struct kinds {
    int finalizer, weak, cleanup; /* -1: this version has none */
};

/* runtime/mheap.go _KindSpecial...: told apart by which specials a version knows. */
static struct kinds special_kinds(const struct ca_go *go)
{
    bool weak = go->layout.at[GO_SPECIAL_WEAK_HANDLE] != CA_LAYOUT_ABSENT;
    bool cleanup = go->layout.at[GO_SPECIAL_CLEANUP_FN] != CA_LAYOUT_ABSENT;
    if (go->layout.at[GO_SPECIAL_TINYBLOCK] != CA_LAYOUT_ABSENT)
        return (struct kinds){2, 3, 7};
    return (struct kinds){1, weak ? 2 : -1, cleanup ? 6 : -1};
}

/* false: it is not there. */
static bool read_special(struct ca_go_heap *heap, const struct kinds *kinds, uint64_t at, int kind,
                         struct ca_special *special)
{
    struct ca_go *go = heap->go;
    if (kind == kinds->finalizer) {
        special->kind = CA_SPECIAL_FINALIZER;
        return ca_go_read_u64(go, at, GO_SPECIAL_FINALIZER_FN, &special->values[0]);
    }
    if (kind == kinds->cleanup) {
        int32_t size = go->layout.at[GO_SPECIAL_CLEANUP_SIZE];
        special->kind = CA_SPECIAL_CLEANUP;
        return size >= 8 && size <= 24 &&
               ca_target_read(heap->target, at + (uint64_t)go->layout.at[GO_SPECIAL_CLEANUP_FN],
                              special->values, (size_t)size);
    }
    special->kind = CA_SPECIAL_WEAK;
    special->values[0] = special->object;
    return ca_go_read_u64(go, at, GO_SPECIAL_WEAK_HANDLE, &special->object);
}

static bool read_head(const struct ca_go_heap *heap, uint64_t at, uint64_t *offset, uint8_t *kind)
{
    const int32_t *layout = heap->go->layout.at;
    size_t width = layout[GO_SPECIAL_OFFSET_SIZE] == 2 ? 2 : 8;
    *offset = 0;
    return ca_target_read(heap->target, at + (uint64_t)layout[GO_SPECIAL_OFFSET], offset, width) &&
           ca_target_read(heap->target, at + (uint64_t)layout[GO_SPECIAL_KIND], kind, 1);
}

bool ca_go_heap_specials(struct ca_go_heap *heap, uint64_t at, uint64_t start, uint64_t size,
                         bool swept)
{
    struct ca_go *go = heap->go;
    struct kinds kinds = special_kinds(go);
    uint64_t last = 0; /* sorted by offset, then by kind */
    for (size_t i = 0; at && i < SPECIALS_MAX; i++) {
        uint64_t offset;
        uint8_t kind;
        if (!read_head(heap, at, &offset, &kind) || offset >= size || kind == 0 ||
            kind > KINDS_MAX || (offset << 8 | kind) < last) {
            ca_go_heap_break(heap, "finalizers", at, "a record of them makes no sense");
            return true;
        }
        last = offset << 8 | kind;
        struct ca_special special = {.object = start + offset, .unsure = !swept};
        bool known = kind == kinds.finalizer || kind == kinds.weak || kind == kinds.cleanup;
        if (known && !read_special(heap, &kinds, at, kind, &special))
            ca_go_heap_break(heap, "finalizers", at, "a record of them is not there");
        if (known && !ca_vec_push(&heap->heap.specials, special))
            return false;
        if (!ca_go_read_u64(go, at, GO_SPECIAL_NEXT, &at)) {
            ca_go_heap_break(heap, "finalizers", at, "a record of them is not there");
            return true;
        }
    }
    return true;
}

/* Does this word lead to a special? Then that may run. */
static void try_word(struct ca_go_heap *heap, const struct kinds *kinds, uint64_t word,
                     const struct ca_root_sink *sink)
{
    struct ca_root root = {
        .kind = CA_ROOT_RUNTIME, .name = "a finalizer in the sweeper's hands", .frame = CA_NONE};
    struct ca_special special = {0};
    struct ca_word words[3];
    uint64_t offset;
    uint8_t kind;
    if (word < 4096 || word % 8 || !read_head(heap, word, &offset, &kind) ||
        (kind != kinds->finalizer && kind != kinds->cleanup) ||
        !read_special(heap, kinds, word, kind, &special))
        return;
    for (size_t i = 0; i < 3; i++)
        words[i] = (struct ca_word){.address = word, .value = special.values[i]};
    sink->add(sink->arg, &root, words, 3);
}

void ca_go_heap_special_in_hand(struct ca_go_heap *heap, const struct ca_regs *regs,
                                const struct ca_root_sink *sink)
{
    struct kinds kinds = special_kinds(heap->go);
    struct ca_go_func func;
    uint64_t pc, sp, word;
    if (!ca_target_pc(heap->target->arch, regs, &pc) ||
        !ca_target_sp(heap->target->arch, regs, &sp) ||
        !ca_go_func_find(&heap->go->tables, pc, &func))
        return;
    const char *name = ca_go_func_name(&func);
    if (strcmp(name, "runtime.freeSpecial") != 0 &&
        strcmp(name, "runtime.(*sweepLocked).sweep") != 0)
        return;
    for (unsigned i = 0; i < CA_REGS_MAX; i++)
        if (regs->known >> i & 1)
            try_word(heap, &kinds, regs->value[i], sink);
    for (uint64_t i = 0; i < HAND_WORDS; i++)
        if (ca_target_read_u64(heap->target, sp + i * 8, &word))
            try_word(heap, &kinds, word, sink);
}
