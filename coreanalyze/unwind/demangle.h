/* Readable names of C++ symbols, without a demangler's weight: namespaces, classes, functions,
 * constructors; template arguments become <...>, parameters are left out. */
#ifndef CA_UNWIND_DEMANGLE_H
#define CA_UNWIND_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/* false: not a mangled name, or one of a kind that is not understood. */
bool ca_demangle(const char *name, char *text, size_t size);

#endif
