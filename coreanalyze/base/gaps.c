#include "base/gaps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ca_gaps_deinit(struct ca_gaps *gaps)
{
    for (size_t i = 0; i < gaps->list.len; i++) {
        free(gaps->list.data[i].what);
        free(gaps->list.data[i].why);
    }
    ca_vec_deinit(&gaps->list);
    ca_vec_deinit(&gaps->kinds);
}

/* How many of this kind there were before. */
static uint64_t count_kind(struct ca_gaps *gaps, const char *why_format)
{
    for (size_t i = 0; i < gaps->kinds.len; i++)
        if (!strcmp(gaps->kinds.data[i].why_format, why_format))
            return gaps->kinds.data[i].count++;
    if (!ca_vec_push(&gaps->kinds, (struct ca_gap_kind){why_format, 1}))
        gaps->lost = true;
    return 0;
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
    if (count_kind(gaps, why_format) >= CA_GAPS_PER_KIND)
        return;
    struct ca_gap gap = {.what = strdup(what), .address = address, .has_address = address != 0};
    va_list args;
    va_start(args, why_format);
    if (vasprintf(&gap.why, why_format, args) < 0)
        gap.why = NULL;
    va_end(args);
    push(gaps, gap);
}

void ca_gaps_add_error(struct ca_gaps *gaps, const char *what, struct ca_error *error)
{
    if (!error)
        return;
    if (count_kind(gaps, "error") < 5 * CA_GAPS_PER_KIND)
        push(gaps, (struct ca_gap){.what = strdup(what),
                                   .why = strdup(error->message),
                                   .address = error->address,
                                   .has_address = error->has_address});
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
                     gaps->kinds.data[i].why_format) < 0)
            gap.why = NULL;
        push(gaps, gap);
        gaps->kinds.data[i].count = 0;
    }
}
