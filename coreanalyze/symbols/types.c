/* DWARF for types alone. libdw unpacks every section of debug information when a file is opened;
 * lines, frames and locations are more than half of it and say nothing of types. So the file is
 * mapped once more, and those sections are called empty there.
 */
#include "symbols/modules.h"

#include "base/mapped.h"
#include "symbols/image.h"

struct ca_type_source {
    struct ca_file file;
    Elf *elf;
    Dwarf *dwarf; /* NULL: there is none to be had this way */
};

void ca_type_source_destroy(struct ca_type_source *source)
{
    if (!source)
        return;
    dwarf_end(source->dwarf);
    elf_end(source->elf);
    ca_file_unmap(&source->file);
    free(source);
}

struct ca_error *ca_type_source_check(const struct ca_type_source *source)
{
    return source ? ca_mapped_check(source->file.bytes, "the executable") : NULL;
}

static bool tells_types(const char *name)
{
    static const char *const names[] = {".debug_info",     ".debug_abbrev",      ".debug_str",
                                        ".debug_line_str", ".debug_str_offsets", ".debug_types",
                                        ".debug_addr"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

/* The section headers, checked to be in the file; NULL: there are none. */
static Elf64_Shdr *headers(const struct ca_file *file, size_t *count, const Elf64_Shdr **names)
{
    Elf64_Ehdr header;
    if (file->size < sizeof(header))
        return NULL;
    memcpy(&header, file->bytes, sizeof(header));
    *count = header.e_shnum;
    if (!*count || header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shoff % 8 ||
        header.e_shoff > file->size || header.e_shstrndx >= *count ||
        *count * sizeof(Elf64_Shdr) > file->size - header.e_shoff)
        return NULL;
    /* The mapping is writable and private. */
    Elf64_Shdr *list = (Elf64_Shdr *)(uintptr_t)(file->bytes + header.e_shoff);
    *names = &list[header.e_shstrndx];
    if ((*names)->sh_offset > file->size || (*names)->sh_size > file->size - (*names)->sh_offset)
        return NULL;
    return list;
}

/* Empties what says nothing of types. false: nothing would be won, or the headers are odd. */
static bool reduce(const struct ca_file *file)
{
    size_t count;
    const Elf64_Shdr *names;
    Elf64_Shdr *list = headers(file, &count, &names);
    bool types = false, won = false;
    for (size_t i = 0; list && i < count; i++) {
        uint64_t left = list[i].sh_name < names->sh_size ? names->sh_size - list[i].sh_name : 0;
        const char *name = (const char *)file->bytes + names->sh_offset + list[i].sh_name;
        if (!left || !memchr(name, 0, left) || strncmp(name, ".debug_", strlen(".debug_")))
            continue;
        types |= !strcmp(name, ".debug_info") && list[i].sh_type == SHT_PROGBITS;
        if (tells_types(name) || !(list[i].sh_flags & SHF_COMPRESSED))
            continue;
        list[i].sh_type = SHT_NOBITS;
        won = true;
    }
    return types && won;
}

static void open_source(struct ca_type_source *source, const struct ca_module *module)
{
    struct ca_error *error = ca_file_map(module->file, &source->file);
    /* Who changes the file between the two looks at it gets the ordinary way. */
    if (!error && source->file.size == module->size &&
        !memcmp(source->file.bytes, module->bytes, sizeof(Elf64_Ehdr)) && reduce(&source->file)) {
        source->elf = elf_memory((char *)(uintptr_t)source->file.bytes, source->file.size);
        source->dwarf = source->elf ? dwarf_begin_elf(source->elf, DWARF_C_READ, NULL) : NULL;
    }
    ca_error_destroy(error);
}

Dwarf *ca_module_types(struct ca_modules *modules, struct ca_module *module)
{
    if (!module->types && module->file && module->elf && module->size >= sizeof(Elf64_Ehdr)) {
        module->types = calloc(1, sizeof(*module->types));
        if (module->types)
            open_source(module->types, module);
    }
    if (module->types && module->types->dwarf)
        return module->types->dwarf;
    return ca_module_dwarf(modules, module);
}
