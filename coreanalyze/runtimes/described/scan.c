/* Finding things without a list: every aligned address of writable memory is a candidate, and all
 * tests must hold. The first test is compiled into a comparison of one word where it has the form
 * `.member == &. + constant` or `.member == what does not depend on the candidate` (a number, a
 * global; of thread-locals, the value of any thread), which is what makes gigabytes bearable.
 */
#include <elf.h>
#include <string.h>

#include "runtimes/described/walk.h"

enum { CHUNK = 1 << 20 };

enum { VALUES = 256 };

struct fast {
    bool usable, relative; /* relative: imm is added to the candidate's address */
    uint64_t offset, imm, mask;
    uint8_t size;
    size_t count; /* values, when not relative */
    uint64_t values[VALUES];
};

/* THIS [ADD] LOAD: a member of the candidate. */
static bool is_member(const struct ca_expr *e, struct fast *ret)
{
    unsigned i = 0;
    if (i >= e->step_count || e->steps[i++].op != CA_STEP_THIS)
        return false;
    if (i < e->step_count && e->steps[i].op == CA_STEP_ADD)
        ret->offset = e->steps[i++].imm;
    if (i + 1 != e->step_count || e->steps[i].op != CA_STEP_LOAD)
        return false;
    ret->size = e->steps[i].size;
    ret->mask = ret->size >= 8 ? UINT64_MAX : (1ull << ret->size * 8) - 1;
    return ret->offset < CHUNK && (ret->size == 8 || ret->size == 4);
}

static bool is_relative(const struct ca_expr *e, struct fast *ret)
{
    if (!e->step_count || e->step_count > 2 || e->steps[0].op != CA_STEP_THIS ||
        (e->step_count == 2 && e->steps[1].op != CA_STEP_ADD))
        return false;
    ret->relative = true;
    ret->imm = e->step_count == 2 ? e->steps[1].imm : 0;
    return true;
}

static void add_value(const struct ca_expr *e, const struct ca_scope *scope, struct fast *ret)
{
    uint64_t value;
    if (!ca_expr_value(e, scope, &value))
        return;
    value &= ret->mask;
    for (size_t i = 0; i < ret->count; i++)
        if (ret->values[i] == value)
            return;
    if (ret->count == VALUES)
        ret->usable = false;
    else
        ret->values[ret->count++] = value;
}

/* What does not depend on the candidate is worked out once. */
static bool is_independent(const struct ca_expr *e, const struct ca_scope *scope, struct fast *ret)
{
    for (unsigned i = 0; i < e->step_count; i++)
        if (e->steps[i].op == CA_STEP_THIS || e->steps[i].op == CA_STEP_OUTER)
            return false;
    ret->usable = true;
    if (!e->per_thread)
        add_value(e, scope, ret);
    for (size_t i = 0; e->per_thread && i < scope->target->threads.len; i++) {
        struct ca_scope own = *scope;
        own.thread_pointer = scope->target->threads.data[i].tls;
        add_value(e, &own, ret);
    }
    return ret->usable;
}

static struct fast fast_form(const struct ca_test *test, const struct ca_scope *scope)
{
    struct fast ret = {0};
    const struct ca_expr *l = &test->left, *r = &test->right;
    if (test->op == CA_TEST_EQ && l->bound && r->bound && !r->string && is_member(l, &ret))
        ret.usable = is_relative(r, &ret) || is_independent(r, scope, &ret);
    return ret;
}

static bool any_per_thread(const struct ca_test *test)
{
    for (; test; test = test->next)
        if (test->left.per_thread || test->right.per_thread || test->high.per_thread)
            return true;
    return false;
}

struct scan {
    struct ca_source *source;
    struct ca_scope scope;
    struct fast fast;
    bool per_thread; /* tests name thread-locals: that they hold for one thread is enough */
    ca_walk_fn *fn;
    void *arg;
};

static bool holds(struct scan *scan)
{
    struct ca_target *target = scan->scope.target;
    if (!scan->per_thread)
        return ca_tests_hold(scan->source->where, &scan->scope, true);
    for (size_t i = 0; i < target->threads.len; i++) {
        scan->scope.thread_pointer = target->threads.data[i].tls;
        bool last = i + 1 == target->threads.len;
        if (ca_tests_hold(scan->source->where, &scan->scope, last))
            return true;
    }
    return false;
}

static bool candidate(struct scan *scan, uint64_t address)
{
    struct ca_source *source = scan->source;
    scan->scope.here = address;
    if (!holds(scan)) {
        source->rejected++;
        return true;
    }
    return ca_walk_found(source, &scan->scope, scan->fn, scan->arg);
}

static inline __attribute__((always_inline)) bool is_wanted(const struct fast *fast, uint64_t word,
                                                            uint64_t at, size_t size, bool relative)
{
    if (relative)
        return size == 8 ? word - at == fast->imm : word == (uint32_t)(fast->imm + at);
    for (size_t i = 0; i < fast->count; i++)
        if (word == fast->values[i])
            return true;
    return false;
}

/* The next address from `at` on, before `end`, at which the first test holds; bytes: of the member
 * of the candidate at `at`. Nearly all the time of a scan is here: size and form are constants
 * where it is called. */
static inline __attribute__((always_inline)) uint64_t
next_wanted(const struct fast *fast, uint64_t at, uint64_t end, uint64_t align,
            const uint8_t *bytes, size_t size, bool relative)
{
    for (; at < end; at += align, bytes += align) {
        uint64_t word = 0;
        memcpy(&word, bytes, size);
        if (is_wanted(fast, word, at, size, relative))
            break;
    }
    return at;
}

/* The same, or the first address at which the test must be asked because its member is not here. */
static uint64_t next_candidate(const struct scan *scan, uint64_t at, uint64_t start, uint64_t end,
                               const uint8_t *bytes, uint64_t readable)
{
    const struct fast *fast = &scan->fast;
    uint64_t align = scan->source->scan_align, extra = fast->offset + fast->size;
    uint64_t stop = readable < extra ? start : start + (readable - extra) + 1;
    if (stop > end)
        stop = end;
    bytes += at - start + fast->offset;
    if (fast->size == 4)
        at = fast->relative ? next_wanted(fast, at, stop, align, bytes, 4, true)
                            : next_wanted(fast, at, stop, align, bytes, 4, false);
    else if (align == 8)
        at = fast->relative ? next_wanted(fast, at, stop, 8, bytes, 8, true)
                            : next_wanted(fast, at, stop, 8, bytes, 8, false);
    else
        at = fast->relative ? next_wanted(fast, at, stop, align, bytes, 8, true)
                            : next_wanted(fast, at, stop, align, bytes, 8, false);
    return at;
}

/* bytes: of start; candidates are the aligned addresses in [start, end). */
static bool scan_piece(struct scan *scan, uint64_t start, uint64_t end, const uint8_t *bytes,
                       uint64_t readable)
{
    uint64_t align = scan->source->scan_align, at = (start + align - 1) & -align;
    while (at >= start && at < end) {
        if (scan->fast.usable) {
            uint64_t next = next_candidate(scan, at, start, end, bytes, readable);
            scan->source->where->rejected += (next - at) / align;
            at = next;
        }
        if (at < end && !candidate(scan, at))
            return false;
        at += align;
    }
    return true;
}

bool ca_walk_scan(struct ca_source *source, const struct ca_scope *scope, ca_walk_fn *fn, void *arg)
{
    struct ca_target *target = scope->target;
    struct scan scan = {.source = source, .scope = *scope, .fn = fn, .arg = arg};
    scan.fast = fast_form(source->where, scope);
    scan.per_thread = any_per_thread(source->where);
    uint64_t extra = scan.fast.usable ? scan.fast.offset + scan.fast.size : 8;
    uint8_t *scratch = malloc(2 * CHUNK + 16);
    bool ok = scratch != NULL;
    for (size_t i = 0; ok && i < target->mappings.len; i++) {
        const struct ca_mapping *m = &target->mappings.data[i];
        if ((m->flags & (PF_R | PF_W)) != (PF_R | PF_W))
            continue;
        for (uint64_t at = m->start; ok && at < m->end; at += CHUNK) {
            uint64_t there = ca_target_next(target, at);
            if (there >= m->end)
                break;
            at += (there - at) / CHUNK * CHUNK;
            uint64_t size = m->end - at < CHUNK ? m->end - at : CHUNK;
            uint64_t more = m->end - at < size + extra ? m->end - at : size + extra;
            const uint8_t *bytes = ca_target_peek(target, at, scratch, more);
            if (!bytes && more > size)
                bytes = ca_target_peek(target, at, scratch, more = size);
            if (bytes)
                ok = scan_piece(&scan, at, at + size, bytes, more);
            else
                for (uint64_t page = at; ok && page < at + size; page += 4096)
                    if ((bytes = ca_target_peek(target, page, scratch, 4096)))
                        ok = scan_piece(&scan, page, page + 4096, bytes, 4096);
        }
    }
    free(scratch);
    return ok;
}
