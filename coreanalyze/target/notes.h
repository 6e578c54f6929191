/* The notes of a core: threads with their registers, the auxiliary vector, the mapped files. */
#ifndef CA_TARGET_NOTES_H
#define CA_TARGET_NOTES_H

#include "target/target.h"

/* A file that the kernel had mapped (NT_FILE). */
struct ca_core_file {
    uint64_t start, end, offset;
    const char *path; /* interned in the target */
    bool deleted;
};

struct ca_core_files {
    CA_VEC(struct ca_core_file) list;
};

/* Reads one note segment into target->threads, auxv, pid, signal and program, and into files. What
 * is odd in it is a gap. The bytes must live as long as the target. */
struct ca_error *ca_core_read_notes(struct ca_target *target, const uint8_t *bytes, uint64_t size,
                                    struct ca_core_files *files, struct ca_gaps *gaps);

/* The general registers as the kernel lays them out (NT_PRSTATUS, PTRACE_GETREGSET), by DWARF
 * number. tls: fs_base on amd64; not touched on arm64. */
void ca_regs_from_kernel(enum ca_arch arch, const uint8_t *bytes, size_t size, struct ca_regs *regs,
                         uint64_t *tls);

/* A path as the kernel shows it, without its " (deleted)"; NULL: no memory. */
const char *ca_path_intern(struct ca_target *target, const char *path, size_t size, bool *deleted);

#endif
