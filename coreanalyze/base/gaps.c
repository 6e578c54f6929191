#include "base/gaps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KINDS_MAX = 256 };

void ca_gaps_deinit(struct ca_gaps *gaps)
{
    for (size_t i = 0; i < gaps->list.len; i++) {
        free(gaps->list.data[i].what);
        free(gaps->list.data[i].why);
    }
    for (size_t i = 0; i < gaps->kinds.len; i++)
        free(gaps->kinds.data[i].first);
    ca_vec_deinit(&gaps->list);
    ca_vec_deinit(&gaps->kinds);
}

static bool is_text(const char *why_format)
{
    return !strcmp(why_format, "%s");
}

/* The kind, made when it is new; NULL: no memory. text: of "%s". */
static struct ca_gap_kind *kind_of(struct ca_gaps *gaps, const char *why_format, const char *text)
{
    bool full = gaps->kinds.len >= KINDS_MAX;
    for (size_t i = 0; i < gaps->kinds.len; i++) {
        struct ca_gap_kind *kind = &gaps->kinds.data[i];
        if (!strcmp(kind->why_format, why_format) &&
            (full || !is_text(why_format) || (kind->first && !strcmp(kind->first, text))))
            return kind;
    }
    if (ca_vec_push(&gaps->kinds, (struct ca_gap_kind){.why_format = why_format}))
        return &gaps->kinds.data[gaps->kinds.len - 1];
    gaps->lost = true;
    return NULL;
}

static void push(struct ca_gaps *gaps, struct ca_gap gap)
{
    if (gap.what && gap.why && ca_vec_push(&gaps->list, gap))
        return;
    gaps->lost = true;
    free(gap.what);
    free(gap.why);
}

void ca_gaps_add(struct ca_gaps *gaps, const char *what, uint64_t address, const char *why_format,
                 ...)
{
    va_list args;
    va_start(args, why_format);
    const char *text = is_text(why_format) ? va_arg(args, const char *) : NULL;
    va_end(args);
    struct ca_gap_kind *kind = kind_of(gaps, why_format, text);
    if (!kind || kind->count++ >= CA_GAPS_PER_KIND)
        return;
    struct ca_gap gap = {.what = strdup(what), .address = address, .has_address = address != 0};
    va_start(args, why_format);
    if (vasprintf(&gap.why, why_format, args) < 0)
        gap.why = NULL;
    va_end(args);
    if (!kind->first && gap.why)
        kind->first = strdup(gap.why);
    push(gaps, gap);
}

void ca_gaps_add_error(struct ca_gaps *gaps, const char *what, struct ca_error *error)
{
    if (!error)
        return;
    struct ca_gap_kind *kind = kind_of(gaps, "error", NULL);
    if (kind && kind->count++ < 5 * CA_GAPS_PER_KIND) {
        push(gaps, (struct ca_gap){.what = strdup(what),
                                   .why = strdup(error->message),
                                   .address = error->address,
                                   .has_address = error->has_address});
        if (!kind->first)
            kind->first = strdup(error->message);
    }
    ca_error_destroy(error);
}

void ca_gaps_close(struct ca_gaps *gaps)
{
    for (size_t i = 0; i < gaps->kinds.len; i++) {
        uint64_t count = gaps->kinds.data[i].count;
        if (count <= CA_GAPS_PER_KIND)
            continue;
        struct ca_gap gap = {.what = strdup("more of the same")};
        if (asprintf(&gap.why, "%" PRIu64 " more: %s", count - CA_GAPS_PER_KIND,
                     gaps->kinds.data[i].first ? gaps->kinds.data[i].first : "") < 0)
            gap.why = NULL;
        push(gaps, gap);
        gaps->kinds.data[i].count = 0;
    }
}
