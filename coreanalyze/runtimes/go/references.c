/* The data addresses that a function's code refers to, and its calls: enough of an instruction
 * decoder for that.
 *
 * amd64: an operand relative to rip has mod=00 rm=101 in its ModRM byte, then 32 bits of distance
 * from the end of the instruction, which up to 4 bytes of an immediate may follow. arm64: ADRP,
 * then ADD or a load or store with an immediate on the same register.
 */
#include "runtimes/go/find.h"

#include <string.h>

enum { CODE_MAX = 1 << 16 };

static bool add(struct ca_go_references *ret, uint64_t address, uint64_t low, uint64_t high)
{
    if (address < low || address >= high)
        return true;
    return ca_vec_push(&ret->list, address);
}

static bool scan_amd64(const uint8_t *code, uint64_t size, uint64_t pc, uint64_t low, uint64_t high,
                       struct ca_go_references *ret)
{
    static const uint8_t immediates[] = {0, 1, 4};
    for (uint64_t i = 1; i + 4 <= size; i++) {
        if ((code[i - 1] & 0xc7) != 0x05)
            continue;
        int32_t distance;
        memcpy(&distance, code + i, 4);
        for (size_t k = 0; k < sizeof(immediates); k++)
            if (!add(ret, pc + i + 4 + immediates[k] + (uint64_t)(int64_t)distance, low, high))
                return false;
    }
    return true;
}

static uint64_t adrp_page(uint32_t word, uint64_t pc)
{
    int64_t immediate = (int64_t)((word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3));
    if (immediate & (1 << 20))
        immediate -= 1 << 21;
    return (pc & ~0xfffull) + (uint64_t)(immediate * 4096);
}

/* The immediate that a second instruction adds to register reg; false: it does something else. */
static bool second_half(uint32_t word, uint32_t reg, uint64_t *ret)
{
    if ((word >> 5 & 31) != reg)
        return false;
    if ((word & 0xff800000) == 0x91000000) { /* ADD (immediate), 64 bits */
        *ret = (word >> 10 & 0xfff) << (word >> 22 & 1 ? 12 : 0);
        return true;
    }
    if ((word & 0x3b000000) == 0x39000000) { /* LDR, STR (unsigned immediate) */
        uint32_t scale = word >> 30;
        if ((word & 0x04800000) == 0x04800000)
            scale = 4; /* 128 bits */
        *ret = (uint64_t)(word >> 10 & 0xfff) << scale;
        return true;
    }
    return false;
}

static bool scan_arm64(const uint8_t *code, uint64_t size, uint64_t pc, uint64_t low, uint64_t high,
                       struct ca_go_references *ret)
{
    for (uint64_t i = 0; i + 8 <= size; i += 4) {
        uint32_t first;
        memcpy(&first, code + i, 4);
        if ((first & 0x9f000000) != 0x90000000)
            continue;
        uint64_t page = adrp_page(first, pc + i), offset;
        for (uint64_t j = i + 4; j < i + 16 && j + 4 <= size; j += 4) {
            uint32_t second;
            memcpy(&second, code + j, 4);
            if (!second_half(second, first & 31, &offset))
                continue;
            if (!add(ret, page + offset, low, high))
                return false;
            break;
        }
    }
    return true;
}

bool ca_go_references_add(struct ca_go *go, const struct ca_go_func *func, uint64_t low,
                          uint64_t high, struct ca_go_references *ret)
{
    if (!func->record || func->end <= func->entry)
        return true;
    uint64_t size = func->end - func->entry;
    if (size > CODE_MAX)
        size = CODE_MAX;
    uint8_t *copy = malloc(size);
    if (!copy)
        return false;
    bool ok = true;
    const uint8_t *code = ca_target_peek(go->target, func->entry, copy, size);
    if (code)
        ok = (go->target->arch == CA_ARCH_ARM64 ? scan_arm64 : scan_amd64)(code, size, func->entry,
                                                                           low, high, ret);
    free(copy);
    return ok;
}

uint64_t ca_go_call_target(const struct ca_go *go, const uint8_t *code, uint64_t room, uint64_t pc)
{
    int32_t distance;
    if (go->target->arch == CA_ARCH_ARM64) {
        uint32_t word;
        if (pc % 4 || room < 4)
            return 0;
        memcpy(&word, code, 4);
        distance = (int32_t)(word << 6) >> 4;
        return word >> 26 == 0x25 ? pc + (uint64_t)(int64_t)distance : 0; /* BL */
    }
    if (room < 5 || code[0] != 0xe8)
        return 0;
    memcpy(&distance, code + 1, 4);
    return pc + 5 + (uint64_t)(int64_t)distance;
}
