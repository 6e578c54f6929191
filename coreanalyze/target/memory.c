#include "target/target.h"

#include <string.h>

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

/* Fills target->near with what is contiguous here around address, of at least size bytes if that
 * much is there. false: it is not there. */
static bool find_near(struct ca_target *target, uint64_t address, size_t size)
{
    size_t i = find_segment(target, address);
    const struct ca_segment *segment = i < target->segments.len ? &target->segments.data[i] : NULL;
    if (segment && segment->start <= address) {
        target->near = *segment;
        return true;
    }
    struct ca_segment found;
    const uint8_t *bytes = ca_windows_at(target, address, size, &found.start, &found.end);
    if (!bytes)
        return false;
    found.bytes = bytes - (address - found.start);
    /* Segments win, wherever they are. */
    if (segment && segment->start < found.end)
        found.end = segment->start;
    if (i && target->segments.data[i - 1].end > found.start) {
        found.bytes += target->segments.data[i - 1].end - found.start;
        found.start = target->segments.data[i - 1].end;
    }
    target->near = found;
    return true;
}

/* The bytes at address as far as they are contiguous here: NULL, or *there of them (at least 1). */
static const uint8_t *stretch_at(struct ca_target *target, uint64_t address, size_t size,
                                 uint64_t *there)
{
    const struct ca_segment *near = &target->near;
    uint64_t at = address - near->start, have = near->end - near->start;
    if (at >= have || size > have - at) {
        if (!find_near(target, address, size))
            return NULL;
        at = address - near->start;
        have = near->end - near->start;
    }
    *there = have - at;
    return near->bytes + at;
}

bool ca_target_read_slow(struct ca_target *target, uint64_t address, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    if (size && address + (size - 1) < address)
        return false;
    while (size) {
        uint64_t there;
        const uint8_t *bytes = stretch_at(target, address, size, &there);
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
    const uint8_t *bytes = stretch_at(target, address, size, &there);
    return bytes && size <= there ? bytes : NULL;
}

const void *ca_target_peek(struct ca_target *target, uint64_t address, void *scratch, size_t size)
{
    const void *view = ca_target_view(target, address, size);
    if (view)
        return view;
    return ca_target_read(target, address, scratch, size) ? scratch : NULL;
}

bool ca_target_hold(struct ca_target *target, uint64_t address, uint64_t size)
{
    size_t i = find_segment(target, address);
    if (i < target->segments.len && target->segments.data[i].start <= address &&
        size <= target->segments.data[i].end - address)
        return true;
    return ca_windows_hold(target, address, size);
}

const char *ca_target_read_string(struct ca_target *target, uint64_t address, size_t limit)
{
    char text[4096];
    size_t len = 0;
    if (limit > sizeof(text))
        limit = sizeof(text);
    while (len < limit) {
        uint64_t there;
        const uint8_t *bytes = stretch_at(target, address + len, 1, &there);
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

uint64_t ca_target_next(struct ca_target *target, uint64_t address)
{
    if (target->kind != CA_TARGET_CORE)
        return address;
    for (size_t i = find_segment(target, address); i < target->segments.len; i++) {
        const struct ca_segment *segment = &target->segments.data[i];
        if (address < segment->start)
            address = segment->start;
        uint64_t hole =
            target->hole ? target->hole(target, segment->bytes + (address - segment->start)) : 0;
        if (hole < segment->end - address)
            return address + hole;
    }
    return UINT64_MAX;
}

const struct ca_segment *ca_target_segment(const struct ca_target *target, uint64_t address)
{
    size_t i = find_segment(target, address);
    const struct ca_segment *segment = i < target->segments.len ? &target->segments.data[i] : NULL;
    return segment && segment->start <= address ? segment : NULL;
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

bool ca_target_read_blank(struct ca_target *target, uint64_t address, uint8_t *zeros, uint64_t size)
{
    uint64_t end;
    if (__builtin_add_overflow(address, size, &end))
        return false;
    for (uint64_t at = address, next; at < end; at = next) {
        size_t i = find_segment(target, at);
        const struct ca_segment *segment =
            i < target->segments.len ? &target->segments.data[i] : NULL;
        bool there = segment && segment->start <= at;
        const struct ca_mapping *mapping = there ? NULL : ca_target_mapping(target, at);
        if (!there && (!mapping || !mapping->blank))
            return false;
        next = there ? segment->end : mapping->end;
        if (!there && segment && segment->start < next)
            next = segment->start;
        if (next > end)
            next = end;
        if (there)
            memcpy(zeros + (at - address), segment->bytes + (at - segment->start), next - at);
    }
    return true;
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
    target->near = (struct ca_segment){0};
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

struct ca_error *ca_target_freeze(struct ca_target *target, struct ca_gaps *gaps, bool *moved)
{
    return target->freeze(target, gaps, moved);
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
    ca_windows_deinit(&target->windows);
    ca_vec_deinit(&target->mappings);
    ca_vec_deinit(&target->segments);
    ca_vec_deinit(&target->threads);
    ca_vec_deinit(&target->auxv);
    ca_strings_deinit(&target->strings);
    free(target);
}
