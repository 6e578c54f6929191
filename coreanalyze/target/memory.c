#include "target/target.h"

#include <string.h>

/* Bytes that are not in a segment are loaded in chunks. A chunk that is there only in part (it
 * crosses the end of a mapping) is loaded page by page, and keeps which of them are there. */
enum {
    CHUNK_SIZE = 32768,
    PAGE_SIZE = 4096,
    PAGES = CHUNK_SIZE / PAGE_SIZE,
    ALL_PAGES = (1 << PAGES) - 1,
    VALID_AT = CHUNK_SIZE, /* the byte behind a chunk's data: a bit for each page */
};

/* The index of the segment that holds address, or of the first one above it. */
static size_t find_segment(const struct ca_target *target, uint64_t address)
{
    size_t low = 0, high = target->segments.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (target->segments.data[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct ca_segment *segment_at(struct ca_target *target, uint64_t address)
{
    if (target->last_segment < target->segments.len) {
        const struct ca_segment *last = &target->segments.data[target->last_segment];
        if (address - last->start < last->end - last->start)
            return last;
    }
    size_t i = find_segment(target, address);
    if (i == target->segments.len || target->segments.data[i].start > address)
        return NULL;
    target->last_segment = i;
    return &target->segments.data[i];
}

/* Loads what is there of the chunk; the bits of the pages that are. */
static uint8_t load_pages(struct ca_target *target, uint64_t base, uint8_t *data)
{
    if (target->load(target, base, data, CHUNK_SIZE))
        return ALL_PAGES;
    uint8_t valid = 0;
    for (unsigned i = 0; i < PAGES; i++)
        if (target->load(target, base + i * PAGE_SIZE, data + i * PAGE_SIZE, PAGE_SIZE))
            valid |= (uint8_t)(1u << i);
    return valid;
}

/* The chunk that holds address, or NULL. What could not be loaded is not asked for again. */
static const uint8_t *chunk_at(struct ca_target *target, uint64_t address)
{
    uint64_t number = address / CHUNK_SIZE;
    const uint64_t *known = ca_map_get(&target->chunks, number);
    if (known)
        return *known ? target->chunk_data.data[*known - 1] : NULL;
    if (!target->load || (target->mappings_whole && !ca_target_mapping(target, address)))
        return NULL;
    if (!ca_vec_reserve(&target->chunk_data, 1))
        return NULL;
    uint8_t *data = malloc(CHUNK_SIZE + 1);
    if (!data)
        return NULL;
    data[VALID_AT] = load_pages(target, number * CHUNK_SIZE, data);
    uint64_t *slot = ca_map_put(&target->chunks, number, NULL);
    if (!slot || !data[VALID_AT]) {
        free(data);
        return NULL;
    }
    target->chunk_data.data[target->chunk_data.len++] = data;
    *slot = target->chunk_data.len;
    return data;
}

/* The bytes at address as far as they are contiguous here: NULL, or *size of them (at least 1). */
static const uint8_t *stretch_at(struct ca_target *target, uint64_t address, uint64_t *size)
{
    const struct ca_segment *segment = segment_at(target, address);
    if (segment) {
        *size = segment->end - address;
        return segment->bytes + (address - segment->start);
    }
    const uint8_t *chunk = chunk_at(target, address);
    if (!chunk)
        return NULL;
    unsigned at = (unsigned)(address % CHUNK_SIZE), end = at / PAGE_SIZE;
    while (end < PAGES && chunk[VALID_AT] & 1u << end)
        end++;
    if (end * PAGE_SIZE <= at)
        return NULL;
    *size = end * PAGE_SIZE - at;
    /* A segment that starts inside the chunk wins from there on. */
    size_t next = find_segment(target, address);
    if (next < target->segments.len && target->segments.data[next].start - address < *size)
        *size = target->segments.data[next].start - address;
    return chunk + at;
}

bool ca_target_read_slow(struct ca_target *target, uint64_t address, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    if (size && address + (size - 1) < address)
        return false;
    while (size) {
        uint64_t there;
        const uint8_t *bytes = stretch_at(target, address, &there);
        if (!bytes)
            return false;
        size_t part = there < size ? (size_t)there : size;
        memcpy(to, bytes, part);
        to += part;
        address += part;
        size -= part;
    }
    return true;
}

struct ca_error *ca_target_fetch(struct ca_target *target, uint64_t address, void *buffer,
                                 size_t size)
{
    if (ca_target_read(target, address, buffer, size))
        return NULL;
    return ca_error_at(CA_ERROR_FAULT, address, "%zu bytes at 0x%llx cannot be read%s", size,
                       (unsigned long long)address,
                       target->complete ? "" : ": the core is cut, they may be in the lost part");
}

const void *ca_target_view(struct ca_target *target, uint64_t address, size_t size)
{
    uint64_t there;
    const uint8_t *bytes = stretch_at(target, address, &there);
    return bytes && size <= there ? bytes : NULL;
}

const void *ca_target_peek(struct ca_target *target, uint64_t address, void *scratch, size_t size)
{
    const void *view = ca_target_view(target, address, size);
    if (view)
        return view;
    return ca_target_read(target, address, scratch, size) ? scratch : NULL;
}

const char *ca_target_read_string(struct ca_target *target, uint64_t address, size_t limit)
{
    char text[4096];
    size_t len = 0;
    if (limit > sizeof(text))
        limit = sizeof(text);
    while (len < limit) {
        uint64_t there;
        const uint8_t *bytes = stretch_at(target, address + len, &there);
        if (!bytes || address + len < address)
            return NULL;
        size_t part = limit - len < there ? limit - len : (size_t)there;
        const uint8_t *end = memchr(bytes, 0, part);
        size_t take = end ? (size_t)(end - bytes) : part;
        memcpy(text + len, bytes, take);
        len += take;
        if (end)
            return ca_strings_intern(&target->strings, text, len);
    }
    /* No end within the limit: not a string. */
    return NULL;
}

const struct ca_mapping *ca_target_mapping(const struct ca_target *target, uint64_t address)
{
    size_t low = 0, high = target->mappings.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ca_mapping *mapping = &target->mappings.data[middle];
        if (address < mapping->start)
            high = middle;
        else if (address >= mapping->end)
            low = middle + 1;
        else
            return mapping;
    }
    return NULL;
}

static bool insert_segment(struct ca_target *target, size_t at, struct ca_segment segment)
{
    if (!ca_vec_reserve(&target->segments, 1))
        return false;
    struct ca_segment *data = target->segments.data;
    memmove(data + at + 1, data + at, (target->segments.len - at) * sizeof(*data));
    data[at] = segment;
    target->segments.len++;
    return true;
}

struct ca_error *ca_target_add_bytes(struct ca_target *target, uint64_t start, uint64_t size,
                                     const uint8_t *bytes)
{
    uint64_t end, at = start;
    if (__builtin_add_overflow(start, size, &end))
        return ca_error_at(CA_ERROR_INVALID, start, "bytes beyond the end of the address space");
    for (size_t i = find_segment(target, start); at < end; i++) {
        const struct ca_segment *next = i < target->segments.len ? &target->segments.data[i] : NULL;
        uint64_t stop = next && next->start < end ? next->start : end;
        uint64_t after = next ? next->end : end;
        if (at < stop) {
            if (!insert_segment(target, i, (struct ca_segment){at, stop, bytes + (at - start)}))
                return &ca_error_nomem;
            i++;
        }
        at = after;
    }
    return NULL;
}

bool ca_target_auxv(const struct ca_target *target, uint64_t type, uint64_t *ret)
{
    for (size_t i = 0; i < target->auxv.len; i++)
        if (target->auxv.data[i].type == type) {
            *ret = target->auxv.data[i].value;
            return true;
        }
    return false;
}

static bool role(const struct ca_regs *regs, unsigned number, uint64_t *ret)
{
    *ret = regs->value[number];
    return regs->known >> number & 1;
}

bool ca_target_pc(enum ca_arch arch, const struct ca_regs *regs, uint64_t *ret)
{
    return role(regs, arch == CA_ARCH_ARM64 ? 32 : 16, ret);
}

bool ca_target_sp(enum ca_arch arch, const struct ca_regs *regs, uint64_t *ret)
{
    return role(regs, arch == CA_ARCH_ARM64 ? 31 : 7, ret);
}

bool ca_target_fp(enum ca_arch arch, const struct ca_regs *regs, uint64_t *ret)
{
    return role(regs, arch == CA_ARCH_ARM64 ? 29 : 6, ret);
}

const char *ca_arch_name(enum ca_arch arch)
{
    switch (arch) {
    case CA_ARCH_AMD64:
        return "amd64";
    case CA_ARCH_ARM64:
        return "arm64";
    default:
        return NULL;
    }
}

struct ca_target *ca_target_create(enum ca_target_kind kind)
{
    struct ca_target *target = calloc(1, sizeof(*target));
    if (!target)
        return NULL;
    target->kind = kind;
    target->complete = true;
    target->pid = target->stopped_ns = target->now_ns = CA_UNKNOWN;
    target->wall_ns = target->uptime_ns = CA_UNKNOWN;
    return target;
}

void ca_target_release(struct ca_target *target)
{
    if (target->release)
        target->release(target);
    target->release = NULL;
}

void ca_target_destroy(struct ca_target *target)
{
    if (!target)
        return;
    ca_target_release(target);
    if (target->destroy)
        target->destroy(target);
    for (size_t i = 0; i < target->chunk_data.len; i++)
        free(target->chunk_data.data[i]);
    ca_vec_deinit(&target->chunk_data);
    ca_map_deinit(&target->chunks);
    ca_vec_deinit(&target->mappings);
    ca_vec_deinit(&target->segments);
    ca_vec_deinit(&target->threads);
    ca_vec_deinit(&target->auxv);
    ca_strings_deinit(&target->strings);
    free(target);
}
