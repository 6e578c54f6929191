/* Layouts: binding the fields that this program wants to where the target has them.
 *
 * A table names each field: a type, and candidate paths in the order in which they are tried, the
 * same field under its names of different versions ("atomicstatus.value|atomicstatus"). Presence
 * decides, never a version. A layout is bound wholly from DWARF or wholly from one built-in row.
 */
#ifndef CA_SYMBOLS_LAYOUT_H
#define CA_SYMBOLS_LAYOUT_H

#include "symbols/modules.h"

#define CA_LAYOUT_ABSENT INT32_MIN

struct ca_layout_want {
    const char *type; /* "runtime.g"; candidates separated by '|' */
    /* "sched.pc", candidates separated by '|'; "" wants sizeof(type). "path:size" wants the
     * field's size instead of its offset; "path[]" the size of one element of an array or what a
     * pointer points to; "path[n]" the number of elements of an array. */
    const char *path;
    bool optional;
};

/* Fills offsets[0..count) from the DWARF of a module: bytes, or CA_LAYOUT_ABSENT for an optional
 * one that is not there. unit: only compile units of this name are searched ("runtime"; NULL: all).
 * Error: CA_ERROR_NOT_FOUND naming the first required type or field that is not there. */
struct ca_error *ca_layout_bind(Dwarf *dwarf, const char *unit, const struct ca_layout_want *wants,
                                size_t count, int32_t *offsets);

#endif
