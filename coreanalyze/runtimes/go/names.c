/* Raw frames to functions, files and lines, each pc named once. */
#include "runtimes/go/go.h"

#include <string.h>

/* Instantiated names carry the shape in brackets; people, and Go's own traceback, see [...].
 * runtime/traceback.go: funcNameForPrint. */
static const char *person_name(struct ca_tasks *tasks, const char *name)
{
    const char *open = strchr(name, '['), *close = strrchr(name, ']');
    if (!open || !close || close < open || !strncmp(open, "[...]", 5))
        return ca_strings_intern(&tasks->strings, name, strlen(name));
    return ca_strings_printf(&tasks->strings, "%.*s[...]%s", (int)(open - name), name, close + 1);
}

static bool has_prefix(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

/* Frames that are not the user's site: the runtime, and the standard library's way into it. */
static bool is_runtime_frame(const char *function)
{
    static const char *const prefixes[] = {
        "runtime.",
        "sync.",
        "internal/sync.",
        "internal/poll.",
        "runtime/internal/",
        "internal/runtime/",
        "sync/atomic.",
        "internal/abi.",
        "internal/race.",
        "internal/synctest.",
        "syscall.",
        "internal/syscall/",
        "iter.",
    };
    static const char *const names[] = {"time.Sleep", "time.Tick"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (has_prefix(function, prefixes[i]))
            return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(function, names[i]))
            return true;
    return false;
}

static bool push_frames(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc, bool exact)
{
    struct ca_go_func func;
    if (!ca_go_func_find(&go->tables, pc, &func))
        return ca_vec_push(&go->pc_frames, (struct ca_frame){.pc = pc});
    uint64_t place = !exact && pc > func.entry ? pc - 1 : pc;
    struct ca_go_inline inlined[CA_GO_INLINE_MAX];
    size_t count = ca_go_func_expand(&go->tables, &func, place, inlined);
    for (size_t i = 0; i < count; i++) {
        const char *function = person_name(tasks, inlined[i].function);
        const char *file = NULL;
        if (inlined[i].file)
            file = ca_strings_intern(&tasks->strings, inlined[i].file, strlen(inlined[i].file));
        if (!function ||
            !ca_vec_push(&go->pc_frames, (struct ca_frame){.pc = pc,
                                                           .function = function,
                                                           .file = file,
                                                           .line = inlined[i].line,
                                                           .inlined = inlined[i].inlined,
                                                           .runtime = is_runtime_frame(function)}))
            return false;
    }
    return true;
}

const struct ca_go_pc_name *ca_go_name_pc(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc,
                                          bool exact)
{
    uint64_t *slot = ca_map_put(&go->names, pc * 2 + exact, NULL);
    if (!slot)
        return NULL;
    if (*slot)
        return &go->pc_names.data[*slot - 1];
    struct ca_go_pc_name name = {.first = (uint32_t)go->pc_frames.len};
    if (!push_frames(go, tasks, pc, exact))
        return NULL;
    name.count = (uint32_t)go->pc_frames.len - name.first;
    if (!ca_vec_push(&go->pc_names, name))
        return NULL;
    *slot = go->pc_names.len;
    return &go->pc_names.data[*slot - 1];
}

struct ca_error *ca_go_name_stack(struct ca_runtime *runtime, struct ca_tasks *tasks,
                                  const struct ca_raw_frame *frames, uint32_t count,
                                  struct ca_frames *ret)
{
    struct ca_go *go = ca_go_of(runtime);
    for (uint32_t i = 0; i < count; i++) {
        const struct ca_go_pc_name *name = ca_go_name_pc(go, tasks, frames[i].pc, frames[i].exact);
        if (!name || !ca_vec_reserve(&ret->list, name->count))
            return &ca_error_nomem;
        for (uint32_t j = 0; j < name->count; j++) {
            struct ca_frame frame = go->pc_frames.data[name->first + j];
            frame.sp = frames[i].sp;
            ret->list.data[ret->list.len++] = frame;
        }
    }
    return NULL;
}

/* The physical function only: a go statement inside an inlined function is told as Go tells it. */
static uint32_t site_at(struct ca_go *go, struct ca_tasks *tasks, uint64_t key, uint64_t pc)
{
    struct ca_go_func func;
    if (!pc || !ca_go_func_find(&go->tables, pc, &func))
        return CA_NONE;
    struct ca_site site = {.pc = key};
    const char *file;
    ca_go_func_line(&go->tables, &func, pc, &file, &site.line);
    site.function = person_name(tasks, ca_go_func_name(&func));
    if (file)
        site.file = ca_strings_intern(&tasks->strings, file, strlen(file));
    return ca_tasks_site(tasks, &site);
}

uint32_t ca_go_entry_site(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc)
{
    return site_at(go, tasks, pc, pc);
}

/* runtime/traceback.go: printcreatedby1 takes pc - 1 when pc is past the function's entry. */
uint32_t ca_go_call_site(struct ca_go *go, struct ca_tasks *tasks, uint64_t pc)
{
    uint64_t *known = ca_map_get(&tasks->site_index, pc);
    if (known && *known)
        return (uint32_t)*known - 1;
    struct ca_go_func func;
    if (!pc || !ca_go_func_find(&go->tables, pc, &func))
        return CA_NONE;
    return site_at(go, tasks, pc, pc > func.entry ? pc - 1 : pc);
}
