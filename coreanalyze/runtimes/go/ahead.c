/* What reading a goroutine will look at, looked at by the other thread before: base/ahead.h. The
 * bytes must be in this process, in one piece, and nobody writes to them: a core, mapped.
 */
#include "runtimes/go/go.h"

enum { STACK_SOON = 1024, SUDOG_SIZE = 104 };

struct ca_go_ahead {
    const struct ca_go *go;
    struct ca_segment segment;
    const uint8_t *array;
    struct ca_ahead *thread;
};

static const uint8_t *bytes_at(const struct ca_go_ahead *ahead, uint64_t address, uint64_t size)
{
    const struct ca_segment *segment = &ahead->segment;
    uint64_t at = address - segment->start, have = segment->end - segment->start;
    return at < have && size <= have - at ? segment->bytes + at : NULL;
}

static void look_at(const struct ca_go_ahead *ahead, uint64_t address, uint64_t size)
{
    ca_ahead_touch(bytes_at(ahead, address, size), size);
}

static void look(void *arg, uint64_t i)
{
    const struct ca_go_ahead *ahead = arg;
    const struct ca_go *go = ahead->go;
    uint64_t address, size = (uint64_t)go->layout.at[GO_G_SIZE];
    memcpy(&address, ahead->array + i * 8, 8);
    look_at(ahead, address, size);
    const uint8_t *g = bytes_at(ahead, address, size);
    if (!g)
        return;
    uint64_t sp = ca_go_u64(go, g, GO_G_SCHED_SP), high = ca_go_u64(go, g, GO_G_STACK_HI);
    if (sp < high)
        look_at(ahead, sp, high - sp < STACK_SOON ? high - sp : STACK_SOON);
    look_at(ahead, ca_go_u64(go, g, GO_G_WAITING), SUDOG_SIZE);
}

struct ca_go_ahead *ca_go_ahead_start(struct ca_go *go, uint64_t array, uint64_t count)
{
    const uint8_t *bytes = NULL;
    if (go->target->kind == CA_TARGET_CORE && count < UINT64_MAX / 8)
        bytes = ca_target_view(go->target, array, count * 8);
    struct ca_go_ahead *ahead = bytes ? calloc(1, sizeof(*ahead)) : NULL;
    if (!ahead)
        return NULL;
    /* The heap: the segment of the first goroutine. */
    uint64_t first;
    memcpy(&first, bytes, count ? 8 : 0);
    const struct ca_segment *segment = count ? ca_target_segment(go->target, first) : NULL;
    if (segment) {
        *ahead = (struct ca_go_ahead){.go = go, .segment = *segment, .array = bytes};
        ahead->thread = ca_ahead_start(look, ahead, count);
    }
    if (ahead->thread)
        return ahead;
    free(ahead);
    return NULL;
}

void ca_go_ahead_tell(const struct ca_go_ahead *ahead, uint64_t i)
{
    if (ahead)
        ca_ahead_tell(ahead->thread, i);
}

void ca_go_ahead_stop(struct ca_go_ahead *ahead)
{
    if (!ahead)
        return;
    ca_ahead_stop(ahead->thread);
    free(ahead);
}
