/* glibc hides the code and stack pointers of a jmp_buf: PTR_MANGLE of
 * sysdeps/unix/sysv/linux/x86_64/pointer_guard.h (rotated, and xored with a secret of the process),
 * sysdeps/aarch64 (xored).
 */
#ifndef CA_DESCRIBED_MANGLE_H
#define CA_DESCRIBED_MANGLE_H

#include "target/target.h"

/* false: the secret is not known; *value is as it was. */
bool ca_pointer_demangle(struct ca_target *target, uint64_t *value);

#endif
