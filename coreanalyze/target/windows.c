#include "target/windows.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "target/target.h"

enum {
    AROUND = 8, /* pages that are loaded together with the one that is wanted */
};

/* The last window of all: addresses in it are in nobody's hands. */
#define LAST (UINT64_MAX - (CA_WINDOW_SIZE - 1))

static uint64_t window_start(uint64_t address)
{
    return address & ~(uint64_t)(CA_WINDOW_SIZE - 1);
}

static size_t page_of(uint64_t address)
{
    return address % CA_WINDOW_SIZE / CA_WINDOW_PAGE;
}

static bool bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void set_bits(uint64_t *bits, size_t from, size_t to)
{
    for (; from < to; from++)
        bits[from / 64] |= (uint64_t)1 << (from % 64);
}

/* The first page at or behind i whose bit is `wanted`, at most end. */
static size_t next_bit(const uint64_t *bits, size_t i, size_t end, bool wanted)
{
    while (i < end) {
        uint64_t word = (wanted ? bits[i / 64] : ~bits[i / 64]) >> (i % 64);
        if (word) {
            i += (size_t)__builtin_ctzll(word);
            return i < end ? i : end;
        }
        i = (i / 64 + 1) * 64;
    }
    return end;
}

/* The first page of the run of set bits that ends before i. */
static size_t run_start(const uint64_t *bits, size_t i)
{
    while (i > 0) {
        uint64_t word = ~bits[(i - 1) / 64] << (63 - (i - 1) % 64);
        if (word)
            return i - (size_t)__builtin_clzll(word);
        i = (i - 1) / 64 * 64;
    }
    return 0;
}

void ca_windows_deinit(struct ca_windows *windows)
{
    for (size_t i = 0; i < windows->list.len; i++)
        munmap(windows->list.data[i].bytes, CA_WINDOW_SIZE);
    ca_vec_deinit(&windows->list);
    ca_map_deinit(&windows->index);
}

/* The window that holds address, made when there is none; NULL: no memory. */
static struct ca_window *window_at(struct ca_windows *windows, uint64_t address)
{
    uint64_t start = window_start(address);
    uint64_t *place = ca_map_put(&windows->index, start, NULL);
    if (!place)
        return NULL;
    if (*place)
        return &windows->list.data[*place - 1];
    void *bytes = mmap(NULL, CA_WINDOW_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    if (!ca_vec_push(&windows->list, (struct ca_window){.start = start, .bytes = bytes})) {
        munmap(bytes, CA_WINDOW_SIZE);
        return NULL;
    }
    *place = windows->list.len;
    return &windows->list.data[*place - 1];
}

static uint8_t *page_bytes(const struct ca_window *window, size_t page)
{
    return window->bytes + page * CA_WINDOW_PAGE;
}

/* Loads pages, none of which was asked for yet. What is there only in part is loaded page by page.
 */
static void load_pages(struct ca_target *target, struct ca_window *window, size_t from, size_t to)
{
    uint64_t address = window->start + from * CA_WINDOW_PAGE;
    set_bits(window->asked, from, to);
    if (target->load(target, address, page_bytes(window, from), (to - from) * CA_WINDOW_PAGE)) {
        set_bits(window->there, from, to);
        return;
    }
    for (size_t i = from; i < to && to - from > 1; i++, address += CA_WINDOW_PAGE)
        if (target->load(target, address, page_bytes(window, i), CA_WINDOW_PAGE))
            set_bits(window->there, i, i + 1);
}

/* Whether memory may be asked for at an address that is not here. After the target was let go it
 * may not: then what is missing is counted. */
static bool may_load(struct ca_target *target, uint64_t address)
{
    const struct ca_mapping *mapping =
        target->mappings_whole ? ca_target_mapping(target, address) : NULL;
    if (target->mappings_whole && !mapping)
        return false;
    if (!target->load && mapping && mapping->flags & PF_R)
        target->missed++;
    return target->load != NULL;
}

/* Loads a page and those around it, as far as they were not asked for. */
static void load_around(struct ca_target *target, struct ca_window *window, size_t page)
{
    size_t first = page & ~(size_t)(AROUND - 1);
    size_t to = next_bit(window->asked, page, first + AROUND, true);
    while (next_bit(window->asked, first, page, true) < page)
        first++;
    load_pages(target, window, first, to);
}

const uint8_t *ca_windows_at(struct ca_target *target, uint64_t address, size_t size,
                             uint64_t *start, uint64_t *end)
{
    struct ca_windows *windows = &target->windows;
    uint64_t base = window_start(address);
    size_t page = page_of(address), stop;
    const uint64_t *place = ca_map_get(&windows->index, base);
    struct ca_window *window = place && *place ? &windows->list.data[*place - 1] : NULL;
    if (!window || !bit(window->asked, page)) {
        if (base == LAST || !may_load(target, address) || !(window = window_at(windows, address)))
            return NULL;
        load_around(target, window, page);
    }
    if (!bit(window->there, page))
        return NULL;
    for (;;) {
        stop = next_bit(window->there, page, CA_WINDOW_PAGES, false);
        *end = base + stop * CA_WINDOW_PAGE;
        if (*end - address >= size || stop == CA_WINDOW_PAGES || bit(window->asked, stop) ||
            !may_load(target, *end))
            break;
        load_around(target, window, stop);
    }
    *start = base + run_start(window->there, page + 1) * CA_WINDOW_PAGE;
    return page_bytes(window, page) + address % CA_WINDOW_PAGE;
}

static bool hold_pages(struct ca_target *target, struct ca_window *window, size_t from, size_t to)
{
    size_t at = from;
    while (target->load && (at = next_bit(window->asked, at, to, false)) < to) {
        size_t stop = next_bit(window->asked, at, to, true);
        load_pages(target, window, at, stop);
        at = stop;
    }
    return next_bit(window->there, from, to, false) == to;
}

bool ca_windows_hold(struct ca_target *target, uint64_t address, uint64_t size)
{
    uint64_t end;
    bool whole = true;
    if (!size || __builtin_add_overflow(address, size, &end))
        return !size;
    while (address < end) {
        uint64_t base = window_start(address);
        uint64_t stop = end - base < CA_WINDOW_SIZE ? end : base + CA_WINDOW_SIZE;
        struct ca_window *window = base == LAST ? NULL : window_at(&target->windows, address);
        if (!window)
            return false;
        whole &= hold_pages(target, window, page_of(address),
                            (stop - base + CA_WINDOW_PAGE - 1) / CA_WINDOW_PAGE);
        address = stop;
    }
    return whole;
}

/* ---- all again ----------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
    const struct ca_window *const *one = a, *const *two = b;
    return ((*one)->start > (*two)->start) - ((*one)->start < (*two)->start);
}

struct pieces {
    CA_VEC(struct ca_piece) list;
};

/* The runs of pages that are here, by address. */
static bool list_pieces(struct ca_windows *windows, struct pieces *pieces)
{
    size_t count = windows->list.len;
    struct ca_window **sorted = calloc(count + 1, sizeof(*sorted));
    bool ok = sorted != NULL;
    for (size_t i = 0; ok && i < count; i++)
        sorted[i] = &windows->list.data[i];
    if (ok && count)
        qsort(sorted, count, sizeof(*sorted), by_start);
    for (size_t i = 0; ok && i < count; i++) {
        struct ca_window *window = sorted[i];
        for (size_t at = 0; ok;) {
            at = next_bit(window->there, at, CA_WINDOW_PAGES, true);
            if (at == CA_WINDOW_PAGES)
                break;
            size_t stop = next_bit(window->there, at, CA_WINDOW_PAGES, false);
            struct ca_piece piece = {window->start + at * CA_WINDOW_PAGE, page_bytes(window, at),
                                     (stop - at) * CA_WINDOW_PAGE};
            ok = ca_vec_push(&pieces->list, piece);
            at = stop;
        }
    }
    free(sorted);
    return ok;
}

/* The page at address has gone. */
static void forget_page(struct ca_windows *windows, uint64_t address)
{
    const uint64_t *place = ca_map_get(&windows->index, window_start(address));
    if (!place || !*place)
        return;
    struct ca_window *window = &windows->list.data[*place - 1];
    size_t page = page_of(address);
    window->there[page / 64] &= ~((uint64_t)1 << (page % 64));
}

struct ca_error *ca_windows_refresh(struct ca_target *target)
{
    struct ca_windows *windows = &target->windows;
    struct pieces pieces = {0};
    target->near = (struct ca_segment){0};
    for (size_t i = 0; i < windows->list.len; i++)
        memcpy(windows->list.data[i].asked, windows->list.data[i].there,
               sizeof(windows->list.data[i].asked));
    if (!list_pieces(windows, &pieces)) {
        ca_vec_deinit(&pieces.list);
        return &ca_error_nomem;
    }
    /* Where a copy ends early, the page at that place has gone. */
    for (size_t i = 0; i < pieces.list.len;) {
        struct ca_piece *piece = &pieces.list.data[i];
        size_t done = target->load_pieces(target, piece, pieces.list.len - i);
        while (i < pieces.list.len && done >= pieces.list.data[i].size)
            done -= pieces.list.data[i++].size;
        if (i == pieces.list.len)
            break;
        piece = &pieces.list.data[i];
        size_t gone = done - done % CA_WINDOW_PAGE;
        forget_page(windows, piece->address + gone);
        gone += CA_WINDOW_PAGE;
        piece->address += gone;
        piece->to += gone;
        piece->size -= gone;
        i += piece->size == 0;
    }
    ca_vec_deinit(&pieces.list);
    return NULL;
}
