/* From a pc to functions, files and lines for people: DWARF with inlined calls, else the symbol
 * table. Each pc is worked out once.
 */
#ifndef CA_UNWIND_LINES_H
#define CA_UNWIND_LINES_H

#include "base/map.h"
#include "base/strings.h"
#include "symbols/modules.h"

struct ca_line {
    const char *function, *file; /* interned; NULL: not known */
    uint32_t line;               /* 0: not known */
    bool inlined;                /* into the one after it */
};

struct ca_lines {
    struct ca_modules *modules;
    struct ca_map known; /* pc -> first line + 1, and count << 32 */
    CA_VEC(struct ca_line) list;
};

void ca_lines_init(struct ca_lines *lines, struct ca_modules *modules);
void ca_lines_deinit(struct ca_lines *lines);

/* The calls at pc, innermost first; the last is the function itself. At least one, unless there is
 * no memory (0). *ret is valid until the next call. strings must be the same on every call. */
size_t ca_lines_at(struct ca_lines *lines, struct ca_strings *strings, uint64_t pc,
                   const struct ca_line **ret);

/* "a::b::f" of a function or type; false: no name, or too long. */
bool ca_lines_qualified(Dwarf_Die *die, char *text, size_t size);

#endif
