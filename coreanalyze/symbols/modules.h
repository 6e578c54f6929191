/* The ELF files that a target has loaded: found, checked by build id, opened, their bytes lent to
 * the target where the core left them out, their symbols and debug information by libdwfl.
 */
#ifndef CA_SYMBOLS_MODULES_H
#define CA_SYMBOLS_MODULES_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <libelf.h>

#include "target/target.h"

struct ca_symbols;
struct ca_type_source;

struct ca_module {
    const char *name;    /* the path as the target has it; "" when not known */
    const char *file;    /* the path that was opened here; NULL: not found, see why */
    const char *why;     /* why there is no file */
    const char *sysroot; /* NULL: none */
    uint64_t start, end; /* in the target */
    uint64_t bias;       /* address in the target minus address in the file */
    bool main;           /* the executable */
    bool verified;       /* the build id of the file equals the one in the target's memory */
    bool vdso;
    uint8_t build_id[64]; /* GNU build id, from the target's memory, else from the file */
    size_t build_id_size;
    const char *go_build_id; /* Go's own note, or NULL */
    const uint8_t *bytes;    /* the file, mapped; NULL without file */
    size_t size;
    Elf *elf;
    Dwfl_Module *dwfl; /* NULL until asked for, use ca_module_dwfl */
    bool dwfl_tried;
    Dwarf *dwarf; /* NULL until asked for, use ca_module_dwarf */
    bool dwarf_tried;
    Dwarf *supplement; /* of the debug information, by dwz; NULL: none */
    int supplement_fd;
    bool debug_lost;              /* bytes of the debug files went away while they were opened */
    const void *debug_bytes[2];   /* where libdw has mapped the debug file and its supplement */
    struct ca_symbols *symbols;   /* NULL until asked for, use ca_module_symbol */
    struct ca_type_source *types; /* NULL until asked for, use ca_module_types */
};

struct ca_modules {
    struct ca_target *target;
    Dwfl *dwfl;
    CA_VEC(struct ca_module) list;  /* sorted by start */
    struct ca_module *debug_binary; /* --debug-binary: not loaded in the target; NULL: none */
};

/* Finds and opens what the target has loaded, and lends read-only bytes of verified files to it.
 * options: exe, sysroot, force, debug_binary. Errors: CA_ERROR_MISMATCH with both build ids (unless
 * force), --exe that is not readable or not ELF. What is merely not found is a gap. Only regular
 * files are opened. */
struct ca_error *ca_modules_open(struct ca_target *target, const struct ca_options *options,
                                 struct ca_gaps *gaps, struct ca_modules **ret);
void ca_modules_destroy(struct ca_modules *modules);

/* NULL while what was read of their files is their content, else what happened to one. */
struct ca_error *ca_modules_check(const struct ca_modules *modules);

/* The module that holds an address of the target, or NULL. */
struct ca_module *ca_modules_at(const struct ca_modules *modules, uint64_t address);
/* Whether code may stand at an address: by the mappings, else (gdb's gcore tells no flags of what a
 * file still has) by the program headers of the module that lies there. */
bool ca_modules_is_code(const struct ca_modules *modules, uint64_t address);
/* The executable; NULL when it is not known at all. */
struct ca_module *ca_modules_main(const struct ca_modules *modules);

/* The offset of a thread-local symbol in the module's thread-local storage; one pass, unindexed. */
bool ca_module_tls_symbol(struct ca_module *module, const char *name, uint64_t *offset);

/* The address in the target of a symbol of .symtab or .dynsym. size may be NULL. The first call on
 * a module indexes its names: one pass, then hash lookups. */
bool ca_module_symbol(struct ca_module *module, const char *name, uint64_t *address,
                      uint64_t *size);
bool ca_module_has_symtab(struct ca_module *module);

/* A section's place in the target by name; false without section headers. */
bool ca_module_section(struct ca_module *module, const char *name, uint64_t *address,
                       uint64_t *size);

/* The libdwfl module, of which only what the file itself holds is asked; NULL when there is no
 * file. */
Dwfl_Module *ca_module_dwfl(struct ca_modules *modules, struct ca_module *module);
/* The same, its debug files opened here: libdwfl left alone would open what a file names, whatever
 * that is. For lines, symbols, and CFI of debug files. */
Dwfl_Module *ca_module_debug(struct ca_modules *modules, struct ca_module *module);
/* Its DWARF; NULL when there is none. */
Dwarf *ca_module_dwarf(struct ca_modules *modules, struct ca_module *module);
/* The same for who asks for types only: sections that say nothing of them are not unpacked, which
 * takes most of the time that opening DWARF takes. */
Dwarf *ca_module_types(struct ca_modules *modules, struct ca_module *module);
/* NULL while what was read of its file is the file's. source may be NULL. */
struct ca_error *ca_type_source_check(const struct ca_type_source *source);
void ca_type_source_destroy(struct ca_type_source *source); /* NULL: nothing */

#endif
