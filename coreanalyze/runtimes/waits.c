#include "runtimes/waits.h"

#include <string.h>

#include "base/map.h"
#include "coreanalyze.h"

enum { FD_IN_LIST = 1 };

void ca_waits_deinit(struct ca_waits *waits)
{
    ca_vec_deinit(&waits->list);
    ca_vec_deinit(&waits->cases);
    ca_vec_deinit(&waits->rests);
    ca_vec_deinit(&waits->case_rests);
}

struct ca_case ca_case_unknown(uint64_t address, enum ca_direction direction)
{
    return (struct ca_case){.address = address,
                            .direction = direction,
                            .closed = -1,
                            .capacity = CA_UNKNOWN,
                            .length = CA_UNKNOWN,
                            .senders = CA_UNKNOWN,
                            .receivers = CA_UNKNOWN};
}

struct ca_wait ca_wait_unknown(enum ca_wait_kind kind)
{
    return (struct ca_wait){.kind = kind,
                            .channel = ca_case_unknown(0, CA_DIRECTION_UNKNOWN),
                            .owner = CA_NONE,
                            .waiters = CA_UNKNOWN,
                            .counter = CA_UNKNOWN,
                            .fd = CA_UNKNOWN,
                            .deadline_ns = CA_UNKNOWN};
}

/* Takes apart what each has of its own and what many have in common. */
static struct ca_wait_kept split(struct ca_wait *wait)
{
    struct ca_wait_kept kept = {
        .address = wait->channel.address,
        .deadline_ns = wait->deadline_ns,
        .first = wait->first_case,
    };
    wait->channel.address = 0;
    wait->deadline_ns = CA_UNKNOWN;
    wait->first_case = 0;
    if (wait->case_count == 0 && wait->fd >= 0 && wait->fd < UINT32_MAX) {
        kept.first = (uint32_t)wait->fd;
        wait->first_case = FD_IN_LIST;
        wait->fd = CA_UNKNOWN;
    }
    return kept;
}

/* Bytes between the members may differ in what is alike: then it is kept twice. */
static bool rest_of(struct ca_waits *waits, const struct ca_wait *rest, uint32_t *ret)
{
    uint32_t *recent = &waits->recent[ca_hash_bytes(rest, sizeof(*rest)) % CA_WAITS_RECENT];
    if (!*recent || memcmp(&waits->rests.data[*recent - 1], rest, sizeof(*rest)) != 0) {
        if (waits->rests.len >= CA_NONE - 1 || !ca_vec_push(&waits->rests, *rest))
            return false;
        *recent = (uint32_t)waits->rests.len;
    }
    *ret = *recent - 1;
    return true;
}

bool ca_waits_add(struct ca_waits *waits, const struct ca_wait *wait, uint32_t *ret)
{
    if (waits->list.len >= CA_NONE || !ca_vec_push(&waits->list, (struct ca_wait_kept){0}))
        return false;
    uint32_t index = (uint32_t)waits->list.len - 1;
    if (!ca_waits_set(waits, index, wait)) {
        waits->list.len--;
        return false;
    }
    *ret = index;
    return true;
}

bool ca_waits_set(struct ca_waits *waits, uint32_t index, const struct ca_wait *wait)
{
    struct ca_wait rest = *wait;
    struct ca_wait_kept kept = split(&rest);
    if (!rest_of(waits, &rest, &kept.rest))
        return false;
    waits->list.data[index] = kept;
    return true;
}

struct ca_wait ca_waits_get(const struct ca_waits *waits, uint32_t index)
{
    const struct ca_wait_kept *kept = &waits->list.data[index];
    struct ca_wait wait = waits->rests.data[kept->rest];
    wait.channel.address = kept->address;
    wait.deadline_ns = kept->deadline_ns;
    if (wait.first_case == FD_IN_LIST) {
        wait.first_case = 0;
        wait.fd = kept->first;
    } else {
        wait.first_case = kept->first;
    }
    return wait;
}

bool ca_waits_add_case(struct ca_waits *waits, const struct ca_case *one)
{
    struct ca_case rest = *one;
    rest.address = 0;
    uint32_t *recent = &waits->recent_cases[ca_hash_bytes(&rest, sizeof(rest)) % CA_WAITS_RECENT];
    if (!*recent || memcmp(&waits->case_rests.data[*recent - 1], &rest, sizeof(rest)) != 0) {
        if (waits->case_rests.len >= CA_NONE - 1 || !ca_vec_push(&waits->case_rests, rest))
            return false;
        *recent = (uint32_t)waits->case_rests.len;
    }
    return waits->cases.len < CA_NONE &&
           ca_vec_push(&waits->cases, (struct ca_case_kept){one->address, *recent - 1});
}

struct ca_case ca_waits_case(const struct ca_waits *waits, uint32_t number)
{
    struct ca_case one = waits->case_rests.data[waits->cases.data[number].rest];
    one.address = waits->cases.data[number].address;
    return one;
}

void ca_waits_cut_cases(struct ca_waits *waits, uint32_t count)
{
    waits->cases.len = count;
}

bool ca_waits_is(const struct ca_waits *waits, uint32_t index, const struct ca_wait *wait)
{
    const struct ca_wait_kept *known = &waits->list.data[index];
    struct ca_wait rest = *wait;
    struct ca_wait_kept kept = split(&rest);
    if (known->address != kept.address || known->deadline_ns != kept.deadline_ns ||
        memcmp(&waits->rests.data[known->rest], &rest, sizeof(rest)) != 0)
        return false;
    if (!rest.case_count)
        return known->first == kept.first;
    const struct ca_case_kept *a = waits->cases.data + known->first;
    const struct ca_case_kept *b = waits->cases.data + kept.first;
    uint32_t same = 0;
    while (same < rest.case_count && a[same].address == b[same].address &&
           a[same].rest == b[same].rest)
        same++;
    return same == rest.case_count;
}

void ca_waits_renumber(struct ca_waits *waits, const uint32_t *place)
{
    for (size_t i = 0; i < waits->rests.len; i++)
        if (waits->rests.data[i].owner != CA_NONE)
            waits->rests.data[i].owner = place[waits->rests.data[i].owner];
}
