/*
 * A program that describes its own coroutine runtime.
 *
 * A runtime that coreanalyze does not know is explained to it by a description: a text of about
 * twenty lines. One macro puts that text into the program, so that a core can be read years later,
 * on another machine, by somebody who has never heard of the runtime:
 *
 *     #include <coreanalyze/describe.h>
 *
 *     CA_DESCRIBE_RUNTIME("runtime: mine\n"
 *                         "...\n");
 *
 * at file scope, in a source file that every program with the runtime links in anyway (not in an
 * archive member of its own, which the linker would leave out). The header needs nothing of
 * libcoreanalyze, costs nothing at run time, and works in C and C++, in executables and shared
 * libraries, any number of times.
 *
 * What a reader finds:
 *
 * - The section is named CA_DESCRIBE_SECTION. It is allocated, so `strip` keeps it, and marked to
 * be retained, so `ld --gc-sections` keeps it (with binutils 2.36 or later and a compiler that
 * knows the attribute; elsewhere say KEEP(*(.coreanalyze.runtime)) in the linker script).
 * - It is writable, although nothing writes it: the kernel leaves read-only pages of a file out of
 *   a core, and dumps the data segment whole. So the text is in the core itself, too.
 * - It holds one text after the other, each ended by a NUL. Empty texts (several NULs in a row) are
 *   the linker's padding. The last text may lack its NUL only if the file is cut.
 * - Each text begins with the line CA_DESCRIBE_MARK, a comment in the description language, by
 * which it can be found in memory where the section headers are lost.
 */
#ifndef COREANALYZE_DESCRIBE_H
#define COREANALYZE_DESCRIBE_H

#define CA_DESCRIBE_SECTION ".coreanalyze.runtime"
#define CA_DESCRIBE_MARK "# coreanalyze runtime description\n"

#ifdef __has_attribute
#if __has_attribute(retain)
#define CA_DESCRIBE_RETAIN_ , retain
#endif
#endif
#ifndef CA_DESCRIBE_RETAIN_
#define CA_DESCRIBE_RETAIN_
#endif

#define CA_DESCRIBE_JOIN_(a, b) a##b
#define CA_DESCRIBE_NAME_(n) CA_DESCRIBE_JOIN_(ca_describe_runtime_, n)

/* text: a string literal, the whole description, UTF-8, without NUL. A file-scope declaration. */
#define CA_DESCRIBE_RUNTIME(text)                                                                  \
    static char CA_DESCRIBE_NAME_(__COUNTER__)[]                                                   \
        __attribute__((section(CA_DESCRIBE_SECTION), aligned(1), used CA_DESCRIBE_RETAIN_)) =      \
            CA_DESCRIBE_MARK text

#endif
