#include "symbols/match.h"

#include <limits.h>
#include <stdio.h>

#include "base/buf.h"

/* How a file compares with what is loaded. */
enum verdict {
    SAME,    /* build ids are equal */
    LIKELY,  /* there is no id to compare; what can be compared is equal */
    DIFFERS, /* build ids, or bytes that cannot change, differ */
};

/* Where a file may be, and how far it is believed. */
struct place {
    const char *path;
    bool given;  /* by the user: it must be readable */
    bool proven; /* only taken when the ids are equal */
};

static void id_text(const struct ca_ids *ids, struct ca_buf *text)
{
    for (size_t i = 0; i < ids->gnu_size; i++)
        ca_buf_printf(text, "%02x", ids->gnu[i]);
    if (!ids->gnu_size)
        ca_buf_puts(text, ids->go[0] ? ids->go : "none");
}

/* Whether the target's bytes at some pages of read-only segments are those of the file. */
static bool samples_differ(struct ca_match *match, const struct ca_image *image,
                           const struct ca_file *file, uint64_t bias)
{
    enum { PAGE = 4096, SAMPLES = 16 };
    uint8_t scratch[PAGE];
    for (size_t i = 0; i < image->phdrs.len; i++) {
        const Elf64_Phdr *phdr = &image->phdrs.data[i];
        if (phdr->p_type != PT_LOAD || phdr->p_flags & PF_W || phdr->p_filesz < PAGE ||
            phdr->p_offset > file->size || phdr->p_filesz > file->size - phdr->p_offset)
            continue;
        uint64_t pages = phdr->p_filesz / PAGE, step = pages / SAMPLES + 1;
        for (uint64_t page = 0; page < pages; page += step) {
            const void *bytes =
                ca_target_peek(match->target, phdr->p_vaddr + bias + page * PAGE, scratch, PAGE);
            if (bytes && memcmp(bytes, file->bytes + phdr->p_offset + page * PAGE, PAGE))
                return true;
        }
    }
    return false;
}

/* What the kernel told the program about its own executable. */
static bool auxv_differs(const struct ca_match *match, const struct ca_image *image)
{
    uint64_t value;
    if (!match->module->main)
        return false;
    if (ca_target_auxv(match->target, AT_PHNUM, &value) && value != image->header.e_phnum)
        return true;
    return ca_target_auxv(match->target, AT_ENTRY, &value) &&
           value != image->header.e_entry + match->module->bias;
}

static enum verdict compare(struct ca_match *match, const struct ca_image *image,
                            const struct ca_file *file)
{
    const struct ca_ids *is = &image->ids, *was = &match->loaded.ids;
    if (was->gnu_size && is->gnu_size)
        return was->gnu_size == is->gnu_size && !memcmp(was->gnu, is->gnu, is->gnu_size) ? SAME
                                                                                         : DIFFERS;
    if (was->go[0] && is->go[0])
        return strcmp(was->go, is->go) ? DIFFERS : SAME;
    if (was->gnu_size || was->go[0])
        return DIFFERS;
    if (match->header_seen && (match->loaded.phdrs.len != image->phdrs.len ||
                               match->loaded.header.e_entry != image->header.e_entry ||
                               memcmp(match->loaded.phdrs.data, image->phdrs.data,
                                      image->phdrs.len * sizeof(Elf64_Phdr))))
        return DIFFERS;
    if (auxv_differs(match, image) || samples_differ(match, image, file, match->module->bias))
        return DIFFERS;
    return LIKELY;
}

static struct ca_error *mismatch(struct ca_match *match, const struct ca_image *image,
                                 const char *path)
{
    struct ca_buf is = {0}, was = {0};
    id_text(&image->ids, &is);
    id_text(&match->loaded.ids, &was);
    struct ca_error *error = &ca_error_nomem;
    bool ids = (match->loaded.ids.gnu_size || match->loaded.ids.go[0]);
    if (!is.failed && !was.failed && ids)
        error = ca_error_create(CA_ERROR_MISMATCH,
                                "%s is not the executable of this target: its build id is %s, the "
                                "target's is %s; name the right one with --exe, or go on with "
                                "--force",
                                path, is.data, was.data);
    else if (!is.failed)
        error = ca_error_create(CA_ERROR_MISMATCH,
                                "%s (build id %s) is not the executable of this target: its bytes "
                                "differ from those in memory, where no build id is; name the right "
                                "one with --exe, or go on with --force",
                                path, is.data);
    ca_buf_deinit(&is);
    ca_buf_deinit(&was);
    return error;
}

/* The bias that the auxiliary vector tells, for an executable whose first page is not there. */
static bool auxv_bias(const struct ca_target *target, const struct ca_image *image, uint64_t *ret)
{
    uint64_t phdr, entry;
    if (image->header.e_type == ET_EXEC) {
        *ret = 0;
        return true;
    }
    if (ca_target_auxv(target, AT_ENTRY, &entry)) {
        *ret = entry - image->header.e_entry;
        return true;
    }
    if (ca_target_auxv(target, AT_PHDR, &phdr) && image->phdrs.len) {
        *ret = ca_image_bias(image, phdr - image->header.e_phoff);
        return true;
    }
    return false;
}

static void find_bias(struct ca_match *match, const struct ca_image *image)
{
    struct ca_module *module = match->module;
    if (match->header_seen || !module->main || !auxv_bias(match->target, image, &module->bias))
        module->bias = ca_image_bias(image, module->start);
}

static struct ca_error *lend(struct ca_match *match, const struct ca_image *image,
                             const struct ca_file *file)
{
    for (size_t i = 0; i < image->phdrs.len; i++) {
        const Elf64_Phdr *phdr = &image->phdrs.data[i];
        uint64_t start = phdr->p_vaddr + match->module->bias, end;
        if (phdr->p_type != PT_LOAD || phdr->p_flags & PF_W || !phdr->p_filesz ||
            phdr->p_offset > file->size || phdr->p_filesz > file->size - phdr->p_offset ||
            __builtin_add_overflow(start, phdr->p_filesz, &end))
            continue;
        struct ca_error *error =
            ca_target_add_bytes(match->target, start, phdr->p_filesz, file->bytes + phdr->p_offset);
        if (error)
            return error;
    }
    return NULL;
}

static struct ca_error *adopt_ids(struct ca_module *module, struct ca_target *target,
                                  const struct ca_ids *ids)
{
    if (!module->build_id_size) {
        memcpy(module->build_id, ids->gnu, ids->gnu_size);
        module->build_id_size = ids->gnu_size;
    }
    if (!module->go_build_id && ids->go[0]) {
        module->go_build_id = ca_strings_intern(&target->strings, ids->go, CA_GO_ID_MAX);
        if (!module->go_build_id)
            return &ca_error_nomem;
    }
    return NULL;
}

/* Makes the file the module's: it owns the mapping from here on. */
static struct ca_error *take(struct ca_match *match, const struct ca_image *image,
                             struct ca_file *file, const char *path, enum verdict verdict)
{
    struct ca_module *module = match->module;
    module->file = ca_strings_intern(&match->target->strings, path, strlen(path));
    if (!module->file)
        return &ca_error_nomem;
    module->why = NULL;
    module->verified = verdict == SAME;
    module->bytes = file->bytes;
    module->size = file->size;
    *file = (struct ca_file){0};
    /* libelf reads it in place; it does not write. */
    module->elf = elf_memory((char *)(uintptr_t)module->bytes, module->size);
    uint64_t low, high;
    if (ca_image_range(image, &low, &high)) {
        if (low + module->bias < module->start)
            module->start = low + module->bias;
        if (high + module->bias > module->end && high + module->bias > module->start)
            module->end = high + module->bias;
    }
    if (module->main && verdict == LIKELY)
        ca_gaps_add(match->gaps, "the executable", 0,
                    "whether %s belongs to this target could not be verified: %s", path,
                    match->header_seen ? "it carries no build id"
                                       : "the page with the build id is not in the core");
    struct ca_error *error = adopt_ids(module, match->target, &image->ids);
    struct ca_file lent = {module->bytes, module->size};
    return error ? error : lend(match, image, &lent);
}

/* Tries one file that was opened. *done: it was taken. */
static struct ca_error *weigh(struct ca_match *match, const struct ca_image *image,
                              struct ca_file *file, const struct place *place, bool *done)
{
    find_bias(match, image);
    enum verdict verdict = compare(match, image, file);
    /* /proc/PID/exe is what the process runs, whatever its name and whoever replaced it. */
    if (verdict == LIKELY && match->target->kind == CA_TARGET_LIVE && match->target->exe_hint &&
        !strcmp(place->path, match->target->exe_hint))
        verdict = SAME;
    if (verdict == DIFFERS && !(match->options->force && match->module->main)) {
        if (match->module->main && (place->given || !place->proven))
            return mismatch(match, image, place->path);
        match->module->why = "the file at its path is another one (build ids differ)";
        return NULL;
    }
    if (verdict == DIFFERS)
        ca_gaps_add(match->gaps, "the executable", 0,
                    "%s does not belong to this target; it is used because of --force",
                    place->path);
    if (verdict == LIKELY && place->proven) {
        match->module->why = "there is no build id by which the file at its path could be told to "
                             "be the right one";
        return NULL;
    }
    *done = true;
    return take(match, image, file, place->path, verdict);
}

static struct ca_error *try_place(struct ca_match *match, const struct place *place, bool *done)
{
    struct ca_file file;
    struct ca_image image = {0};
    struct ca_error *error = ca_file_map(place->path, &file);
    if (!error)
        error = ca_image_read_file(&image, place->path, &file, match->target->arch);
    if (error && !place->given && error != &ca_error_nomem) {
        if (!match->module->why)
            match->module->why =
                ca_strings_intern(&match->target->strings, error->message, strlen(error->message));
        ca_error_destroy(error);
        error = NULL;
    } else if (!error) {
        error = weigh(match, &image, &file, place, done);
    }
    ca_image_deinit(&image);
    ca_file_unmap(&file);
    return error;
}

/* Puts a prefix before a path of the target; false: too long. */
static bool prefixed(char path[PATH_MAX], const char *prefix, const char *name)
{
    int size = snprintf(path, PATH_MAX, "%s%s%s", prefix, *prefix && *name != '/' ? "/" : "", name);
    return size > 0 && size < PATH_MAX;
}

struct ca_error *ca_match_file(struct ca_match *match)
{
    struct ca_target *target = match->target;
    struct ca_module *module = match->module;
    const struct ca_options *options = match->options;
    struct ca_error *error = adopt_ids(module, target, &match->loaded.ids);
    char path[PATH_MAX];
    bool done = false;
    if (module->main && options->exe)
        return error
                   ? error
                   : try_place(match, &(struct place){.path = options->exe, .given = true}, &done);
    if (!error && module->main && target->exe_hint)
        error = try_place(match, &(struct place){.path = target->exe_hint}, &done);
    if (!*module->name && !module->why)
        module->why = "the target does not say which file it is";
    if (error || done || !*module->name)
        return error;
    if (options->sysroot && prefixed(path, options->sysroot, module->name))
        error = try_place(match, &(struct place){.path = path, .proven = match->deleted}, &done);
    if (error || done)
        return error;
    bool proven = match->deleted || options->sysroot || *module->name != '/';
    if (prefixed(path, target->root ? target->root : "", module->name))
        error = try_place(match, &(struct place){.path = path, .proven = proven}, &done);
    if (!error && !done && match->deleted && target->kind == CA_TARGET_LIVE) {
        snprintf(path, sizeof(path), "/proc/%lld/map_files/%llx-%llx", (long long)target->pid,
                 (unsigned long long)module->start, (unsigned long long)module->end);
        error = try_place(match, &(struct place){.path = path}, &done);
    }
    return error;
}
