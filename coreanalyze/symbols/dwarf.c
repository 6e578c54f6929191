#include "symbols/modules.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapped.h"
#include "symbols/image.h"

/* libdwfl asks for the file of a module by this; userdata is the module. */
static struct ca_module *module_of(Dwfl_Module *dwfl_module)
{
    void **userdata;
    dwfl_module_info(dwfl_module, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
    return *userdata;
}

static int find_elf(Dwfl_Module *dwfl_module, void **userdata, const char *name, Dwarf_Addr base,
                    char **file_name, Elf **elf)
{
    (void)dwfl_module, (void)name, (void)base;
    struct ca_module *module = *userdata;
    if (!module || !module->elf)
        return -1;
    /* One more reference: libdwfl ends the one that it gets. */
    *elf = elf_begin(-1, ELF_C_READ, module->elf);
    if (*elf && module->file)
        *file_name = strdup(module->file);
    return -1;
}

/* A debug file, when it is one and belongs to the module: its descriptor, else -1. */
static int open_debug(const struct ca_module *module, const char *path, char **debug_name)
{
    struct ca_file file;
    struct ca_image image = {0};
    struct ca_error *error = ca_file_map(path, &file);
    if (!error)
        error = ca_image_read_file(&image, path, &file, CA_ARCH_UNKNOWN);
    bool same = !error && module->build_id_size && image.ids.gnu_size == module->build_id_size &&
                !memcmp(image.ids.gnu, module->build_id, module->build_id_size);
    ca_image_deinit(&image);
    ca_error_destroy(error);
    ca_file_unmap(&file);
    int fd = same ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd >= 0)
        *debug_name = strdup(path);
    return fd;
}

/* Where Debian, Fedora and gdb look, on this machine only: libdwfl's own search would ask servers
 * when DEBUGINFOD_URLS is set. Only files with the module's build id are taken. */
static int find_debuginfo(Dwfl_Module *dwfl_module, void **userdata, const char *name,
                          Dwarf_Addr base, const char *file_name, const char *link, GElf_Word crc,
                          char **debug_name)
{
    (void)name, (void)base, (void)file_name, (void)crc, (void)userdata;
    const struct ca_module *module = module_of(dwfl_module);
    if (!module || module->build_id_size < 2)
        return -1;
    char hex[2 * sizeof(module->build_id) + 1], path[PATH_MAX];
    for (size_t i = 0; i < module->build_id_size; i++)
        snprintf(hex + 2 * i, 3, "%02x", module->build_id[i]);
    const char *sysroot = module->sysroot ? module->sysroot : "";
    int fd = -1;
    for (int with = *sysroot ? 1 : 0; fd < 0 && with >= 0; with--) {
        snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%.2s/%s.debug",
                 with ? sysroot : "", hex, hex + 2);
        fd = open_debug(module, path, debug_name);
    }
    if (fd >= 0 || !link || !module->file)
        return fd;
    const char *slash = strrchr(module->file, '/');
    int folder = slash ? (int)(slash - module->file) : 0;
    static const char *const places[] = {"%s%.*s/%s", "%s%.*s/.debug/%s"};
    for (size_t i = 0; fd < 0 && i < 2; i++) {
        snprintf(path, sizeof(path), places[i], slash ? "" : ".", folder, module->file, link);
        fd = open_debug(module, path, debug_name);
    }
    if (fd < 0 && slash) {
        snprintf(path, sizeof(path), "/usr/lib/debug%.*s/%s", folder, module->file, link);
        fd = open_debug(module, path, debug_name);
    }
    return fd;
}

static const Dwfl_Callbacks callbacks = {
    .find_elf = find_elf,
    .find_debuginfo = find_debuginfo,
};

/* What libdwfl takes for the start of the module: its bias must come out as ours. */
static bool dwfl_range(const struct ca_module *module, uint64_t *low, uint64_t *high)
{
    size_t count;
    *low = *high = 0;
    if (elf_getphdrnum(module->elf, &count))
        return false;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr phdr;
        if (!gelf_getphdr(module->elf, (int)i, &phdr) || phdr.p_type != PT_LOAD)
            continue;
        uint64_t align = phdr.p_align > 1 ? phdr.p_align : 1;
        if (!any)
            *low = (phdr.p_vaddr & -align) + module->bias;
        any = true;
        uint64_t end = phdr.p_vaddr + phdr.p_memsz + module->bias;
        if (end > *high)
            *high = end;
    }
    return any && *low < *high;
}

static Dwfl_Module *report(struct ca_modules *modules, struct ca_module *module)
{
    uint64_t low, high;
    if (!module->elf || !dwfl_range(module, &low, &high))
        return NULL;
    if (!modules->dwfl)
        modules->dwfl = dwfl_begin(&callbacks);
    if (!modules->dwfl)
        return NULL;
    dwfl_report_begin_add(modules->dwfl);
    Dwfl_Module *reported =
        dwfl_report_module(modules->dwfl, *module->name ? module->name : "executable", low, high);
    if (reported) {
        void **userdata;
        dwfl_module_info(reported, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
        *userdata = module;
    }
    if (dwfl_report_end(modules->dwfl, NULL, NULL))
        return NULL;
    /* A file whose headers say one thing to us and another to libdwfl is of no use. */
    GElf_Addr bias;
    if (!reported || !dwfl_module_getelf(reported, &bias) || bias != module->bias)
        return NULL;
    return reported;
}

Dwfl_Module *ca_module_dwfl(struct ca_modules *modules, struct ca_module *module)
{
    if (!module->dwfl_tried) {
        module->dwfl_tried = true;
        module->dwfl = report(modules, module);
    }
    return module->dwfl;
}

/* libdwfl maps debug files by itself: their mappings are guarded from here on. */
static void watch_debug(struct ca_module *module, Dwarf *dwarf, size_t i)
{
    size_t size = 0;
    Elf *elf = dwarf ? dwarf_getelf(dwarf) : NULL;
    const char *bytes = elf && elf != module->elf ? elf_rawfile(elf, &size) : NULL;
    if (bytes && ca_mapped_watch(bytes, size))
        module->debug_bytes[i] = bytes;
}

/* A regular file with this build id: what dwz moved there from several debug files. */
static bool open_supplement(struct ca_module *module, const char *path, const void *id, size_t size)
{
    struct stat st;
    const void *own;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    Dwarf *dwarf = !fstat(fd, &st) && S_ISREG(st.st_mode) ? dwarf_begin(fd, DWARF_C_READ) : NULL;
    if (!dwarf || dwelf_elf_gnu_build_id(dwarf_getelf(dwarf), &own) != (ssize_t)size ||
        memcmp(own, id, size) != 0) {
        dwarf_end(dwarf);
        close(fd);
        return false;
    }
    module->supplement = dwarf;
    module->supplement_fd = fd;
    return true;
}

/* libdw would open whatever the file names, a FIFO too, and ask servers. What is not found here is
 * marked as libdw marks what it did not find (dwarf_getalt.c), so that it does not look. */
static void find_supplement(struct ca_module *module, Dwfl_Module *dwfl, Dwarf *dwarf)
{
    const char *name, *debug_file = NULL;
    const void *id;
    ssize_t size = dwelf_dwarf_gnu_debugaltlink(dwarf, &name, &id);
    char path[PATH_MAX];
    if (!size)
        return;
    if (size > 0 && *name == '/') {
        snprintf(path, sizeof(path), "%s%s", module->sysroot ? module->sysroot : "", name);
        if (!open_supplement(module, path, id, (size_t)size) && module->sysroot)
            open_supplement(module, name, id, (size_t)size);
    } else if (size > 0) {
        dwfl_module_info(dwfl, NULL, NULL, NULL, NULL, NULL, NULL, &debug_file);
        const char *beside = debug_file ? debug_file : module->file;
        const char *slash = beside ? strrchr(beside, '/') : NULL;
        snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - beside) : 0,
                 slash ? beside : "", name);
        open_supplement(module, path, id, (size_t)size);
    }
    dwarf_setalt(dwarf, module->supplement ? module->supplement : (Dwarf *)-1);
}

static Dwarf *open_dwarf(struct ca_module *module, Dwfl_Module *dwfl)
{
    Dwarf_Addr bias;
    if (!ca_mapped_watch_thread())
        return NULL;
    Dwarf *dwarf = dwfl_module_getdwarf(dwfl, &bias);
    watch_debug(module, dwarf, 0);
    if (dwarf)
        find_supplement(module, dwfl, dwarf);
    watch_debug(module, module->supplement, 1);
    module->debug_lost |= ca_mapped_unwatch_thread();
    return dwarf;
}

Dwarf *ca_module_dwarf(struct ca_modules *modules, struct ca_module *module)
{
    Dwfl_Module *dwfl = ca_module_dwfl(modules, module);
    if (!dwfl)
        return NULL;
    if (!module->dwarf_tried) {
        module->dwarf_tried = true;
        module->dwarf = open_dwarf(module, dwfl);
    }
    return module->dwarf;
}

Dwfl_Module *ca_module_debug(struct ca_modules *modules, struct ca_module *module)
{
    ca_module_dwarf(modules, module);
    return module->dwfl;
}
