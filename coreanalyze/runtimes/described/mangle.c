#include "runtimes/described/mangle.h"

#include <elf.h>

/* tcbhead_t.pointer_guard: sysdeps/x86_64/nptl/tls.h. Elsewhere it is a variable of the loader. */
enum { AMD64_TCB_GUARD = 0x30 };

/* The guard is the second word of the bytes at AT_RANDOM (_dl_setup_pointer_guard); a core without
 * an auxiliary vector, or without that page, still has the copy in each thread's control block. */
static bool pointer_guard(struct ca_target *target, uint64_t *ret)
{
    uint64_t random;
    if (target->arch == CA_ARCH_AMD64)
        for (size_t i = 0; i < target->threads.len; i++)
            if (target->threads.data[i].tls &&
                ca_target_read_u64(target, target->threads.data[i].tls + AMD64_TCB_GUARD, ret) &&
                *ret)
                return true;
    return ca_target_auxv(target, AT_RANDOM, &random) &&
           ca_target_read_u64(target, random + 8, ret);
}

bool ca_pointer_demangle(struct ca_target *target, uint64_t *value)
{
    uint64_t guard;
    if (!pointer_guard(target, &guard))
        return false;
    if (target->arch == CA_ARCH_AMD64)
        *value = *value >> 17 | *value << 47;
    *value ^= guard;
    return true;
}
