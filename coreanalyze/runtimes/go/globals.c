/* Where the runtime's variables are: by symbol. */
#include "runtimes/go/go.h"

#include <stddef.h>

static const struct {
    const char *symbol;
    size_t offset; /* in struct ca_go_globals */
    bool required;
} table[] = {
    {"runtime.allgs", offsetof(struct ca_go_globals, allgs), true},
    {"runtime.allm", offsetof(struct ca_go_globals, allm), true},
    {"runtime.allp", offsetof(struct ca_go_globals, allp), false},
    {"runtime.sched", offsetof(struct ca_go_globals, sched), false},
    {"runtime.semtable", offsetof(struct ca_go_globals, semtable), false},
    {"runtime.waitReasonStrings", offsetof(struct ca_go_globals, wait_reasons), false},
    {"runtime.firstmoduledata", offsetof(struct ca_go_globals, first_moduledata), true},
    {"runtime.buildVersion", offsetof(struct ca_go_globals, build_version), false},
    {"runtime.memstats", offsetof(struct ca_go_globals, memstats), false},
    {"runtime.mheap_", offsetof(struct ca_go_globals, mheap), false},
    {"runtime.ncpu", offsetof(struct ca_go_globals, ncpu), false},
    {"runtime.numCPUStartup", offsetof(struct ca_go_globals, ncpu), false},
    {"runtime.gomaxprocs", offsetof(struct ca_go_globals, gomaxprocs), false},
    {"runtime.fingStatus", offsetof(struct ca_go_globals, fing_status), false},
    {"runtime.fingRunning", offsetof(struct ca_go_globals, fing_running), false},
    {"runtime.allfin", offsetof(struct ca_go_globals, allfin), false},
    {"runtime.gcCleanups", offsetof(struct ca_go_globals, gc_cleanups), false},
};

bool ca_go_globals_find(struct ca_go *go)
{
    bool whole = true;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint64_t *place = (uint64_t *)((char *)&go->globals + table[i].offset), address, size;
        if (*place)
            continue;
        if (!ca_module_symbol(go->module, table[i].symbol, &address, &size)) {
            whole = whole && !table[i].required;
            continue;
        }
        *place = address;
        if (place == &go->globals.wait_reasons)
            go->globals.wait_reasons_size = size;
    }
    return whole;
}

bool ca_go_read_u64(struct ca_go *go, uint64_t address, int field, uint64_t *ret)
{
    int32_t at = go->layout.at[field];
    return at != CA_LAYOUT_ABSENT && ca_target_read_u64(go->target, address + (uint64_t)at, ret);
}

bool ca_go_read_u32(struct ca_go *go, uint64_t address, int field, uint32_t *ret)
{
    int32_t at = go->layout.at[field];
    return at != CA_LAYOUT_ABSENT && ca_target_read_u32(go->target, address + (uint64_t)at, ret);
}
