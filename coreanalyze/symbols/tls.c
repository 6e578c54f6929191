#include "symbols/tls.h"

#include <gelf.h>
#include <string.h>

enum { LINK_MAPS = 4096 };

void ca_tls_init(struct ca_tls *tls, struct ca_modules *modules)
{
    memset(tls, 0, sizeof(*tls));
    tls->modules = modules;
}

void ca_tls_deinit(struct ca_tls *tls)
{
    ca_vec_deinit(&tls->list);
}

static bool tls_segment(struct ca_module *module, GElf_Phdr *ret)
{
    size_t count;
    if (!module->elf || elf_getphdrnum(module->elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (gelf_getphdr(module->elf, (int)i, ret) && ret->p_type == PT_TLS)
            return true;
    return false;
}

/* The executable's block has a fixed place beside the thread pointer. */
static bool place_main(struct ca_tls *tls, struct ca_tls_module *entry)
{
    GElf_Phdr phdr;
    if (!tls_segment(entry->module, &phdr))
        return false;
    uint64_t align = phdr.p_align ? phdr.p_align : 1;
    if (align & (align - 1))
        return false;
    entry->fixed = true;
    if (tls->modules->target->arch == CA_ARCH_ARM64)
        entry->offset = (16 + align - 1) & -align;
    else {
        /* amd64: the block ends at the thread pointer; elf/dl-tls.c of glibc. */
        uint64_t first = -phdr.p_vaddr & (align - 1);
        entry->offset = -(((phdr.p_memsz - first + align - 1) & -align) + first);
    }
    return true;
}

static bool libc_symbol(struct ca_tls *tls, const char *name, uint64_t *ret)
{
    for (size_t i = 0; i < tls->modules->list.len; i++)
        if (ca_module_symbol(&tls->modules->list.data[i], name, ret, NULL))
            return true;
    return false;
}

/* Descriptors of libthread_db: { bits, elements, offset }. */
static bool db_offset(struct ca_tls *tls, const char *name, uint32_t *ret)
{
    uint64_t address;
    uint32_t descriptor[3];
    if (!libc_symbol(tls, name, &address) ||
        !ca_target_read(tls->modules->target, address, descriptor, sizeof(descriptor)))
        return false;
    *ret = descriptor[2];
    return *ret < 0x10000;
}

static bool first_link_map(struct ca_tls *tls, uint64_t *ret)
{
    uint64_t debug;
    struct ca_target *target = tls->modules->target;
    return libc_symbol(tls, "_r_debug", &debug) && ca_target_read_u64(target, debug + 8, ret) &&
           *ret;
}

/* struct link_map: l_addr, l_name, l_ld, l_next: the public part. */
static bool place_library(struct ca_tls *tls, struct ca_tls_module *entry)
{
    struct ca_target *target = tls->modules->target;
    uint32_t id_offset;
    uint64_t map;
    if (!db_offset(tls, "_thread_db_link_map_l_tls_modid", &id_offset) ||
        !first_link_map(tls, &map))
        return false;
    for (int i = 0; map && i < LINK_MAPS; i++) {
        uint64_t words[4];
        if (!ca_target_read(target, map, words, sizeof(words)))
            return false;
        if (words[0] == entry->module->bias && words[2] >= entry->module->start &&
            words[2] < entry->module->end)
            return ca_target_read_u64(target, map + id_offset, &entry->id) && entry->id;
        map = words[3];
    }
    return false;
}

static struct ca_tls_module *find(struct ca_tls *tls, struct ca_module *module)
{
    for (size_t i = 0; i < tls->list.len; i++)
        if (tls->list.data[i].module == module)
            return &tls->list.data[i];
    struct ca_tls_module entry = {.module = module};
    entry.known = module->main ? place_main(tls, &entry) : place_library(tls, &entry);
    if (!ca_vec_push(&tls->list, entry))
        return NULL;
    return &tls->list.data[tls->list.len - 1];
}

bool ca_tls_address(struct ca_tls *tls, uint64_t thread_pointer, struct ca_module *module,
                    uint64_t offset, uint64_t *ret)
{
    struct ca_tls_module *entry = find(tls, module);
    if (!entry || !entry->known || !thread_pointer)
        return false;
    if (entry->fixed) {
        *ret = thread_pointer + entry->offset + offset;
        return true;
    }
    /* The dtv is the second word of the thread's control block on amd64, the first on arm64; each
     * slot is { pointer, to_free }, a pointer of -1 is not allocated yet. */
    struct ca_target *target = tls->modules->target;
    uint64_t dtv, block;
    uint64_t at = target->arch == CA_ARCH_ARM64 ? 0 : 8;
    if (!ca_target_read_u64(target, thread_pointer + at, &dtv) || entry->id > UINT32_MAX ||
        !ca_target_read_u64(target, dtv + entry->id * 16, &block) || !block || block == UINT64_MAX)
        return false;
    *ret = block + offset;
    return true;
}
