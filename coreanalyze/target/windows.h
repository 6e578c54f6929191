/* Copies of a target's memory whose bytes are elsewhere: a process, a debugger's target.
 *
 * The address space is cut into windows. Each has as much room here as there, so that what is
 * contiguous there is contiguous here; room costs nothing until it is filled. A page is loaded once
 * and stays, in place, until the target is destroyed.
 */
#ifndef CA_TARGET_WINDOWS_H
#define CA_TARGET_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/vec.h"

struct ca_target;

enum {
    CA_WINDOW_PAGE = 4096,
    CA_WINDOW_PAGES = 1024,
    CA_WINDOW_SIZE = CA_WINDOW_PAGE * CA_WINDOW_PAGES,
};

struct ca_window {
    uint64_t start;
    uint8_t *bytes;
    /* A bit for each page. */
    uint64_t asked[CA_WINDOW_PAGES / 64]; /* loading it was tried */
    uint64_t there[CA_WINDOW_PAGES / 64];
};

struct ca_windows {
    CA_VEC(struct ca_window) list;
    struct ca_map index; /* start -> place in list + 1 */
};

/* A piece of memory to copy here. */
struct ca_piece {
    uint64_t address;
    uint8_t *to;
    size_t size;
};

/* The bytes at address as far as they are contiguous here; of size bytes, what was not asked for
 * yet is loaded. NULL: they are not there. *start and *end: of the stretch, which holds address. */
const uint8_t *ca_windows_at(struct ca_target *target, uint64_t address, size_t size,
                             uint64_t *start, uint64_t *end);

/* Loads what was not asked for yet. false: some of it is not there. */
bool ca_windows_hold(struct ca_target *target, uint64_t address, uint64_t size);

/* Everything that is here is copied again, in place; what was not there is asked for again. The
 * target stands still. */
struct ca_error *ca_windows_refresh(struct ca_target *target);

void ca_windows_deinit(struct ca_windows *windows);

#endif
