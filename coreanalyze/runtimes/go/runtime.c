/* The gc toolchain's Go, as a runtime. */
#include "runtimes/go/find.h"
#include "runtimes/go/heap.h"

#include <string.h>

static void destroy(struct ca_runtime *runtime)
{
    struct ca_go *go = ca_go_of(runtime);
    ca_go_tables_deinit(&go->tables);
    free(go->reasons);
    ca_vec_deinit(&go->semaphores.list);
    ca_map_deinit(&go->semaphores.by_g);
    ca_map_deinit(&go->semaphores.by_address);
    ca_vec_deinit(&go->sudogs);
    ca_vec_deinit(&go->holdings);
    ca_go_heap_destroy(go->heap);
    ca_vec_deinit(&go->timers);
    ca_map_deinit(&go->timer_by_channel);
    ca_go_threads_deinit(go);
    ca_map_deinit(&go->steps);
    ca_map_deinit(&go->names);
    ca_vec_deinit(&go->pc_names);
    ca_vec_deinit(&go->pc_frames);
    ca_vec_deinit(&go->stack_facts);
    ca_vec_deinit(&go->channels);
    ca_map_deinit(&go->channel_index);
    ca_marks_deinit(&go->seen);
    ca_map_deinit(&go->cond_of_g);
    ca_map_deinit(&go->cond_seen);
    free(go);
}

static void facts(struct ca_runtime *runtime, struct ca_runtime_facts *ret)
{
    *ret = ca_go_of(runtime)->facts;
}

static void read_version(struct ca_go *go)
{
    uint64_t string[2];
    go->version[0] = 0;
    if (go->globals.build_version &&
        ca_target_read(go->target, go->globals.build_version, string, 16) &&
        string[1] < sizeof(go->version) &&
        ca_target_read(go->target, string[0], go->version, string[1]))
        go->version[string[1]] = 0;
    else if (!ca_go_find_version(go->target, go->module, go->version, sizeof(go->version)))
        ca_go_search_version(go->target, go->module, go->version, sizeof(go->version));
    go->runtime.version = go->version[0] ? go->version : NULL;
}

/* Symbols give the variables at once; without them the function tables come first, and the
 * variables are searched by what refers to them. */
static struct ca_error *open_module(struct ca_go *go, const struct ca_context *context,
                                    uint64_t pclntab)
{
    bool symbols = ca_go_globals_find(go);
    read_version(go);
    struct ca_error *error = ca_go_layout_choose(context->modules, go->module, go->runtime.version,
                                                 go->target->arch, &go->layout);
    if (error)
        return error;
    go->runtime.layout = go->layout.source;
    uint64_t first = symbols ? go->globals.first_moduledata
                             : ca_go_find_moduledata(go->target, go->module, &go->layout, pclntab);
    if (!first)
        return ca_error_create(CA_ERROR_NOT_FOUND,
                               "the runtime's description of its module was not found in memory; "
                               "the core may be cut, or the layout of %s differs: an unstripped "
                               "build by --exe or --debug-binary would help",
                               go->runtime.version ? go->runtime.version : "this Go");
    error = ca_go_tables_init(&go->tables, go->target, &go->layout, first);
    for (size_t i = 0; i < go->tables.modules.len; i++) /* stacks tell who owns what */
        go->runtime.owners &= !go->tables.modules.data[i].odd;
    return error || symbols ? error : ca_go_search_globals(go);
}

static struct ca_error *probe_module(const struct ca_context *context, struct ca_module *module,
                                     uint64_t pclntab, struct ca_runtime **ret)
{
    struct ca_go *go = calloc(1, sizeof(*go));
    if (!go)
        return &ca_error_nomem;
    go->runtime = (struct ca_runtime){.ops = &ca_go_ops,
                                      .context = *context,
                                      .name = "go",
                                      .title = "Go",
                                      .task_noun = "goroutine",
                                      .numeric_ids = true,
                                      .owners = true,
                                      .counted = CA_UNKNOWN};
    go->target = context->target;
    go->module = module;
    struct ca_error *error = open_module(go, context, pclntab);
    if (error) {
        destroy(&go->runtime);
        return error;
    }
    *ret = &go->runtime;
    return NULL;
}

/* A process may hold several: two c-shared libraries, say. */
static struct ca_error *probe(const struct ca_context *context, struct ca_runtime **ret)
{
    struct ca_runtime **tail = ret;
    *ret = NULL;
    for (size_t i = 0; i < context->modules->list.len; i++) {
        struct ca_module *module = &context->modules->list.data[i];
        uint64_t pclntab = ca_go_find_pclntab(context->target, module);
        if (!pclntab)
            continue;
        struct ca_error *error = probe_module(context, module, pclntab, tail);
        if (error && !*ret)
            return error;
        ca_gaps_add_error(context->gaps, module->name, error);
        if (*tail)
            tail = &(*tail)->next;
    }
    return NULL;
}

/* By the build info that the linker leaves in every Go program. */
static bool recognise(const uint8_t *bytes, size_t size, char *version, size_t room)
{
    struct ca_module module = {.bytes = bytes, .size = size};
    return ca_go_find_version(NULL, &module, version, room);
}

const struct ca_runtime_ops ca_go_ops = {
    .name = "go",
    .title = "Go",
    .recognise = recognise,
    .probe = probe,
    .count = ca_go_count,
    .hold = ca_go_hold,
    .collect = ca_go_collect,
    .name_stack = ca_go_name_stack,
    .facts = facts,
    .heap = &ca_go_heap_ops,
    .destroy = destroy,
};
