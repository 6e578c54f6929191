#include "symbols/symbols.h"

#include <gelf.h>

/* A defined symbol; those whose names have one hash are chained. */
struct symbol {
    const char *name;   /* in the file */
    uint32_t name_size; /* without a version ("@@GLIBC_2.2.5") */
    uint32_t next;      /* index plus 1; 0: the last */
    bool local;
    uint64_t value, size;
};

struct ca_symbols {
    CA_VEC(struct symbol) list;
    struct ca_map index; /* hash of the name -> index in list, plus 1 */
};

void ca_symbols_destroy(struct ca_symbols *symbols)
{
    if (!symbols)
        return;
    ca_vec_deinit(&symbols->list);
    ca_map_deinit(&symbols->index);
    free(symbols);
}

static struct symbol *find(const struct ca_symbols *symbols, const char *name, size_t size)
{
    const uint64_t *at = ca_map_get(&symbols->index, ca_hash_bytes(name, size));
    for (uint64_t i = at ? *at : 0; i; i = symbols->list.data[i - 1].next) {
        struct symbol *symbol = &symbols->list.data[i - 1];
        if (symbol->name_size == size && !memcmp(symbol->name, name, size))
            return symbol;
    }
    return NULL;
}

static bool wanted(const GElf_Sym *sym)
{
    if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS)
        return false;
    switch (GELF_ST_TYPE(sym->st_info)) {
    case STT_NOTYPE:
    case STT_OBJECT:
    case STT_FUNC:
    case STT_GNU_IFUNC:
    case STT_COMMON:
        return true;
    default:
        return false; /* sections, files, and thread-local ones, whose value is no address */
    }
}

/* The first of a name wins, but a global one wins over a local one. */
static void add(struct ca_symbols *symbols, const char *name, const GElf_Sym *sym)
{
    size_t size = strcspn(name, "@");
    bool local = GELF_ST_BIND(sym->st_info) == STB_LOCAL;
    if (!size || size > UINT32_MAX || symbols->list.len >= UINT32_MAX)
        return;
    struct symbol *same = find(symbols, name, size);
    if (same) {
        if (same->local && !local) {
            same->local = false;
            same->value = sym->st_value;
            same->size = sym->st_size;
        }
        return;
    }
    uint64_t *at = ca_map_put(&symbols->index, ca_hash_bytes(name, size), NULL);
    if (!at)
        return;
    struct symbol symbol = {.name = name,
                            .name_size = (uint32_t)size,
                            .next = (uint32_t)*at,
                            .local = local,
                            .value = sym->st_value,
                            .size = sym->st_size};
    if (ca_vec_push(&symbols->list, symbol))
        *at = symbols->list.len;
}

static void index_section(struct ca_symbols *symbols, Elf *elf, Elf_Scn *section,
                          const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    if (!data || header->sh_entsize == 0)
        return;
    size_t count = data->d_size / sizeof(Elf64_Sym);
    for (size_t i = 1; i < count && i <= INT32_MAX; i++) {
        GElf_Sym sym;
        if (!gelf_getsym(data, (int)i, &sym) || !wanted(&sym))
            continue;
        const char *name = elf_strptr(elf, header->sh_link, sym.st_name);
        if (name)
            add(symbols, name, &sym);
    }
}

static struct ca_symbols *index_file(Elf *elf)
{
    struct ca_symbols *symbols = calloc(1, sizeof(*symbols));
    Elf_Scn *section = NULL;
    while (symbols && (section = elf_nextscn(elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) &&
            (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
            index_section(symbols, elf, section, &header);
    }
    return symbols;
}

bool ca_module_symbol(struct ca_module *module, const char *name, uint64_t *address, uint64_t *size)
{
    if (!module->elf)
        return false;
    if (!module->symbols)
        module->symbols = index_file(module->elf);
    if (!module->symbols)
        return false;
    const struct symbol *symbol = find(module->symbols, name, strlen(name));
    if (!symbol)
        return false;
    *address = symbol->value + module->bias;
    if (size)
        *size = symbol->size;
    return true;
}

bool ca_module_tls_symbol(struct ca_module *module, const char *name, uint64_t *offset)
{
    Elf_Scn *section = NULL;
    while (module->elf && (section = elf_nextscn(module->elf, section))) {
        GElf_Shdr header;
        GElf_Sym sym;
        if (!gelf_getshdr(section, &header) ||
            (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 0; data && gelf_getsym(data, i, &sym); i++) {
            const char *is = GELF_ST_TYPE(sym.st_info) == STT_TLS && sym.st_shndx != SHN_UNDEF
                                 ? elf_strptr(module->elf, header.sh_link, sym.st_name)
                                 : NULL;
            if (is && strcmp(is, name) == 0) {
                *offset = sym.st_value;
                return true;
            }
        }
    }
    return false;
}

bool ca_module_has_symtab(struct ca_module *module)
{
    Elf_Scn *section = NULL;
    while (module->elf && (section = elf_nextscn(module->elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB && header.sh_size)
            return true;
    }
    return false;
}

bool ca_module_section(struct ca_module *module, const char *name, uint64_t *address,
                       uint64_t *size)
{
    size_t names;
    if (!module->elf || elf_getshdrstrndx(module->elf, &names))
        return false;
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(module->elf, section))) {
        GElf_Shdr header;
        if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_ALLOC))
            continue;
        const char *is = elf_strptr(module->elf, names, header.sh_name);
        if (!is || strcmp(is, name))
            continue;
        *address = header.sh_addr + module->bias;
        if (size)
            *size = header.sh_size;
        return true;
    }
    return false;
}
