#include "runtimes/described/match.h"

#include <fnmatch.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

/* DT_SONAME of the file. */
static const char *soname_of(struct ca_module *module)
{
    size_t count;
    if (!module->elf || elf_getphdrnum(module->elf, &count) != 0)
        return NULL;
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(module->elf, section))) {
        GElf_Shdr header;
        if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNAMIC)
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        size_t entries = data && header.sh_entsize ? header.sh_size / header.sh_entsize : 0;
        for (size_t i = 0; i < entries && i < 1000; i++) {
            GElf_Dyn dyn;
            if (gelf_getdyn(data, (int)i, &dyn) && dyn.d_tag == DT_SONAME)
                return elf_strptr(module->elf, header.sh_link, dyn.d_un.d_val);
        }
    }
    return NULL;
}

static bool soname_is(struct ca_module *module, const char *pattern)
{
    const char *soname = soname_of(module);
    if (soname && fnmatch(pattern, soname, 0) == 0)
        return true;
    const char *name = base_name(module->name);
    return name && fnmatch(pattern, name, 0) == 0;
}

static bool build_id_is(const struct ca_module *module, const char *prefix)
{
    char text[2 * sizeof(module->build_id) + 1] = "";
    for (size_t i = 0; i < module->build_id_size && i < sizeof(module->build_id); i++)
        snprintf(text + 2 * i, 3, "%02x", module->build_id[i]);
    size_t size = strlen(prefix);
    return size >= 8 && strncmp(text, prefix, size) == 0;
}

static bool has_type(const struct ca_context *context, struct ca_module *module,
                     struct ca_arena *arena, const char *name)
{
    struct ca_types types;
    if (!ca_module_dwarf(context->modules, module))
        return false;
    ca_types_init(&types, arena, context->modules, module, NULL);
    types.indexed = 0;
    const struct ca_ctype *type = ca_types_find(&types, name);
    ca_types_deinit(&types);
    return type && type->kind == CA_CTYPE_STRUCT && type->size;
}

static bool matches(const struct ca_context *context, const struct ca_match *match,
                    struct ca_module *module, struct ca_arena *arena)
{
    uint64_t address;
    if (match->soname && !soname_is(module, match->soname))
        return false;
    if (match->program) {
        const struct ca_module *main = ca_modules_main(context->modules);
        const char *name = main ? base_name(main->name) : NULL;
        if (!name || fnmatch(match->program, name, 0) != 0)
            return false;
        if (!match->soname && !match->symbol && !match->build_id && module != main)
            return false;
    }
    if (match->build_id && !build_id_is(module, match->build_id))
        return false;
    if (match->symbol && !ca_module_symbol(module, match->symbol, &address, NULL) &&
        !ca_module_tls_symbol(module, match->symbol, &address))
        return false;
    return !match->type || has_type(context, module, arena, match->type);
}

struct ca_module *ca_match_module(const struct ca_context *context, const struct ca_description *d,
                                  struct ca_arena *arena, struct ca_module *own)
{
    struct ca_modules *modules = context->modules;
    if (own)
        return own;
    if (!d->match)
        return ca_modules_main(modules);
    for (const struct ca_match *match = d->match; match; match = match->next)
        for (size_t i = 0; i < modules->list.len; i++)
            if (!modules->list.data[i].vdso &&
                matches(context, match, &modules->list.data[i], arena))
                return &modules->list.data[i];
    return NULL;
}

/* The first condition that no module meets, of a description that none meets. */
const char *ca_match_why(const struct ca_context *context, const struct ca_description *d,
                         struct ca_arena *arena)
{
    struct ca_modules *modules = context->modules;
    for (const struct ca_match *m = d->match; m; m = m->next) {
        const struct {
            const char *what, *value;
            struct ca_match alone;
        } parts[] = {{"soname", m->soname, {.soname = m->soname}},
                     {"symbol", m->symbol, {.symbol = m->symbol}},
                     {"type", m->type, {.type = m->type}},
                     {"build-id", m->build_id, {.build_id = m->build_id}},
                     {"program", m->program, {.program = m->program}}};
        for (size_t p = 0; p < sizeof(parts) / sizeof(*parts); p++) {
            bool any = !parts[p].value;
            for (size_t i = 0; !any && i < modules->list.len; i++)
                any = matches(context, &parts[p].alone, &modules->list.data[i], arena);
            if (!any)
                return ca_arena_printf(arena, "none of the target's %zu modules has the %s \"%s\"",
                                       modules->list.len, parts[p].what, parts[p].value);
        }
    }
    return NULL;
}

bool ca_match_layout(const struct ca_node *layout, struct ca_module *module, enum ca_arch arch)
{
    const struct ca_node *want = ca_node_get(layout, "arch");
    const struct ca_node *soname = ca_node_get(layout, "soname");
    const struct ca_node *id = ca_node_get(layout, "build-id");
    const char *name = ca_arch_name(arch);
    if (want && (want->kind != CA_NODE_SCALAR || !name || strcmp(want->text, name) != 0))
        return false;
    if (soname && (soname->kind != CA_NODE_SCALAR || !soname_is(module, soname->text)))
        return false;
    return !id || (id->kind == CA_NODE_SCALAR && build_id_is(module, id->text));
}
