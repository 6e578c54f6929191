#include "target/target.h"

#include <elf.h>

#include "target/notes.h"

/* A target in a debugger's hands. */
struct callback {
    struct ca_target_ops ops; /* as much of it as the caller knows; the rest is zero */
    void *arg;
    CA_VEC(uint8_t *) vectors; /* what the threads' vector points to */
};

static bool load(struct ca_target *target, uint64_t address, void *buffer, size_t size)
{
    struct callback *callback = target->self;
    return callback->ops.read(callback->arg, address, buffer, size);
}

static void release(struct ca_target *target)
{
    /* The open call is over: nothing may be asked any more. */
    target->load = NULL;
}

static void destroy(struct ca_target *target)
{
    struct callback *callback = target->self;
    for (size_t i = 0; i < callback->vectors.len; i++)
        free(callback->vectors.data[i]);
    ca_vec_deinit(&callback->vectors);
    free(callback);
}

enum {
    COUNT_MAX = 1 << 20,  /* of threads, of mappings: whoever never says stop is broken */
    VECTORS_MAX = 1 << 16 /* bytes of one thread's; the largest today are 11 kB */
};

static struct ca_error *add_vectors(struct callback *callback, size_t i, struct ca_thread *thread)
{
    const void *bytes = NULL;
    size_t size = 0;
    if (!callback->ops.vectors || !callback->ops.vectors(callback->arg, i, &bytes, &size) ||
        !bytes || !size || size > VECTORS_MAX)
        return NULL;
    uint8_t *copy = ca_vec_reserve(&callback->vectors, 1) ? malloc(size) : NULL;
    if (!copy)
        return &ca_error_nomem;
    memcpy(copy, bytes, size);
    callback->vectors.data[callback->vectors.len++] = copy;
    thread->vector = copy;
    thread->vector_size = size;
    return NULL;
}

static struct ca_error *add_threads(struct ca_target *target, struct callback *callback)
{
    for (size_t i = 0; callback->ops.thread && i < COUNT_MAX; i++) {
        struct ca_thread thread = {0};
        int64_t tid = CA_UNKNOWN;
        if (!callback->ops.thread(callback->arg, i, &tid, &thread.regs, &thread.tls, thread.name))
            break;
        thread.tid = tid;
        thread.name[sizeof(thread.name) - 1] = 0;
        struct ca_error *error = add_vectors(callback, i, &thread);
        if (error || !ca_vec_push(&target->threads, thread))
            return &ca_error_nomem;
    }
    return NULL;
}

static int by_start(const void *a, const void *b)
{
    const struct ca_mapping *one = a, *two = b;
    return (one->start > two->start) - (one->start < two->start);
}

static struct ca_error *add_mappings(struct ca_target *target, struct callback *callback)
{
    for (size_t i = 0; callback->ops.mapping && i < COUNT_MAX; i++) {
        struct ca_mapping mapping = {0};
        const char *path = NULL;
        if (!callback->ops.mapping(callback->arg, i, &mapping.start, &mapping.end,
                                   &mapping.file_offset, &mapping.flags, &path))
            break;
        if (mapping.start >= mapping.end)
            continue;
        if (path && *path == '/') {
            mapping.path = ca_path_intern(target, path, strlen(path), &mapping.deleted);
            if (!mapping.path)
                return &ca_error_nomem;
        }
        /* There is no auxiliary vector here that says which module comes from the kernel. */
        struct ca_auxv vdso = {AT_SYSINFO_EHDR, mapping.start};
        if ((path && !strcmp(path, "[vdso]") && !ca_vec_push(&target->auxv, vdso)) ||
            !ca_vec_push(&target->mappings, mapping))
            return &ca_error_nomem;
    }
    if (target->mappings.len)
        qsort(target->mappings.data, target->mappings.len, sizeof(*target->mappings.data),
              by_start);
    size_t kept = 0;
    for (size_t i = 0; i < target->mappings.len; i++)
        if (!kept || target->mappings.data[i].start >= target->mappings.data[kept - 1].end)
            target->mappings.data[kept++] = target->mappings.data[i];
    target->mappings.len = kept;
    return NULL;
}

static const char *intern(struct ca_target *target, const char *text)
{
    return text ? ca_strings_intern(&target->strings, text, strlen(text)) : NULL;
}

static struct ca_error *fill(struct ca_target *target, struct callback *callback)
{
    const struct ca_target_ops *ops = &callback->ops;
    if (!ops->read || !ops->arch)
        return ca_error_create(CA_ERROR_INVALID, "a target needs `read` and `arch`");
    target->arch = !strcmp(ops->arch, "amd64")   ? CA_ARCH_AMD64
                   : !strcmp(ops->arch, "arm64") ? CA_ARCH_ARM64
                                                 : CA_ARCH_UNKNOWN;
    if (target->arch == CA_ARCH_UNKNOWN)
        return ca_error_create(CA_ERROR_UNSUPPORTED,
                               "the architecture \"%s\" is not supported: only amd64 and arm64 are",
                               ops->arch);
    target->pid = ops->pid;
    target->now_ns = ops->now_ns;
    target->wall_ns = ops->wall_ns;
    target->path = intern(target, ops->path);
    target->exe_hint = intern(target, ops->executable);
    target->load = load;
    struct ca_error *error = add_threads(target, callback);
    return error ? error : add_mappings(target, callback);
}

struct ca_error *ca_target_from_ops(const struct ca_target_ops *ops, void *arg,
                                    struct ca_gaps *gaps, struct ca_target **ret)
{
    (void)gaps;
    struct ca_target *target = ca_target_create(CA_TARGET_DEBUGGER);
    struct callback *callback = calloc(1, sizeof(*callback));
    if (!target || !callback) {
        free(callback);
        ca_target_destroy(target);
        return &ca_error_nomem;
    }
    callback->ops =
        (struct ca_target_ops){.pid = CA_UNKNOWN, .now_ns = CA_UNKNOWN, .wall_ns = CA_UNKNOWN};
    memcpy(&callback->ops, ops, ops->size < sizeof(*ops) ? ops->size : sizeof(*ops));
    callback->arg = arg;
    target->self = callback;
    target->release = release;
    target->destroy = destroy;
    struct ca_error *error = fill(target, callback);
    if (error) {
        ca_target_destroy(target);
        return error;
    }
    *ret = target;
    return NULL;
}
