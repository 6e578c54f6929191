#include "symbols/modules.h"

#include <gelf.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mapped.h"
#include "symbols/image.h"
#include "symbols/match.h"
#include "symbols/symbols.h"

/* Where a module was found, before its file is looked for. */
struct found {
    const char *path; /* NULL: none */
    uint64_t start, end;
    bool deleted;
    bool executable; /* some of it can be executed */
};

struct finding {
    CA_VEC(struct found) list;
    struct ca_map paths; /* an interned path -> how many modules are it */
    uint64_t dropped;
};

/* Real programs load some thousand files at most, and each once (twice, where a library is loaded
 * into a name space of its own). What claims more is not believed: each would be opened. */
enum { MODULES_MAX = 4096, SAME_MAX = 8 };

static void free_module(struct ca_module *module)
{
    ca_symbols_destroy(module->symbols);
    ca_type_source_destroy(module->types);
    elf_end(module->elf);
    struct ca_file file = {module->bytes, module->size};
    ca_file_unmap(&file);
}

/* Before libdwfl unmaps them. */
static void unwatch_debug(struct ca_module *module)
{
    for (size_t i = 0; i < 2; i++)
        ca_mapped_unwatch(module->debug_bytes[i]);
}

/* After libdwfl has closed what refers to it. */
static void close_supplement(struct ca_module *module)
{
    if (!module->supplement)
        return;
    dwarf_end(module->supplement);
    close(module->supplement_fd);
}

static struct ca_error *check_module(const struct ca_module *module)
{
    struct ca_error *error =
        ca_mapped_check(module->bytes, module->file ? module->file : module->name);
    for (size_t i = 0; !error && i < 2; i++)
        error = ca_mapped_check(module->debug_bytes[i], "a debug file");
    if (!error)
        error = ca_type_source_check(module->types);
    if (!error && module->debug_lost)
        error = ca_error_create(CA_ERROR_IO, "the debug file of %s went away while it was read",
                                module->name);
    return error;
}

struct ca_error *ca_modules_check(const struct ca_modules *modules)
{
    struct ca_error *error = NULL;
    for (size_t i = 0; !error && i < modules->list.len; i++)
        error = check_module(&modules->list.data[i]);
    return error || !modules->debug_binary ? error : check_module(modules->debug_binary);
}

void ca_modules_destroy(struct ca_modules *modules)
{
    if (!modules)
        return;
    for (size_t i = 0; i < modules->list.len; i++)
        unwatch_debug(&modules->list.data[i]);
    if (modules->debug_binary)
        unwatch_debug(modules->debug_binary);
    dwfl_end(modules->dwfl);
    for (size_t i = 0; i < modules->list.len; i++)
        close_supplement(&modules->list.data[i]);
    if (modules->debug_binary)
        close_supplement(modules->debug_binary);
    for (size_t i = 0; i < modules->list.len; i++)
        free_module(&modules->list.data[i]);
    ca_vec_deinit(&modules->list);
    if (modules->debug_binary)
        free_module(modules->debug_binary);
    free(modules->debug_binary);
    free(modules);
}

static bool has_magic(struct ca_target *target, uint64_t address)
{
    char magic[SELFMAG];
    return ca_target_read(target, address, magic, SELFMAG) && !memcmp(magic, ELFMAG, SELFMAG);
}

/* Whether the mapping goes on with the file of the module found last. */
static bool continues(const struct found *last, const struct ca_mapping *mapping)
{
    return last->path && mapping->path && !strcmp(last->path, mapping->path) &&
           (mapping->file_offset || mapping->start == last->end);
}

static struct ca_error *add_found(struct finding *finding, struct found found)
{
    uint64_t *same =
        found.path ? ca_map_put(&finding->paths, (uint64_t)(uintptr_t)found.path, NULL) : NULL;
    if (found.path && !same)
        return &ca_error_nomem;
    if (finding->list.len >= MODULES_MAX || (same && ++*same > SAME_MAX)) {
        finding->dropped++;
        return NULL;
    }
    return ca_vec_push(&finding->list, found) ? NULL : &ca_error_nomem;
}

/* Modules by the kernel's list of mappings: a file from its first byte on, and ELF headers in
 * read-only memory of which no file is known. */
static struct ca_error *find_modules(struct ca_target *target, struct finding *finding)
{
    for (size_t i = 0; i < target->mappings.len; i++) {
        const struct ca_mapping *mapping = &target->mappings.data[i];
        struct found *last = finding->list.len ? &finding->list.data[finding->list.len - 1] : NULL;
        bool file = mapping->path && mapping->path[0] == '/';
        if (last && continues(last, mapping)) {
            last->end = mapping->end;
            last->executable |= (mapping->flags & PF_X) != 0;
            continue;
        }
        if (file ? mapping->file_offset != 0
                 : mapping->flags & PF_W || !has_magic(target, mapping->start))
            continue;
        struct ca_error *error =
            add_found(finding, (struct found){.path = file ? mapping->path : NULL,
                                              .start = mapping->start,
                                              .end = mapping->end,
                                              .deleted = mapping->deleted,
                                              .executable = mapping->flags & PF_X});
        if (error)
            return error;
    }
    return NULL;
}

static struct found *found_at(const struct finding *finding, uint64_t address)
{
    for (size_t i = 0; i < finding->list.len; i++)
        if (address - finding->list.data[i].start <
            finding->list.data[i].end - finding->list.data[i].start)
            return &finding->list.data[i];
    return NULL;
}

/* The executable where no mapping names it: around its program headers, which the kernel tells. */
static struct ca_error *add_main(struct ca_target *target, struct finding *finding, uint64_t *start)
{
    uint64_t phdr;
    if (!ca_target_auxv(target, AT_PHDR, &phdr) || phdr < sizeof(Elf64_Ehdr))
        return NULL;
    const struct ca_mapping *mapping = ca_target_mapping(target, phdr);
    /* Linkers put the headers into the first page. */
    uint64_t page = phdr & ~0xfffull;
    struct found found = {
        .start = page, .end = mapping ? mapping->end : page + 0x1000, .executable = true};
    *start = page;
    return ca_vec_push(&finding->list, found) ? NULL : &ca_error_nomem;
}

/* Without an auxiliary vector: the one with the name that is known, else the first program. */
static struct found *guess_main(struct ca_target *target, const struct finding *finding,
                                const struct ca_options *options)
{
    const char *names[] = {target->exe_hint, options->exe};
    for (size_t n = 0; n < 2; n++)
        for (size_t i = 0; names[n] && i < finding->list.len; i++)
            if (finding->list.data[i].path && !strcmp(finding->list.data[i].path, names[n]))
                return &finding->list.data[i];
    for (size_t i = 0; i < finding->list.len; i++)
        if (finding->list.data[i].path && !strstr(finding->list.data[i].path, ".so"))
            return &finding->list.data[i];
    return finding->list.len ? &finding->list.data[0] : NULL;
}

/* *start: where the executable begins, or UINT64_MAX. */
static struct ca_error *find_main(struct ca_target *target, struct finding *finding,
                                  const struct ca_options *options, uint64_t *start)
{
    uint64_t address;
    *start = UINT64_MAX;
    bool told = ca_target_auxv(target, AT_PHDR, &address);
    struct found *found = told ? found_at(finding, address) : NULL;
    if (!found && ca_target_auxv(target, AT_ENTRY, &address)) {
        told = true;
        found = found_at(finding, address);
    }
    if (!found && told)
        return add_main(target, finding, start);
    if (!found)
        found = guess_main(target, finding, options);
    if (found)
        *start = found->start;
    return NULL;
}

/* The name that the kernel started it by. */
static const char *main_name(struct ca_target *target)
{
    uint64_t address;
    const char *name = ca_target_auxv(target, AT_EXECFN, &address)
                           ? ca_target_read_string(target, address, 4096)
                           : NULL;
    return name ? name : "";
}

/* libelf gets a copy: it writes to section headers when it decompresses, and the target's bytes
 * are read-only. */
static void copy_vdso(struct ca_target *target, struct ca_module *module)
{
    enum { VDSO_MAX = 1 << 20 };
    uint64_t size = module->end - module->start;
    if (!size || size > VDSO_MAX)
        return;
    void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return;
    module->bytes = copy;
    module->size = size;
    if (ca_target_read(target, module->start, copy, size))
        module->elf = elf_memory(copy, size);
}

static struct ca_error *open_module(struct ca_match *match)
{
    struct ca_module *module = match->module;
    uint64_t low, high, vdso;
    match->header_seen = ca_image_read_target(&match->loaded, match->target, module->start);
    if (match->header_seen) {
        module->bias = ca_image_bias(&match->loaded, module->start);
        if (ca_image_range(&match->loaded, &low, &high) && high + module->bias > module->end)
            module->end = high + module->bias;
    }
    if (ca_target_auxv(match->target, AT_SYSINFO_EHDR, &vdso) && vdso == module->start) {
        module->vdso = true;
        module->name = "[vdso]";
        copy_vdso(match->target, module);
        module->why = "it is the kernel's";
        return NULL;
    }
    return ca_match_file(match);
}

static struct ca_error *add_module(struct ca_modules *modules, const struct ca_options *options,
                                   struct ca_gaps *gaps, const struct found *found, bool is_main)
{
    struct ca_module module = {.name = found->path ? found->path : "",
                               .sysroot = options->sysroot,
                               .start = found->start,
                               .end = found->end,
                               .main = is_main};
    if (is_main && !found->path)
        module.name = main_name(modules->target);
    struct ca_match match = {.target = modules->target,
                             .options = options,
                             .gaps = gaps,
                             .module = &module,
                             .deleted = found->deleted};
    struct ca_error *error = open_module(&match);
    /* A data file that happens to be mapped is no module. */
    bool odd = !is_main && !module.elf && !match.header_seen && !found->executable;
    /* Nor is a program that somebody has mapped to look at it: a debugger, say. Of a process it is
     * known for sure what may be executed. */
    odd |= !is_main && !found->executable && modules->target->kind == CA_TARGET_LIVE;
    ca_image_deinit(&match.loaded);
    if (error || odd || !ca_vec_push(&modules->list, module)) {
        free_module(&module);
        return error || odd ? error : &ca_error_nomem;
    }
    if (!module.file && !module.vdso && is_main)
        ca_gaps_add(gaps, *module.name ? module.name : "the executable", module.start,
                    "the executable could not be opened (%s): name it with --exe", module.why);
    else if (!module.file && !module.vdso)
        ca_gaps_add(gaps, *module.name ? module.name : "a library", module.start,
                    "the file could not be opened: %s", module.why ? module.why : "not found");
    return NULL;
}

static int by_start(const void *a, const void *b)
{
    const struct ca_module *one = a, *two = b;
    return (one->start > two->start) - (one->start < two->start);
}

static struct ca_error *open_debug_binary(struct ca_modules *modules,
                                          const struct ca_options *options)
{
    if (!options->debug_binary)
        return NULL;
    struct ca_module *module = modules->debug_binary = calloc(1, sizeof(*module));
    if (!module)
        return &ca_error_nomem;
    struct ca_file file;
    struct ca_image image = {0};
    struct ca_error *error = ca_file_map(options->debug_binary, &file);
    if (!error)
        error = ca_image_read_file(&image, options->debug_binary, &file, modules->target->arch);
    if (!error) {
        module->name = module->file = options->debug_binary;
        module->sysroot = options->sysroot;
        module->bytes = file.bytes;
        module->size = file.size;
        memcpy(module->build_id, image.ids.gnu, image.ids.gnu_size);
        module->build_id_size = image.ids.gnu_size;
        module->elf = elf_memory((char *)(uintptr_t)file.bytes, file.size);
        ca_image_range(&image, &module->start, &module->end);
    } else {
        ca_file_unmap(&file);
    }
    ca_image_deinit(&image);
    return ca_error_prefix(error, "--debug-binary");
}

/* --exe, when nothing in the target tells where an executable is: only its own addresses help. */
static struct ca_error *add_unplaced(struct ca_modules *modules, const struct ca_options *options,
                                     struct ca_gaps *gaps)
{
    struct ca_file file;
    struct ca_image image = {0};
    struct found found = {.path = options->exe, .executable = true};
    struct ca_error *error = ca_file_map(options->exe, &file);
    if (!error)
        error = ca_image_read_file(&image, options->exe, &file, modules->target->arch);
    bool placed = !error && image.header.e_type == ET_EXEC &&
                  ca_image_range(&image, &found.start, &found.end);
    ca_image_deinit(&image);
    ca_file_unmap(&file);
    if (error)
        return error;
    if (placed)
        return add_module(modules, options, gaps, &found, true);
    ca_gaps_add(gaps, "the executable", 0, "the target does not tell where %s is loaded",
                options->exe);
    return NULL;
}

static struct ca_error *fill(struct ca_modules *modules, const struct ca_options *options,
                             struct ca_gaps *gaps)
{
    struct finding finding = {0};
    uint64_t start = UINT64_MAX;
    struct ca_error *error = find_modules(modules->target, &finding);
    if (finding.dropped)
        ca_gaps_add(gaps, "modules", 0,
                    "%llu mapped files are left out: more than %d in all, or %d of one name",
                    (unsigned long long)finding.dropped, MODULES_MAX, SAME_MAX);
    if (!error)
        error = find_main(modules->target, &finding, options, &start);
    for (size_t i = 0; !error && i < finding.list.len; i++)
        error = add_module(modules, options, gaps, &finding.list.data[i],
                           finding.list.data[i].start == start);
    ca_vec_deinit(&finding.list);
    ca_map_deinit(&finding.paths);
    if (!error && start == UINT64_MAX && options->exe)
        error = add_unplaced(modules, options, gaps);
    if (!error && modules->list.len)
        qsort(modules->list.data, modules->list.len, sizeof(*modules->list.data), by_start);
    return error ? error : open_debug_binary(modules, options);
}

static struct ca_error *keep(struct ca_target *target, const char **text)
{
    if (!*text)
        return NULL;
    *text = ca_strings_intern(&target->strings, *text, strlen(*text));
    return *text ? NULL : &ca_error_nomem;
}

struct ca_error *ca_modules_open(struct ca_target *target, const struct ca_options *options,
                                 struct ca_gaps *gaps, struct ca_modules **ret)
{
    struct ca_modules *modules = calloc(1, sizeof(*modules));
    if (!modules)
        return &ca_error_nomem;
    modules->target = target;
    elf_version(EV_CURRENT);
    /* What modules keep of the options must outlive the caller's strings. */
    struct ca_options own = *options;
    struct ca_error *error = keep(target, &own.exe);
    if (!error)
        error = keep(target, &own.sysroot);
    if (!error)
        error = keep(target, &own.debug_binary);
    if (!error)
        error = fill(modules, &own, gaps);
    if (error) {
        ca_modules_destroy(modules);
        return error;
    }
    *ret = modules;
    return NULL;
}

struct ca_module *ca_modules_at(const struct ca_modules *modules, uint64_t address)
{
    size_t low = 0, high = modules->list.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (modules->list.data[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    struct ca_module *module = low ? &modules->list.data[low - 1] : NULL;
    return module && address < module->end ? module : NULL;
}

bool ca_modules_is_code(const struct ca_modules *modules, uint64_t address)
{
    const struct ca_mapping *mapping = ca_target_mapping(modules->target, address);
    if (mapping && mapping->flags & PF_X)
        return true;
    const struct ca_module *module = ca_modules_at(modules, address);
    size_t count = 0;
    if (!module || !module->elf || elf_getphdrnum(module->elf, &count))
        return false;
    for (size_t i = 0; i < count && i < INT_MAX; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(module->elf, (int)i, &segment) && segment.p_type == PT_LOAD &&
            segment.p_flags & PF_X && address - module->bias - segment.p_vaddr < segment.p_memsz)
            return true;
    }
    return false;
}

struct ca_module *ca_modules_main(const struct ca_modules *modules)
{
    for (size_t i = 0; i < modules->list.len; i++)
        if (modules->list.data[i].main)
            return &modules->list.data[i];
    return NULL;
}
