#include "runtimes/described/find.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtimes/described/match.h"

/* As in coreanalyze/describe.h, which programs include. */
#define SECTION ".coreanalyze.runtime"
#define MARK "# coreanalyze runtime description\n"

struct ca_error *ca_described_read_file(const char *path, char **ret, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > CA_NODE_SIZE) {
        int code = errno;
        bool opened = fd >= 0;
        if (opened)
            close(fd);
        return ca_error_create(CA_ERROR_IO, "%s: %s", path,
                               opened ? "not a regular file of at most 256 kB" : strerror(code));
    }
    *ret = malloc((size_t)st.st_size + 1);
    ssize_t got = *ret ? read(fd, *ret, (size_t)st.st_size) : -1;
    close(fd);
    if (got < 0) {
        free(*ret);
        *ret = NULL;
        return ca_error_create(CA_ERROR_IO, "%s: cannot be read", path);
    }
    *size = (size_t)got;
    return NULL;
}

/* ---- fitting one text ---------------------------------------------------------------------- */

static const char *const unlayout = "with DWARF";

static bool attempt(struct ca_described *self, const struct ca_node *variant,
                    struct ca_error **error)
{
    ca_fit_deinit(&self->fit);
    ca_described_forget_rings(&self->description);
    *error = ca_description_read(&self->description, self->types.arch, variant);
    if (*error)
        return false;
    ca_fit_bind(&self->fit, &self->description, &self->types);
    if (self->fit.nomem)
        *error = &ca_error_nomem;
    return !*error && !self->fit.required;
}

static bool attempt_variants(struct ca_described *self, struct ca_error **error)
{
    const struct ca_node *variants = self->description.variants;
    if (!variants)
        return attempt(self, NULL, error);
    for (const struct ca_node *v = variants->child; v; v = v->next) {
        if (attempt(self, v, error)) {
            self->variant =
                ca_arena_printf(&self->arena, "%s, variant of line %u", self->variant, v->line);
            return true;
        }
        if (*error)
            return false;
    }
    return false;
}

static void use_types(struct ca_described *self, const struct ca_node *layout)
{
    ca_types_deinit(&self->types);
    ca_types_init(&self->types, &self->arena, self->base.context.modules, self->module, layout);
    self->variant =
        layout ? ca_arena_printf(&self->arena, "layout of line %u", layout->line) : unlayout;
    self->base.layout = layout ? "description" : "dwarf";
}

/* DWARF first, then each layout that is for this module. When nothing fits, the last misfits are
 * those of DWARF when the module has any, else of the last layout. */
static bool fit(struct ca_described *self, struct ca_error **error)
{
    const struct ca_node *layouts = self->description.layouts;
    use_types(self, NULL);
    if (attempt_variants(self, error) || *error)
        return !*error;
    if (self->types.any_dwarf && ca_types_find(&self->types, self->description.task_type_name))
        layouts = NULL; /* the type is there: its own DWARF is the truth */
    for (const struct ca_node *l = layouts ? layouts->child : NULL; l; l = l->next) {
        if (!ca_match_layout(l, self->module, self->types.arch))
            continue;
        use_types(self, l);
        if (attempt_variants(self, error) || *error)
            return !*error;
    }
    return false;
}

static struct ca_error *misfit_error(const struct ca_described *self)
{
    for (size_t i = 0; i < self->fit.misfits.len; i++) {
        const struct ca_misfit *m = &self->fit.misfits.data[i];
        if (m->required)
            return ca_error_create(CA_ERROR_UNSUPPORTED,
                                   "%s is here, but its description (%s) does not fit: line %u: "
                                   "%s: %s; \"describe --check\" shows it line by line",
                                   self->base.title, self->origin, m->line, m->key, m->why);
    }
    return NULL;
}

static void report_misfits(struct ca_described *self)
{
    for (size_t i = 0; i < self->fit.misfits.len; i++) {
        const struct ca_misfit *m = &self->fit.misfits.data[i];
        char what[160];
        snprintf(what, sizeof(what), "%s, line %u of its description: %s", self->base.name, m->line,
                 m->key);
        ca_gaps_add(self->base.context.gaps, what, 0, "%s", m->why);
    }
}

static bool has_owner(const struct ca_description *d)
{
    for (const struct ca_object *o = d->objects; o; o = o->next)
        if (o->owner.bound)
            return true;
    for (const struct ca_when *r = d->rules; r; r = r->next)
        if (r->outcome.owner.bound)
            return true;
    for (const struct ca_source *s = d->waits; s; s = s->next)
        if (s->as.owner.bound)
            return true;
    return false;
}

static const char *version_of(struct ca_described *self)
{
    struct ca_scope scope = {.target = self->base.context.target, .tls = &self->tls};
    struct ca_target *target = self->base.context.target;
    const char *text =
        self->description.version_from.bound
            ? ca_expr_string(&self->description.version_from, &scope, &target->strings)
            : NULL;
    return text && *text ? text : self->description.version;
}

struct ca_error *ca_described_open(const struct ca_context *context, const char *origin,
                                   const char *text, size_t size, struct ca_module *module,
                                   struct ca_described **ret)
{
    struct ca_described *self = calloc(1, sizeof(*self));
    if (!self)
        return &ca_error_nomem;
    self->base.ops = &ca_described_ops;
    self->base.context = *context;
    self->origin = ca_arena_text(&self->arena, origin, strlen(origin));
    struct ca_description *d = &self->description;
    struct ca_error *error = ca_description_open(&self->arena, text, size, d);
    if (!error && !self->origin)
        error = &ca_error_nomem;
    if (!error)
        self->module = ca_match_module(context, d, &self->arena, module);
    bool check = context->options && context->options->check;
    if (error || (!self->module && !check)) {
        if (error)
            ca_error_prefix(error, "%s", origin);
        ca_described_destroy(&self->base);
        return error;
    }
    self->base.name = d->name;
    self->base.title = d->title;
    self->base.task_noun = d->noun;
    self->base.counted = CA_UNKNOWN;
    ca_tls_init(&self->tls, context->modules);
    ca_cfi_init(&self->cfi, context->modules);
    ca_lines_init(&self->lines, context->modules);
    bool fits = self->module && fit(self, &error);
    self->misfit = !fits;
    self->base.layout = self->base.layout ? self->base.layout : "description";
    if (error)
        ca_error_prefix(error, "%s", origin);
    else if (!fits && !check)
        error = misfit_error(self);
    self->base.address_ids = !d->id.bound;
    self->base.counted = CA_UNKNOWN;
    self->base.owners = has_owner(d);
    self->base.version = version_of(self);
    *ret = self;
    return error;
}

/* ---- where texts come from ------------------------------------------------------------------ */

struct search {
    const struct ca_context *context;
    struct ca_runtime *first, **end;
    struct ca_error *error; /* the first */
};

static bool have(const struct search *search, const struct ca_described *other)
{
    for (const struct ca_runtime *r = search->first; r; r = r->next) {
        const struct ca_described *self = (const struct ca_described *)r;
        if (self->module == other->module && strcmp(r->name, other->base.name) == 0)
            return true;
    }
    return false;
}

static void keep_error(struct search *search, struct ca_error *error)
{
    if (error && search->error)
        ca_gaps_add_error(search->context->gaps, "runtime description", error);
    else if (error)
        search->error = error;
}

static void try_text(struct search *search, const char *origin, const char *text, size_t size,
                     struct ca_module *module)
{
    struct ca_described *self = NULL;
    struct ca_error *error = ca_described_open(search->context, origin, text, size, module, &self);
    if (self && (error || have(search, self))) {
        if (have(search, self)) { /* another text for the same runtime fits already */
            ca_error_destroy(error);
            error = NULL;
        }
        ca_described_destroy(&self->base);
        self = NULL;
    }
    keep_error(search, error);
    if (!self)
        return;
    if (!self->misfit)
        report_misfits(self);
    *search->end = &self->base;
    search->end = &self->base.next;
}

static void try_files(struct search *search)
{
    const struct ca_options *options = search->context->options;
    const char *const *files = options ? options->runtime_files : NULL;
    for (; files && *files; files++) {
        char *text;
        size_t size;
        struct ca_error *error = ca_described_read_file(*files, &text, &size);
        if (error) {
            keep_error(search, error);
            continue;
        }
        const struct ca_runtime *const *before = (const struct ca_runtime *const *)search->end;
        const struct ca_error *failed = search->error;
        try_text(search, *files, text, size, NULL);
        free(text);
        if (before == (const struct ca_runtime *const *)search->end && failed == search->error)
            ca_gaps_add(search->context->gaps, *files, 0,
                        "nothing in the target is what its \"match\" asks for");
    }
}

/* Texts one after the other, each ended by NUL. */
static void try_texts(struct search *search, const char *bytes, size_t size,
                      struct ca_module *module)
{
    const char *end = bytes + size;
    char origin[256];
    const char *name = module->name && *module->name ? module->name : "the program";
    snprintf(origin, sizeof(origin), "in %s", name);
    for (unsigned i = 0; bytes < end && i < 64; i++) {
        size_t len = strnlen(bytes, (size_t)(end - bytes));
        if (len)
            try_text(search, origin, bytes, len, module);
        else
            i--;
        bytes += len + 1;
    }
}

static bool try_section(struct search *search, struct ca_module *module)
{
    uint64_t address, size;
    if (!ca_module_section(module, SECTION, &address, &size))
        return false;
    if (!size || size > 4 * CA_NODE_SIZE)
        return true;
    char *bytes = malloc(size);
    if (bytes && ca_target_read(search->context->target, address, bytes, size))
        try_texts(search, bytes, size, module);
    free(bytes);
    return true;
}

/* Without section headers (no file here), by the mark in the module's writable memory. */
static void try_memory(struct search *search, struct ca_module *module)
{
    struct ca_target *target = search->context->target;
    for (size_t i = 0; i < target->mappings.len; i++) {
        const struct ca_mapping *m = &target->mappings.data[i];
        uint64_t size = m->end - m->start;
        if (m->start < module->start || m->end > module->end || !(m->flags & PF_W) ||
            size > (64u << 20))
            continue;
        const char *bytes = ca_target_view(target, m->start, size);
        const char *at = bytes ? memmem(bytes, size, MARK, strlen(MARK)) : NULL;
        for (int n = 0; at && n < 16; n++) {
            size_t left = size - (size_t)(at - bytes), len = strnlen(at, left);
            try_texts(search, at, len, module);
            at = left > len ? memmem(at + len, left - len, MARK, strlen(MARK)) : NULL;
        }
    }
}

static void try_programs(struct search *search)
{
    struct ca_modules *modules = search->context->modules;
    for (size_t i = 0; i < modules->list.len; i++) {
        struct ca_module *module = &modules->list.data[i];
        if (!module->vdso && !try_section(search, module) && !module->file)
            try_memory(search, module);
    }
}

static struct ca_error *find_checked(struct search *search)
{
    char *text;
    size_t size;
    const char *path = search->context->options->check;
    struct ca_error *error = ca_described_read_file(path, &text, &size);
    if (error)
        return error;
    try_text(search, path, text, size, NULL);
    free(text);
    return search->error;
}

struct ca_error *ca_described_find(const struct ca_context *context, struct ca_runtime **ret)
{
    struct search search = {.context = context};
    search.end = &search.first;
    if (context->options && context->options->check) {
        struct ca_error *error = find_checked(&search);
        *ret = search.first;
        return error;
    }
    try_files(&search);
    try_programs(&search);
    for (size_t i = 0; i < ca_embedded_description_count; i++) {
        const struct ca_embedded_description *e = &ca_embedded_descriptions[i];
        char origin[128];
        snprintf(origin, sizeof(origin), "shipped %s", e->name);
        try_text(&search, origin, e->text, e->size, NULL);
    }
    *ret = search.first;
    return search.error;
}
