/* Finding things without a list: every aligned address of writable memory is a candidate, and all
 * tests must hold. The first test is compiled into a comparison of one word where it has the form
 * `.member == constant` or `.member == &. + constant`, which is what makes gigabytes bearable.
 */
#include <elf.h>
#include <string.h>

#include "runtimes/described/walk.h"

enum { CHUNK = 1 << 20 };

struct fast {
    bool usable, relative; /* relative: imm is added to the candidate's address */
    uint64_t offset, imm, mask;
    uint8_t size;
};

/* THIS [ADD] LOAD on the left; CONST, or THIS [ADD], on the right. */
static struct fast fast_form(const struct ca_test *test)
{
    struct fast ret = {0};
    const struct ca_expr *l = &test->left, *r = &test->right;
    if (test->op != CA_TEST_EQ || !l->bound || !r->bound || r->string)
        return ret;
    unsigned i = 0;
    if (i >= l->step_count || l->steps[i++].op != CA_STEP_THIS)
        return ret;
    if (i < l->step_count && l->steps[i].op == CA_STEP_ADD)
        ret.offset = l->steps[i++].imm;
    if (i + 1 != l->step_count || l->steps[i].op != CA_STEP_LOAD)
        return ret;
    ret.size = l->steps[i].size;
    if (r->step_count == 1 && r->steps[0].op == CA_STEP_CONST) {
        ret.imm = r->steps[0].imm;
    } else if (r->step_count && r->step_count <= 2 && r->steps[0].op == CA_STEP_THIS &&
               (r->step_count == 1 || r->steps[1].op == CA_STEP_ADD)) {
        ret.relative = true;
        ret.imm = r->step_count == 2 ? r->steps[1].imm : 0;
    } else {
        return ret;
    }
    ret.mask = ret.size >= 8 ? UINT64_MAX : (1ull << ret.size * 8) - 1;
    ret.usable = ret.offset < CHUNK && (ret.size == 8 || ret.size == 4);
    return ret;
}

struct scan {
    struct ca_source *source;
    struct ca_scope scope;
    struct fast fast;
    ca_walk_fn *fn;
    void *arg;
};

static bool candidate(struct scan *scan, uint64_t address)
{
    struct ca_source *source = scan->source;
    scan->scope.here = address;
    if (!ca_tests_hold(source->where, &scan->scope, true)) {
        source->rejected++;
        return true;
    }
    source->found++;
    return scan->fn(scan->arg, source, &scan->scope);
}

/* The next address from `at` on at which the first test holds, or at which it must be asked. */
static uint64_t next_candidate(const struct scan *scan, uint64_t at, uint64_t start, uint64_t end,
                               const uint8_t *bytes, uint64_t readable)
{
    const struct fast *fast = &scan->fast;
    uint64_t align = scan->source->scan_align, step = fast->relative ? align : 0;
    uint64_t want = fast->imm + (fast->relative ? at : 0);
    for (; at < end; at += align, want += step) {
        uint64_t word = 0, offset = at - start + fast->offset;
        if (offset + fast->size > readable)
            break;
        if (fast->size == 8)
            memcpy(&word, bytes + offset, 8);
        else
            memcpy(&word, bytes + offset, 4);
        if (word == (want & fast->mask))
            break;
    }
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
    struct scan scan = {source, *scope, fast_form(source->where), fn, arg};
    uint64_t extra = scan.fast.usable ? scan.fast.offset + scan.fast.size : 8;
    uint8_t *scratch = malloc(2 * CHUNK + 16);
    bool ok = scratch != NULL;
    for (size_t i = 0; ok && i < target->mappings.len; i++) {
        const struct ca_mapping *m = &target->mappings.data[i];
        if ((m->flags & (PF_R | PF_W)) != (PF_R | PF_W))
            continue;
        for (uint64_t at = m->start; ok && at < m->end; at += CHUNK) {
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
