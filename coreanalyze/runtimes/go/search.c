/* The runtime's variables in a program without symbols: the functions that use a variable refer to
 * it, and what it holds must look right. A candidate is never taken on one of the two alone, so a
 * wrong guess does not pass for a right one.
 */
#include <string.h>

#include "runtimes/go/find.h"

enum function {
    ALLGADD,
    MCOMMONINIT,
    PROCRESIZE,
    NEWPROC1,
    SEMACQUIRE1,
    SEMRELEASE1,
    GCMARKTERMINATION,
    FINDRUNNABLE,
    CREATEFING,
    QUEUEFINALIZER,
    RUNFINQ,
    RUNFINALIZERS,
    FREESPECIAL,
    IS_SYSTEM,
    MARKROOT,
    FINDOBJECT,
    SPANOF,
    OSINIT,
    FUNCTION_COUNT,
};

static const char *const function_names[FUNCTION_COUNT] = {
    [ALLGADD] = "runtime.allgadd",
    [MCOMMONINIT] = "runtime.mcommoninit",
    [PROCRESIZE] = "runtime.procresize",
    [NEWPROC1] = "runtime.newproc1",
    [SEMACQUIRE1] = "runtime.semacquire1",
    [SEMRELEASE1] = "runtime.semrelease1",
    [GCMARKTERMINATION] = "runtime.gcMarkTermination",
    [FINDRUNNABLE] = "runtime.findRunnable",
    [CREATEFING] = "runtime.createfing",
    [QUEUEFINALIZER] = "runtime.queuefinalizer",
    [RUNFINQ] = "runtime.runfinq",
    [RUNFINALIZERS] = "runtime.runFinalizers", /* its name from 1.25 */
    [FREESPECIAL] = "runtime.freeSpecial",
    [IS_SYSTEM] = "runtime.isSystemGoroutine",
    [MARKROOT] = "runtime.markroot",
    [FINDOBJECT] = "runtime.findObject",
    [SPANOF] = "runtime.spanOf",
    [OSINIT] = "runtime.osinit",
};

enum {
    LIST_MAX = 1 << 28,
    CHECK_ALL = 4096, /* so many entries of a list are looked at one by one */
    CHAIN_MAX = 1 << 20,
    BLOCK_REASONS = 64,
    REASON_MAX = 64,
    FIN_BLOCK_MAX = 4096, /* bytes of a block of finalizers, so never more entries */
    CPUS_MAX = 65536,
    FING_FLAGS_MAX = 64,
    ARENA_SHIFT = 26,
    ARENAS = 1 << 22,
    PAGE_SHIFT = 13,
    ARENA_PAGES = 1 << (ARENA_SHIFT - PAGE_SHIFT),
};

struct search {
    struct ca_go *go;
    struct ca_go_func functions[FUNCTION_COUNT];
    uint64_t low, high;                  /* the module's data, all sections */
    struct ca_go_references refs, other; /* of the function at hand, and of one to compare with */
};

/* References of one function into search->refs. false: no memory. */
static bool refer(struct search *search, enum function function)
{
    search->refs.list.len = 0;
    return ca_go_references_add(search->go, &search->functions[function], search->low, search->high,
                                &search->refs);
}

/* The same of another function, into search->other. */
static bool refer_other(struct search *search, enum function function)
{
    search->other.list.len = 0;
    return ca_go_references_add(search->go, &search->functions[function], search->low, search->high,
                                &search->other);
}

static bool is_g(struct ca_go *go, uint64_t g)
{
    uint64_t low, high;
    uint32_t status;
    return g && g % 8 == 0 && ca_go_read_u64(go, g, GO_G_STACK_LO, &low) &&
           ca_go_read_u64(go, g, GO_G_STACK_HI, &high) &&
           ca_go_read_u32(go, g, GO_G_STATUS, &status) && low <= high &&
           (status & ~CA_GO_SCAN) <= CA_GO_DEADEXTRA;
}

/* allgs: a slice, length <= capacity, every entry a g. */
static bool is_allgs(struct ca_go *go, uint64_t address)
{
    uint64_t slice[3], g;
    if (!ca_target_read(go->target, address, slice, sizeof(slice)) || !slice[1] ||
        slice[1] > slice[2] || slice[1] > LIST_MAX || slice[0] % 8)
        return false;
    uint64_t step = slice[1] > CHECK_ALL ? slice[1] / CHECK_ALL : 1;
    for (uint64_t i = 0; i < slice[1]; i += step)
        if (!ca_target_read_u64(go->target, slice[0] + i * 8, &g) || !is_g(go, g))
            return false;
    return true;
}

/* An m: its g0 leads back to it. */
static bool is_m(struct ca_go *go, uint64_t m)
{
    uint64_t g0, back;
    return m && m % 8 == 0 && ca_go_read_u64(go, m, GO_M_G0, &g0) && g0 &&
           ca_go_read_u64(go, g0, GO_G_M, &back) && back == m;
}

/* allm: a pointer to a chain of m's whose last one, m0, is a variable of the runtime. */
static bool is_allm(struct search *search, uint64_t address, uint64_t *length)
{
    struct ca_go *go = search->go;
    uint64_t m, last = 0;
    *length = 0;
    if (!ca_target_read_u64(go->target, address, &m))
        return false;
    while (m && *length < CHAIN_MAX) {
        if (!is_m(go, m))
            return false;
        last = m;
        ++*length;
        if (!ca_go_read_u64(go, m, GO_M_ALLLINK, &m))
            return false;
    }
    return last >= search->low && last < search->high;
}

static bool is_allp(struct ca_go *go, uint64_t address)
{
    uint64_t slice[3], p;
    uint32_t id;
    if (!ca_target_read(go->target, address, slice, sizeof(slice)) || !slice[1] ||
        slice[1] > slice[2] || slice[1] > 1 << 16)
        return false;
    for (uint64_t i = 0; i < slice[1]; i++)
        if (!ca_target_read_u64(go->target, slice[0] + i * 8, &p) || !p || p % 8 ||
            !ca_go_read_u32(go, p, GO_P_ID, &id) || id != i)
            return false;
    return true;
}

/* semtable: every bucket's treap is empty, or leads to a sudog of a real g. */
static bool is_semtable(struct search *search, uint64_t address, uint64_t *used)
{
    struct ca_go *go = search->go;
    const int32_t *at = go->layout.at;
    uint64_t stride = (uint64_t)at[GO_SEMTABLE_STRIDE], count = (uint64_t)at[GO_SEMTABLE_COUNT];
    *used = 0;
    if (at[GO_SEMTABLE_STRIDE] <= 0 || at[GO_SEMTABLE_COUNT] <= 0 ||
        address + stride * count > search->high || address % 8)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t treap, g;
        if (!ca_go_read_u64(go, address + i * stride, GO_SEMAROOT_TREAP, &treap))
            return false;
        if (!treap)
            continue;
        if (treap % 8 || !ca_go_read_u64(go, treap, GO_SUDOG_G, &g) || !is_g(go, g))
            return false;
        ++*used;
    }
    return true;
}

/* sched: goidgen, its first word, is not below the number of any goroutine. */
static bool is_sched(struct ca_go *go, uint64_t address)
{
    uint64_t generated, slice[2], g, goid, poll;
    if (!ca_target_read_u64(go->target, address, &generated) || !generated ||
        generated > 1ull << 48 || !ca_go_read_u64(go, address, GO_SCHED_LASTPOLL, &poll) ||
        poll > 1ull << 62 || !ca_target_read(go->target, go->globals.allgs, slice, 16))
        return false;
    uint64_t step = slice[1] > CHECK_ALL ? slice[1] / CHECK_ALL : 1;
    for (uint64_t i = 0; i < slice[1]; i += step)
        if (!ca_target_read_u64(go->target, slice[0] + i * 8, &g) ||
            !ca_go_read_u64(go, g, GO_G_GOID, &goid) || goid > generated)
            return false;
    return true;
}

static bool contains(const struct ca_go_references *refs, uint64_t address)
{
    for (size_t i = 0; i < refs->list.len; i++)
        if (refs->list.data[i] == address)
            return true;
    return false;
}

static bool search_allgs(struct search *search)
{
    struct ca_go *go = search->go;
    if (!refer(search, ALLGADD))
        return false;
    for (size_t i = 0; i < search->refs.list.len && !go->globals.allgs; i++)
        if (is_allgs(go, search->refs.list.data[i]))
            go->globals.allgs = search->refs.list.data[i];
    return true;
}

/* The first entry is the main goroutine. Not so in a library: there it ends, and another one takes
 * its place. */
static bool begins_with_main(struct ca_go *go, uint64_t address)
{
    uint64_t array, g, goid;
    return ca_target_read_u64(go->target, address, &array) &&
           ca_target_read_u64(go->target, array, &g) && ca_go_read_u64(go, g, GO_G_GOID, &goid) &&
           goid == 1;
}

/* The words of the data, those that are not in the core left out. */
static uint64_t word_from(const struct search *search, uint64_t at)
{
    uint64_t there = ca_target_next(search->go->target, at);
    return there < UINT64_MAX / 2 ? (there + 7) & ~7ull : UINT64_MAX / 2;
}

static uint64_t first_word(const struct search *search)
{
    return word_from(search, search->low);
}

static uint64_t next_word(const struct search *search, uint64_t at)
{
    return word_from(search, at + 8);
}

/* Without a usable allgadd: the data segment holds one slice whose entries are all g's. */
static void scan_allgs(struct search *search)
{
    struct ca_go *go = search->go;
    uint64_t found = 0, most = 0, slice[3];
    for (uint64_t at = first_word(search); at + 24 <= search->high; at = next_word(search, at)) {
        if (!ca_target_read(go->target, at, slice, sizeof(slice)) || slice[1] <= most ||
            !is_allgs(go, at) || !begins_with_main(go, at))
            continue;
        found = at;
        most = slice[1];
    }
    go->globals.allgs = found;
}

static bool search_allm(struct search *search)
{
    struct ca_go *go = search->go;
    uint64_t most = 0, length;
    if (!refer(search, MCOMMONINIT))
        return false;
    for (size_t i = 0; i < search->refs.list.len; i++)
        if (is_allm(search, search->refs.list.data[i], &length) && length > most) {
            most = length;
            go->globals.allm = search->refs.list.data[i];
        }
    return true;
}

static bool search_allp(struct search *search)
{
    struct ca_go *go = search->go;
    if (!refer(search, PROCRESIZE))
        return false;
    for (size_t i = 0; i < search->refs.list.len && !go->globals.allp; i++)
        if (is_allp(go, search->refs.list.data[i]))
            go->globals.allp = search->refs.list.data[i];
    return true;
}

/* newproc1 refers to goidgen, its first field, and findRunnable to lastpoll. */
static bool search_sched(struct search *search)
{
    struct ca_go *go = search->go;
    uint64_t poll_at = (uint64_t)go->layout.at[GO_SCHED_LASTPOLL];
    if (!refer(search, NEWPROC1) || !refer_other(search, FINDRUNNABLE))
        return false;
    for (size_t i = 0; i < search->refs.list.len && !go->globals.sched; i++) {
        uint64_t candidate = search->refs.list.data[i];
        if (candidate % 8 == 0 && contains(&search->other, candidate + poll_at) &&
            is_sched(go, candidate))
            go->globals.sched = candidate;
    }
    return true;
}

/* Both semacquire1 and semrelease1 refer to it; the table with the most waiters wins, so that
 * zeroed memory is not taken for it. */
static bool search_semtable(struct search *search)
{
    struct ca_go *go = search->go;
    uint64_t most = 0, used;
    if (!refer(search, SEMACQUIRE1) || !refer_other(search, SEMRELEASE1))
        return false;
    for (size_t i = 0; i < search->refs.list.len; i++) {
        uint64_t candidate = search->refs.list.data[i];
        if (contains(&search->other, candidate) && is_semtable(search, candidate, &used) &&
            (!go->globals.semtable || used > most)) {
            most = used;
            go->globals.semtable = candidate;
        }
    }
    return true;
}

/* Two fields of memstats are written at the end of each collection. */
static bool search_memstats(struct search *search)
{
    struct ca_go *go = search->go;
    uint64_t unix_at = (uint64_t)go->layout.at[GO_MSTATS_LAST_GC_UNIX];
    uint64_t nano_at = (uint64_t)go->layout.at[GO_MSTATS_LAST_GC_NANO];
    if (!refer(search, GCMARKTERMINATION))
        return false;
    for (size_t i = 0; i < search->refs.list.len; i++) {
        uint64_t base = search->refs.list.data[i] - unix_at;
        if (base >= search->low && contains(&search->refs, base + nano_at)) {
            go->globals.memstats = base;
            break;
        }
    }
    return true;
}

/* waitReasonStrings: its first two entries have never changed: "" and "GC assist marking". */
static void search_reasons(struct search *search)
{
    static const char second[] = "GC assist marking";
    struct ca_go *go = search->go;
    for (uint64_t at = first_word(search); at + 32 <= search->high; at = next_word(search, at)) {
        uint64_t strings[4];
        char text[sizeof(second) - 1];
        if (!ca_target_read(go->target, at, strings, sizeof(strings)) || strings[1] ||
            strings[3] != sizeof(text) ||
            !ca_target_read(go->target, strings[2], text, sizeof(text)) ||
            memcmp(text, second, sizeof(text)) != 0)
            continue;
        go->globals.wait_reasons = at;
        break;
    }
    uint64_t count = 0, string[2];
    char text[REASON_MAX];
    while (go->globals.wait_reasons && count < BLOCK_REASONS &&
           ca_target_read(go->target, go->globals.wait_reasons + count * 16, string, 16) &&
           string[1] <= sizeof(text) && (string[1] || !count) &&
           (!string[1] || ca_target_read(go->target, string[0], text, string[1])))
        count++;
    go->globals.wait_reasons_size = count * 16;
}

/* Whether the finalizers' goroutine runs one now, which makes it the user's: a word of flags to
 * which createfing refers as well (from 1.20), or a byte. isSystemGoroutine and runfinq read and
 * write it. */
static bool search_fing(struct search *search)
{
    struct ca_go *go = search->go;
    enum function run = search->functions[RUNFINQ].record ? RUNFINQ : RUNFINALIZERS;
    if (!refer(search, IS_SYSTEM) || !refer_other(search, run))
        return false;
    uint64_t found = 0;
    for (size_t i = 0; i < search->refs.list.len && !found; i++)
        if (contains(&search->other, search->refs.list.data[i]))
            found = search->refs.list.data[i];
    uint32_t flags;
    uint8_t running;
    if (!found || !refer(search, CREATEFING))
        return !found;
    if (contains(&search->refs, found)) {
        if (ca_target_read_u32(go->target, found, &flags) && flags < FING_FLAGS_MAX)
            go->globals.fing_status = found;
    } else if (ca_target_read(go->target, found, &running, 1) && running <= 1) {
        go->globals.fing_running = found;
    }
    return true;
}

/* A list of blocks of finalizers, of any length. */
static bool is_fin_list(struct ca_go *go, uint64_t address, uint64_t *first)
{
    uint64_t block;
    uint32_t count;
    if (!ca_target_read_u64(go->target, address, first))
        return false;
    block = *first;
    for (int i = 0; block && i < CHAIN_MAX; i++)
        if (block % 8 || !ca_go_read_u32(go, block, GO_FINBLOCK_CNT, &count) ||
            count > FIN_BLOCK_MAX || !ca_go_read_u64(go, block, GO_FINBLOCK_ALLLINK, &block))
            return false;
    return !block;
}

/* allfin: queuefinalizer adds to it, markroot walks it. An empty list has no marks of its own: one
 * that holds something is preferred. */
static bool search_allfin(struct search *search)
{
    struct ca_go *go = search->go;
    bool filled = false;
    if (!refer(search, QUEUEFINALIZER) || !refer_other(search, MARKROOT))
        return false;
    for (size_t i = 0; i < search->refs.list.len && !filled; i++) {
        uint64_t candidate = search->refs.list.data[i], first;
        if (candidate % 8 || !contains(&search->other, candidate) ||
            !is_fin_list(go, candidate, &first) || (!first && go->globals.allfin))
            continue;
        go->globals.allfin = candidate;
        filled = first != 0;
    }
    return true;
}

/* gcCleanups: freeSpecial refers to it, markroot to its list of all blocks. */
static bool search_cleanups(struct search *search)
{
    struct ca_go *go = search->go;
    if (go->layout.at[GO_CLEANUPS_ALL] == CA_LAYOUT_ABSENT)
        return true;
    uint64_t all_at = (uint64_t)go->layout.at[GO_CLEANUPS_ALL];
    if (!refer(search, FREESPECIAL) || !refer_other(search, MARKROOT))
        return false;
    for (size_t i = 0; i < search->refs.list.len && !go->globals.gc_cleanups; i++) {
        uint64_t candidate = search->refs.list.data[i];
        if (candidate % 8 == 0 && contains(&search->other, candidate + all_at))
            go->globals.gc_cleanups = candidate;
    }
    return true;
}

/* mheap_.arenas: a table that leads from the address of a g to a span that holds it. */
static bool is_arenas(struct ca_go *go, uint64_t address, uint64_t g)
{
    uint64_t base = go->target->arch == CA_ARCH_AMD64 ? 0xffff800000000000u : 0;
    uint64_t number = (g - base) >> ARENA_SHIFT, table, arena, span, start, pages;
    return number < ARENAS && ca_target_read_u64(go->target, address, &table) && table &&
           table % 8 == 0 && ca_target_read_u64(go->target, table + number * 8, &arena) && arena &&
           ca_go_read_u64(go, arena + (g >> PAGE_SHIFT) % ARENA_PAGES * 8, GO_HEAPARENA_SPANS,
                          &span) &&
           span && ca_go_read_u64(go, span, GO_MSPAN_START, &start) &&
           ca_go_read_u64(go, span, GO_MSPAN_NPAGES, &pages) && g >= start &&
           (g - start) >> PAGE_SHIFT < pages;
}

/* findObject refers to it, or what it calls where nothing was inlined: to its field or to all of
 * it.
 */
static bool search_mheap(struct search *search)
{
    static const enum function users[] = {FINDOBJECT, SPANOF};
    struct ca_go *go = search->go;
    uint64_t array, g, arenas_at = (uint64_t)go->layout.at[GO_MHEAP_ARENAS];
    if (!ca_target_read_u64(go->target, go->globals.allgs, &array) ||
        !ca_target_read_u64(go->target, array, &g))
        return true;
    for (size_t u = 0; u < sizeof(users) / sizeof(users[0]) && !go->globals.mheap; u++) {
        if (!refer(search, users[u]))
            return false;
        for (size_t i = 0; i < search->refs.list.len && !go->globals.mheap; i++) {
            uint64_t at = search->refs.list.data[i];
            if (is_arenas(go, at, g))
                go->globals.mheap = at - arenas_at;
            else if (is_arenas(go, at + arenas_at, g))
                go->globals.mheap = at;
        }
    }
    return true;
}

/* osinit sets the number of processors before anything else. */
static bool search_cpus(struct search *search)
{
    struct ca_go *go = search->go;
    uint32_t value;
    if (!refer(search, OSINIT))
        return false;
    for (size_t i = 0; i < search->refs.list.len && !go->globals.ncpu; i++)
        if (search->refs.list.data[i] % 4 == 0 &&
            ca_target_read_u32(go->target, search->refs.list.data[i], &value) && value &&
            value <= CPUS_MAX)
            go->globals.ncpu = search->refs.list.data[i];
    return true;
}

static void data_range(struct search *search)
{
    const struct ca_go_module *module = &search->go->tables.modules.data[0];
    search->low = module->noptrdata ? module->noptrdata : module->data;
    search->high = module->enoptrbss > module->ebss ? module->enoptrbss : module->ebss;
    if (module->data < search->low)
        search->low = module->data;
    if (search->high - search->low > 1ull << 30 || search->high > UINT64_MAX / 2)
        search->high = search->low = 0;
}

struct ca_error *ca_go_search_globals(struct ca_go *go)
{
    struct search search = {.go = go};
    go->globals.first_moduledata = go->tables.modules.data[0].address;
    data_range(&search);
    ca_go_tables_functions(&go->tables, function_names, FUNCTION_COUNT, search.functions);
    bool ok = search_allgs(&search);
    if (ok && !go->globals.allgs)
        scan_allgs(&search);
    if (ok && go->globals.allgs)
        ok = search_allm(&search) && search_allp(&search) && search_sched(&search) &&
             search_semtable(&search) && search_memstats(&search) && search_fing(&search) &&
             search_allfin(&search) && search_cleanups(&search) && search_mheap(&search) &&
             search_cpus(&search);
    if (ok)
        search_reasons(&search);
    ca_vec_deinit(&search.refs.list);
    ca_vec_deinit(&search.other.list);
    if (!ok)
        return &ca_error_nomem;
    if (!go->globals.allgs)
        return ca_error_create(CA_ERROR_NOT_FOUND,
                               "the list of goroutines was not found in this stripped program: "
                               "either it died before its first goroutine, or the core lacks its "
                               "data; an unstripped build of it by --exe would help");
    return NULL;
}
