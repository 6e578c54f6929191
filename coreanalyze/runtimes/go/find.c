#include "runtimes/go/find.h"

#include <ctype.h>
#include <gelf.h>
#include <string.h>

enum {
    PCLNTAB_ALIGN = 8, /* 32 to 1.25, 16 in 1.26, 8 in 1.27 */
    PAGE = 4096,
    VERSION_MIN = 5,
    VERSION_MAX = 100,
};

/* The pcHeader: magic (1.18 and 1.19, then 1.20 and later), two zero bytes, instruction size,
 * pointer size. */
static bool is_pclntab(const uint8_t *at)
{
    static const uint8_t old[] = {0xf0, 0xff, 0xff, 0xff}, new[] = {0xf1, 0xff, 0xff, 0xff};
    return (!memcmp(at, old, 4) || !memcmp(at, new, 4)) && !at[4] && !at[5] &&
           (at[6] == 1 || at[6] == 4) && at[7] == 8;
}

/* Files of untrusted programs: the pcHeader's own numbers must agree with each other. Its tables
 * come in the order of its fields (runtime/symtab.go, pcHeader, 1.18 and later). */
static bool is_header(const uint8_t *at, uint64_t room)
{
    uint64_t
        field[9]; /* field[1]: functions, [2]: files, [3]: text, then the offsets of 5 tables */
    if (room < sizeof(field) || !is_pclntab(at))
        return false;
    memcpy(field, at, sizeof(field));
    for (size_t i = 5; i < 9; i++)
        if (field[i] < field[i - 1])
            return false;
    return field[1] > 0 && field[1] < 1ull << 28 && field[2] < 1ull << 28 &&
           field[4] >= sizeof(field) && field[8] < 1ull << 40;
}

static bool section_is_pclntab(struct ca_target *target, struct ca_module *module, const char *name,
                               uint64_t *ret)
{
    uint64_t size;
    uint8_t header[72];
    return ca_module_section(module, name, ret, &size) && size > sizeof(header) &&
           ca_target_read(target, *ret, header, sizeof(header)) &&
           is_header(header, sizeof(header));
}

/* In the file's loadable segments; with the section headers stripped there is no other way. */
static uint64_t search_pclntab(struct ca_module *module)
{
    size_t count;
    if (!module->elf || !module->bytes || elf_getphdrnum(module->elf, &count))
        return 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (!gelf_getphdr(module->elf, (int)i, &header) || header.p_type != PT_LOAD ||
            header.p_offset > module->size || header.p_filesz > module->size - header.p_offset)
            continue;
        uint64_t first = (PCLNTAB_ALIGN - header.p_vaddr % PCLNTAB_ALIGN) % PCLNTAB_ALIGN;
        for (uint64_t at = first; at + 72 < header.p_filesz; at += PCLNTAB_ALIGN)
            if (is_header(module->bytes + header.p_offset + at, header.p_filesz - at))
                return header.p_vaddr + at + module->bias;
    }
    return 0;
}

uint64_t ca_go_find_pclntab(struct ca_target *target, struct ca_module *module)
{
    static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
    uint64_t address, size;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (section_is_pclntab(target, module, names[i], &address))
            return address;
    /* A file with section headers and no such section has no Go, but for old linkers' PIE. */
    if (ca_module_section(module, ".text", &address, &size) &&
        !ca_module_section(module, ".go.buildinfo", &address, &size))
        return 0;
    return search_pclntab(module);
}

/* debug/buildinfo: "\xff Go buildinf:", pointer size, flags (2: strings inline, at +32). */
static bool version_at(const uint8_t *at, uint64_t room, char *ret, size_t space)
{
    if (room < 34 || !(at[15] & 2))
        return false;
    uint64_t length = at[32], start = 33;
    if (length & 0x80) {
        length = (length & 0x7f) | (uint64_t)at[33] << 7;
        start = 34;
    }
    if (length < VERSION_MIN || length >= space || length > room - start)
        return false;
    memcpy(ret, at + start, length);
    ret[length] = 0;
    return true;
}

bool ca_go_find_version(struct ca_target *target, struct ca_module *module, char *ret, size_t room)
{
    static const char magic[] = "\xff Go buildinf:";
    (void)target;
    const uint8_t *at = module->bytes, *end = module->bytes ? module->bytes + module->size : NULL;
    while (at && at < end &&
           (at = memmem(at, (size_t)(end - at), magic, sizeof(magic) - 1)) != NULL) {
        if (((uintptr_t)(at - module->bytes)) % 16 == 0 &&
            version_at(at, (uint64_t)(end - at), ret, room))
            return true;
        at++;
    }
    return false;
}

static bool looks_like_version(const char *text, uint64_t size)
{
    if (size < VERSION_MIN || memcmp(text, "go1.", 4) != 0 || !isdigit((unsigned char)text[4]))
        return false;
    for (uint64_t i = 0; i < size; i++)
        if (!isprint((unsigned char)text[i]))
            return false;
    return true;
}

/* Calls fn on every word of the module's writable or relocated memory until it says stop. */
static bool each_word(struct ca_target *target, struct ca_module *module,
                      bool (*fn)(void *arg, uint64_t address, const uint64_t *words), void *arg)
{
    uint64_t page[PAGE / 8 + 1];
    for (size_t i = 0; i < target->mappings.len; i++) {
        const struct ca_mapping *mapping = &target->mappings.data[i];
        if (mapping->end <= module->start || mapping->start >= module->end || mapping->flags & PF_X)
            continue;
        for (uint64_t at = mapping->start; mapping->end - at >= PAGE; at += PAGE) {
            if (!ca_target_read(target, at, page, PAGE)) {
                uint64_t next = ca_target_next(target, at + PAGE) & ~(uint64_t)(PAGE - 1);
                if (next >= mapping->end)
                    break;
                at = next - PAGE;
                continue;
            }
            if (!ca_target_read_u64(target, at + PAGE, &page[PAGE / 8]))
                page[PAGE / 8] = 0;
            for (uint64_t k = 0; k < PAGE / 8; k++)
                if (fn(arg, at + k * 8, page + k))
                    return true;
        }
    }
    return false;
}

struct version_search {
    struct ca_target *target;
    struct ca_module *module;
    char *text;
    size_t room;
};

static bool try_version(void *arg, uint64_t address, const uint64_t *words)
{
    struct version_search *search = arg;
    char text[VERSION_MAX];
    (void)address;
    if (words[1] < VERSION_MIN || words[1] >= sizeof(text) || words[1] >= search->room ||
        words[0] < search->module->start || words[0] >= search->module->end ||
        !ca_target_read(search->target, words[0], text, words[1]) ||
        !looks_like_version(text, words[1]))
        return false;
    memcpy(search->text, text, words[1]);
    search->text[words[1]] = 0;
    return true;
}

bool ca_go_search_version(struct ca_target *target, struct ca_module *module, char *ret,
                          size_t room)
{
    struct version_search search = {target, module, ret, room};
    return each_word(target, module, try_version, &search);
}

struct moduledata_search {
    struct ca_target *target;
    const struct ca_go_layout *layout;
    uint64_t pclntab, found;
};

static bool try_moduledata(void *arg, uint64_t address, const uint64_t *words)
{
    struct moduledata_search *search = arg;
    struct ca_go_tables tables;
    if (words[0] != search->pclntab)
        return false;
    uint64_t candidate = address - (uint64_t)search->layout->at[GO_MD_PCHEADER];
    struct ca_error *error = ca_go_tables_init(&tables, search->target, search->layout, candidate);
    ca_go_tables_deinit(&tables);
    if (error) {
        ca_error_destroy(error);
        return false;
    }
    search->found = candidate;
    return true;
}

uint64_t ca_go_find_moduledata(struct ca_target *target, struct ca_module *module,
                               const struct ca_go_layout *layout, uint64_t pclntab)
{
    struct moduledata_search search = {target, layout, pclntab, 0};
    each_word(target, module, try_moduledata, &search);
    return search.found;
}
