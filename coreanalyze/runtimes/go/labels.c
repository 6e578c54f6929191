/* Profiler labels and traced ancestors of a goroutine. */
#include "runtimes/go/go.h"

#include <inttypes.h>
#include <string.h>

enum {
    LABELS_MAX = 256,
    LABEL_BYTES = 4096,
    ANCESTORS_MAX = 1000,
    MAIN_GOID = 1, /* nobody's go statement created it */
    BUCKET_SLOTS = 8,
    BUCKETS_SHIFT_MAX = 16,
    /* map[string]string bucket: 8 tophash, 8 keys, 8 values, overflow. runtime/map.go to 1.23 */
    BUCKET_KEYS = 8,
    BUCKET_VALUES = BUCKET_KEYS + BUCKET_SLOTS * 16,
    BUCKET_OVERFLOW = BUCKET_VALUES + BUCKET_SLOTS * 16,
    BUCKET_SIZE = BUCKET_OVERFLOW + 8,
    TOPHASH_MIN = 5, /* smaller ones mark empty or moved slots */
};

static const char *read_string(struct ca_go *go, struct ca_tasks *tasks, uint64_t header)
{
    uint64_t string[2];
    char text[LABEL_BYTES];
    if (!ca_target_read(go->target, header, string, 16) || string[1] > sizeof(text) ||
        (string[1] && !ca_target_read(go->target, string[0], text, string[1])))
        return NULL;
    return ca_strings_intern(&tasks->strings, text, string[1]);
}

static bool add_label(struct ca_go *go, struct ca_tasks *tasks, uint32_t task, uint64_t key,
                      uint64_t value)
{
    struct ca_label label = {
        .task = task, .key = read_string(go, tasks, key), .value = read_string(go, tasks, value)};
    return label.key && label.value && ca_vec_push(&tasks->labels, label);
}

/* Since 1.24 the labels are a sorted slice of {key, value}. */
static bool read_slice(struct ca_go *go, struct ca_tasks *tasks, uint32_t task, uint64_t address)
{
    uint64_t slice[3];
    if (!ca_target_read(go->target, address, slice, 24) || slice[1] > slice[2] ||
        slice[1] > LABELS_MAX || !slice[1] || slice[0] % 8)
        return false;
    size_t before = tasks->labels.len;
    for (uint64_t i = 0; i < slice[1]; i++)
        if (!add_label(go, tasks, task, slice[0] + i * 32, slice[0] + i * 32 + 16)) {
            tasks->labels.len = before;
            return false;
        }
    return true;
}

static bool read_bucket(struct ca_go *go, struct ca_tasks *tasks, uint32_t task, uint64_t bucket,
                        uint64_t *left)
{
    for (int chain = 0; bucket && chain < LABELS_MAX && *left; chain++) {
        uint8_t top[BUCKET_SLOTS];
        if (!ca_target_read(go->target, bucket, top, sizeof(top)))
            return false;
        for (uint64_t i = 0; i < BUCKET_SLOTS && *left; i++) {
            if (top[i] < TOPHASH_MIN)
                continue;
            if (!add_label(go, tasks, task, bucket + BUCKET_KEYS + i * 16,
                           bucket + BUCKET_VALUES + i * 16))
                return false;
            --*left;
        }
        if (!ca_target_read_u64(go->target, bucket + BUCKET_OVERFLOW, &bucket))
            return false;
    }
    return true;
}

/* To 1.23 they are a map[string]string: hmap {count int, flags, B uint8, ..., buckets at 16}. */
static bool read_map(struct ca_go *go, struct ca_tasks *tasks, uint32_t task, uint64_t address)
{
    uint64_t hmap, count, buckets;
    uint8_t shift;
    if (!ca_target_read_u64(go->target, address, &hmap) || !hmap ||
        !ca_target_read_u64(go->target, hmap, &count) || !count || count > LABELS_MAX ||
        !ca_target_read(go->target, hmap + 9, &shift, 1) || shift > BUCKETS_SHIFT_MAX ||
        !ca_target_read_u64(go->target, hmap + 16, &buckets))
        return false;
    size_t before = tasks->labels.len;
    for (uint64_t i = 0; i < 1ull << shift && count; i++)
        if (!read_bucket(go, tasks, task, buckets + i * BUCKET_SIZE, &count)) {
            tasks->labels.len = before;
            return false;
        }
    return true;
}

bool ca_go_labels_read(struct ca_go *go, struct ca_tasks *tasks, uint32_t task,
                       const struct ca_go_g *g)
{
    uint64_t labels = ca_go_u64(go, g->bytes, GO_G_LABELS);
    if (!labels)
        return true;
    return read_slice(go, tasks, task, labels) || read_map(go, tasks, task, labels);
}

bool ca_go_ancestors_read(struct ca_go *go, struct ca_tasks *tasks, uint32_t task,
                          const struct ca_go_g *g)
{
    uint64_t pointer = ca_go_u64(go, g->bytes, GO_G_ANCESTORS), slice[2];
    if (!pointer || !ca_target_read(go->target, pointer, slice, 16))
        return true;
    for (uint64_t i = 0; i < slice[1] && i < ANCESTORS_MAX; i++) {
        uint64_t info = slice[0] + i * (uint64_t)go->layout.at[GO_ANCESTOR_SIZE], goid, gopc;
        if (!ca_go_read_u64(go, info, GO_ANCESTOR_GOID, &goid) ||
            !ca_go_read_u64(go, info, GO_ANCESTOR_GOPC, &gopc))
            return false;
        uint32_t site = goid == MAIN_GOID ? CA_NONE : ca_go_call_site(go, tasks, gopc);
        const struct ca_site *at = site == CA_NONE ? NULL : &tasks->sites.data[site];
        if (at)
            ca_tasks_note(tasks, task, "ancestor: goroutine %" PRIu64 ", created by %s at %s:%u",
                          goid, at->function, at->file ? at->file : "?", at->line);
        else
            ca_tasks_note(tasks, task, "ancestor: goroutine %" PRIu64, goid);
    }
    return true;
}
