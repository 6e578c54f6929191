/* The bytes of a stopped program: memory, mappings, threads with their registers.
 *
 * One struct for all kinds of target; core.c, live.c and callback.c fill it. Memory is a sorted
 * list of segments: those with bytes in this process (a mapped core or file) are viewed in place,
 * the others are loaded through `load` and kept until the target is destroyed, see windows.h.
 *
 * A target is read only, always: nothing here can write to it or make it run code.
 */
#ifndef CA_TARGET_TARGET_H
#define CA_TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/gaps.h"
#include "base/map.h"
#include "base/strings.h"
#include "base/vec.h"
#include "coreanalyze.h"
#include "target/windows.h"

enum ca_arch {
    CA_ARCH_UNKNOWN,
    CA_ARCH_AMD64,
    CA_ARCH_ARM64,
};

enum ca_target_kind {
    CA_TARGET_CORE,
    CA_TARGET_LIVE,
    CA_TARGET_DEBUGGER,
};

/* A stretch of the target's address space as the kernel sees it (for a core: PT_LOAD and NT_FILE
 * joined; live: /proc/PID/maps). Sorted by start, not overlapping. */
struct ca_mapping {
    uint64_t start, end;
    uint32_t flags;       /* PF_R, PF_W, PF_X */
    uint64_t file_offset; /* with path */
    const char *path;     /* as the target names it; NULL: anonymous. Lives as long as the target */
    bool deleted;         /* the file was deleted under the process: path may name another file */
    bool blank;           /* never written to, so that the kernel left it out of the core: zeros */
};

/* Bytes that can be viewed in place. Sorted by start, not overlapping. */
struct ca_segment {
    uint64_t start, end;
    const uint8_t *bytes; /* of start */
};

struct ca_thread {
    int64_t tid;
    struct ca_regs regs;
    uint64_t tls; /* fs_base (amd64), tpidr_el0 (arm64); 0: not known */
    int signal;   /* that stopped it, 0: none */
    char name[16];
    /* NT_X86_XSTATE / NT_PRFPREG as the kernel wrote it; NULL: not there. Lives with the target */
    const uint8_t *vector;
    size_t vector_size;
};

struct ca_auxv {
    uint64_t type, value;
};

struct ca_target {
    enum ca_target_kind kind;
    enum ca_arch arch;
    const char *path; /* of the core; NULL else */
    int64_t pid;      /* CA_UNKNOWN when not known */
    int signal;       /* 0: none */
    bool complete;    /* false: the core is cut, see gaps */
    int64_t stopped_ns;
    uint64_t copy_limit; /* live: bytes of a heap that may be copied */
    int64_t now_ns;      /* CLOCK_MONOTONIC at the snapshot; CA_UNKNOWN for cores */
    int64_t wall_ns;   /* wall clock at the snapshot (a core's mtime); CA_UNKNOWN when not known */
    int64_t uptime_ns; /* age of the process; CA_UNKNOWN when not known */
    char program[17];  /* short name of the program (pr_fname, comm); may be empty */
    const char
        *exe_hint;    /* where the executable may be opened (/proc/PID/exe); NULL: see mappings */
    const char *root; /* a prefix for every path that the target names ("/proc/PID/root") */

    CA_VEC(struct ca_mapping) mappings;
    CA_VEC(struct ca_segment) segments;
    CA_VEC(struct ca_thread) threads;
    CA_VEC(struct ca_auxv) auxv;
    struct ca_strings strings;

    /* For addresses outside the segments. NULL: there is nothing more. */
    bool (*load)(struct ca_target *target, uint64_t address, void *buffer, size_t size);
    /* Many at once; how many bytes were copied before the first one that is not there. NULL where
     * `freeze` is. */
    size_t (*load_pieces)(struct ca_target *target, const struct ca_piece *pieces, size_t count);
    /* Stops it, see ca_target_freeze; NULL: it stands still already. */
    struct ca_error *(*freeze)(struct ca_target *target, struct ca_gaps *gaps, bool *moved);
    void (*release)(struct ca_target *target); /* lets a live target run on; NULL: nothing to do */
    void (*destroy)(struct ca_target *target); /* frees `self`, not the target */
    /* NULL while what was read of the file is its content, else what happened to it. The file may
     * have been written to while it was read: its size then and now. Both NULL: there is no file */
    struct ca_error *(*check)(struct ca_target *target);
    bool (*changed)(struct ca_target *target, uint64_t *before, uint64_t *now);
    /* How many zeros begin at these bytes of a segment because the file has a hole there; NULL: 0
     */
    uint64_t (*hole)(struct ca_target *target, const uint8_t *bytes);
    void *self;
    bool mappings_whole; /* nothing is there outside the mappings: load is not asked */

    struct ca_segment near;    /* where the last read was found */
    struct ca_windows windows; /* of what was loaded */
    /* Reads of mapped memory that was not loaded before the target was let go. */
    uint64_t missed;
};

/* Opens a core file. Gaps: what a cut or odd core does not give. Errors: not ELF, not a core, an
 * architecture that is not supported; each says what to try. */
struct ca_error *ca_target_open_core(const char *path, struct ca_gaps *gaps,
                                     struct ca_target **ret);

/* Attaches to a live process; it stands still until ca_target_release. Errors: CA_ERROR_PERMISSION
 * with the reason and the remedy, CA_ERROR_BUSY with the other tracer's pid and name. */
struct ca_error *ca_target_attach(int64_t pid, bool stop, struct ca_gaps *gaps,
                                  struct ca_target **ret);

struct ca_error *ca_target_from_ops(const struct ca_target_ops *ops, void *arg,
                                    struct ca_gaps *gaps, struct ca_target **ret);

/* Stops a live target that was attached to without stopping, or was let go: its threads and
 * registers are taken, and all memory that was read so far is copied again at one go, so that
 * little is left to read while it stands still. *moved: it may have other modules than before.
 * Errors: as ca_target_attach. */
struct ca_error *ca_target_freeze(struct ca_target *target, struct ca_gaps *gaps, bool *moved);

/* Copies memory that will be read after ca_target_release. false: some of it is not there. */
bool ca_target_hold(struct ca_target *target, uint64_t address, uint64_t size);

/* Lets a live target run on; what was read stays readable, the rest is gone. */
void ca_target_release(struct ca_target *target);
void ca_target_destroy(struct ca_target *target);

/* An empty target of this kind, everything unknown; NULL: no memory. For core.c, live.c and
 * callback.c, and for tests. */
struct ca_target *ca_target_create(enum ca_target_kind kind);

bool ca_target_read_slow(struct ca_target *target, uint64_t address, void *buffer, size_t size);

/* Copies exactly size bytes; false when any of them is not there. Hot path: no error object. */
static inline bool ca_target_read(struct ca_target *target, uint64_t address, void *buffer,
                                  size_t size)
{
    const struct ca_segment *near = &target->near;
    uint64_t at = address - near->start, have = near->end - near->start;
    if (at < have && size <= have - at) {
        memcpy(buffer, near->bytes + at, size);
        return true;
    }
    return ca_target_read_slow(target, address, buffer, size);
}

/* The same with an error that names the address and says whether the core was cut. */
struct ca_error *ca_target_fetch(struct ca_target *target, uint64_t address, void *buffer,
                                 size_t size);

/* Reads into a buffer of zeros: what is blank counts as read. */
bool ca_target_read_blank(struct ca_target *target, uint64_t address, uint8_t *zeros,
                          uint64_t size);

/* The segment that holds address, or NULL. Lives until bytes are added. */
const struct ca_segment *ca_target_segment(const struct ca_target *target, uint64_t address);

/* The bytes in place, or NULL when they are not there or not contiguous here. Lives as long as the
 * target. */
const void *ca_target_view(struct ca_target *target, uint64_t address, size_t size);

/* The bytes in place when that works, else copied into scratch (at least size bytes); NULL when
 * they are not there. */
const void *ca_target_peek(struct ca_target *target, uint64_t address, void *scratch, size_t size);

/* The bytes in place if they lie where the last read did, else NULL: a guess that costs nothing. */
static inline const uint8_t *ca_target_near(const struct ca_target *target, uint64_t address,
                                            size_t size)
{
    const struct ca_segment *near = &target->near;
    uint64_t at = address - near->start, have = near->end - near->start;
    return at < have && size <= have - at ? near->bytes + at : NULL;
}

/* These bytes will be read soon. The empty asm keeps gcc from dropping the loop: it takes a
 * function that does nothing but ask for memory for one that does nothing. */
static inline void ca_target_hint(const struct ca_target *target, uint64_t address, size_t size)
{
    const uint8_t *bytes = ca_target_near(target, address, size);
    for (size_t i = 0; bytes && i < size; i += 64) {
        __builtin_prefetch(bytes + i);
        __asm__ volatile("" : : "r"(bytes + i));
    }
}

static inline bool ca_target_read_u64(struct ca_target *target, uint64_t address, uint64_t *ret)
{
    return ca_target_read(target, address, ret, 8);
}

static inline bool ca_target_read_u32(struct ca_target *target, uint64_t address, uint32_t *ret)
{
    return ca_target_read(target, address, ret, 4);
}

/* A NUL-terminated string of at most limit bytes, interned in the target; NULL: not readable. */
const char *ca_target_read_string(struct ca_target *target, uint64_t address, size_t limit);

/* The first address from here on where bytes may be that are not zero; UINT64_MAX: none. What a
 * core only claims can be terabytes, and so can the holes in its file. */
uint64_t ca_target_next(struct ca_target *target, uint64_t address);

/* The mapping that holds address, or NULL. */
const struct ca_mapping *ca_target_mapping(const struct ca_target *target, uint64_t address);

/* Adds bytes that live elsewhere (a mapped executable) where no segment has them yet; existing
 * segments win. The bytes must outlive the target. */
struct ca_error *ca_target_add_bytes(struct ca_target *target, uint64_t start, uint64_t size,
                                     const uint8_t *bytes);

/* AT_... value; false when the auxiliary vector has none. */
bool ca_target_auxv(const struct ca_target *target, uint64_t type, uint64_t *ret);

/* Registers by role. false: not known. */
bool ca_target_pc(enum ca_arch arch, const struct ca_regs *regs, uint64_t *ret);
bool ca_target_sp(enum ca_arch arch, const struct ca_regs *regs, uint64_t *ret);
bool ca_target_fp(enum ca_arch arch, const struct ca_regs *regs, uint64_t *ret);

const char *ca_arch_name(enum ca_arch arch); /* "amd64", "arm64"; NULL for unknown */

#endif
