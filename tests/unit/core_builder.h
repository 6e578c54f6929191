/* Builds core files by hand, right and wrong ones, for the tests of target/ and symbols/. */
#ifndef CORE_BUILDER_H
#define CORE_BUILDER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { CORE_LOADS_MAX = 32 };

struct core_load {
    Elf64_Phdr phdr;
    const void *bytes;
};

struct core_builder {
    Elf64_Half machine;
    struct core_load loads[CORE_LOADS_MAX];
    size_t load_count;
    struct ca_buf notes;
    int xnum; /* count the program headers in section header 0 */
};

void core_load(struct core_builder *core, uint64_t address, const void *bytes, uint64_t size,
               uint64_t memory_size, uint32_t flags);
void core_note(struct core_builder *core, const char *name, uint32_t type, const void *bytes,
               size_t size);
/* NT_PRSTATUS of a thread on amd64 whose registers, in the kernel's order, are base, base+1, ... */
void core_thread(struct core_builder *core, int tid, int signal, uint64_t base);

/* The file's bytes; the caller frees them with ca_buf_deinit. */
struct ca_buf core_bytes(const struct core_builder *core);
void core_deinit(struct core_builder *core);

/* Writes bytes to a file of this process's own; path is of at least 64 bytes. */
void core_write(char *path, const void *bytes, size_t size);

#endif
