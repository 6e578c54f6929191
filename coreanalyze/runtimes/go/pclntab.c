#include "runtimes/go/pclntab.h"

#include <string.h>

enum {
    MODULES_MAX = 1024,
    FTAB_ENTRY = 8, /* functab: two u32 since 1.18 */
    TEXTSECT_SIZE = 24,
    TEXTSECTS_MAX = 65536,
    INLINED_MAX = 65536,
};
static const uint64_t TABLE_MAX = 1ull << 31;

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static void table_deinit(struct ca_go_table *table)
{
    free(table->owned);
}

static bool table_load(struct ca_target *target, uint64_t address, uint64_t size,
                       struct ca_go_table *ret)
{
    *ret = (struct ca_go_table){.size = size};
    if (size > TABLE_MAX)
        return false;
    if (!size)
        return true;
    ret->data = ca_target_view(target, address, size);
    if (ret->data)
        return true;
    /* A lying size must not make us allocate: the last byte has to be there first. */
    uint8_t last;
    if (!ca_target_read(target, address + size - 1, &last, 1))
        return false;
    ret->owned = malloc(size);
    if (!ret->owned || !ca_target_read(target, address, ret->owned, size))
        return false;
    ret->data = ret->owned;
    return true;
}

static bool load_slice(struct ca_target *target, const uint8_t *header, uint32_t element,
                       struct ca_go_table *ret)
{
    uint64_t count = get_u64(header + 8);
    return count <= TABLE_MAX / element &&
           table_load(target, get_u64(header), count * element, ret);
}

/* The table's content must end with NUL so that a name can be used in place. */
static bool ends_with_nul(const struct ca_go_table *table)
{
    return table->size && table->data[table->size - 1] == 0;
}

static void module_deinit(struct ca_go_module *module)
{
    table_deinit(&module->names);
    table_deinit(&module->cutab);
    table_deinit(&module->files);
    table_deinit(&module->pctab);
    table_deinit(&module->pclntable);
    table_deinit(&module->ftab);
    ca_vec_deinit(&module->sections);
}

static bool load_textsections(struct ca_target *target, const uint8_t *header,
                              struct ca_go_module *module)
{
    uint64_t address = get_u64(header), count = get_u64(header + 8);
    if (count <= 1)
        return true;
    if (count > TEXTSECTS_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        struct ca_go_textsect section;
        if (!ca_target_read(target, address + i * TEXTSECT_SIZE, &section, TEXTSECT_SIZE) ||
            !ca_vec_push(&module->sections, section))
            return false;
    }
    return true;
}

static bool load_tables(struct ca_target *target, const struct ca_go_layout *layout,
                        const uint8_t *md, struct ca_go_module *module)
{
    const int32_t *at = layout->at;
    if (!load_slice(target, md + at[GO_MD_FUNCNAMETAB], 1, &module->names) ||
        !load_slice(target, md + at[GO_MD_CUTAB], 4, &module->cutab) ||
        !load_slice(target, md + at[GO_MD_FILETAB], 1, &module->files) ||
        !load_slice(target, md + at[GO_MD_PCTAB], 1, &module->pctab) ||
        !load_slice(target, md + at[GO_MD_PCLNTABLE], 1, &module->pclntable) ||
        !load_slice(target, md + at[GO_MD_FTAB], FTAB_ENTRY, &module->ftab) ||
        !load_textsections(target, md + at[GO_MD_TEXTSECTMAP], module))
        return false;
    module->ftab_address = get_u64(md + at[GO_MD_FTAB]);
    module->ftab_count = module->ftab.size / FTAB_ENTRY;
    return module->ftab_count >= 2 && ends_with_nul(&module->names) &&
           ends_with_nul(&module->files);
}

/* The reverse: runtime: moduledata.textAddr. */
static uint64_t text_address(const struct ca_go_module *module, uint32_t offset)
{
    for (size_t i = 0; i < module->sections.len; i++) {
        const struct ca_go_textsect *section = &module->sections.data[i];
        bool last = i + 1 == module->sections.len;
        if (offset >= section->vaddr && (offset < section->end || (last && offset == section->end)))
            return section->base + offset - section->vaddr;
    }
    return module->text + offset;
}

/* What the runtime itself checks when it starts: runtime/symtab.go moduledataverify1. */
static bool is_odd(const struct ca_go_module *module)
{
    const uint8_t *last = module->ftab.data + (module->ftab_count - 1) * FTAB_ENTRY;
    return text_address(module, get_u32(module->ftab.data)) != module->minpc ||
           text_address(module, get_u32(last)) != module->maxpc;
}

static bool module_init(struct ca_target *target, const struct ca_go_layout *layout,
                        uint64_t address, struct ca_go_module *module, uint64_t *next)
{
    const int32_t *at = layout->at;
    uint8_t md[4096];
    *module = (struct ca_go_module){.address = address};
    if (at[GO_MD_SIZE] <= 0 || (size_t)at[GO_MD_SIZE] > sizeof(md) ||
        !ca_target_read(target, address, md, (size_t)at[GO_MD_SIZE]))
        return false;
    module->minpc = get_u64(md + at[GO_MD_MINPC]);
    module->maxpc = get_u64(md + at[GO_MD_MAXPC]);
    module->text = get_u64(md + at[GO_MD_TEXT]);
    module->etext = get_u64(md + at[GO_MD_ETEXT]);
    module->gofunc = get_u64(md + at[GO_MD_GOFUNC]);
    module->rodata = get_u64(md + at[GO_MD_RODATA]);
    module->noptrdata = get_u64(md + at[GO_MD_NOPTRDATA]);
    module->data = get_u64(md + at[GO_MD_DATA]);
    module->edata = get_u64(md + at[GO_MD_EDATA]);
    module->bss = get_u64(md + at[GO_MD_BSS]);
    module->ebss = get_u64(md + at[GO_MD_EBSS]);
    module->noptrbss = get_u64(md + at[GO_MD_NOPTRBSS]);
    module->enoptrbss = get_u64(md + at[GO_MD_ENOPTRBSS]);
    module->gcdatamask = address + (uint64_t)at[GO_MD_GCDATAMASK];
    module->gcbssmask = address + (uint64_t)at[GO_MD_GCBSSMASK];
    module->quantum = target->arch == CA_ARCH_ARM64 ? 4 : 1;
    *next = get_u64(md + at[GO_MD_NEXT]);
    if (module->minpc >= module->maxpc || !load_tables(target, layout, md, module)) {
        module_deinit(module);
        return false;
    }
    module->odd = is_odd(module);
    return true;
}

struct ca_error *ca_go_tables_init(struct ca_go_tables *tables, struct ca_target *target,
                                   const struct ca_go_layout *layout, uint64_t first)
{
    *tables = (struct ca_go_tables){.target = target, .layout = layout};
    uint64_t address = first;
    while (address && tables->modules.len < MODULES_MAX) {
        struct ca_go_module module;
        uint64_t next;
        if (!module_init(target, layout, address, &module, &next))
            break;
        if (!ca_vec_push(&tables->modules, module)) {
            module_deinit(&module);
            return &ca_error_nomem;
        }
        address = next;
    }
    if (!tables->modules.len)
        return ca_error_at(CA_ERROR_FAULT, first,
                           "the program's table of functions cannot be read at 0x%llx; give the "
                           "executable by --exe",
                           (unsigned long long)first);
    return NULL;
}

void ca_go_tables_deinit(struct ca_go_tables *tables)
{
    for (size_t i = 0; i < tables->modules.len; i++)
        module_deinit(&tables->modules.data[i]);
    ca_vec_deinit(&tables->modules);
}

/* pc as an offset in the module's function table (runtime: moduledata.textOff). */
static uint64_t text_offset(const struct ca_go_module *module, uint64_t pc)
{
    uint64_t offset = pc - module->text;
    for (size_t i = 0; i < module->sections.len; i++) {
        const struct ca_go_textsect *section = &module->sections.data[i];
        if (pc < section->base)
            break;
        uint64_t inside = pc - section->base;
        if (inside <= section->end - section->vaddr)
            offset = section->vaddr + inside;
    }
    return offset;
}

bool ca_go_func_find(const struct ca_go_tables *tables, uint64_t pc, struct ca_go_func *ret)
{
    *ret = (struct ca_go_func){0};
    const struct ca_go_module *module = NULL;
    for (size_t i = 0; i < tables->modules.len && !module; i++)
        if (pc >= tables->modules.data[i].minpc && pc < tables->modules.data[i].maxpc)
            module = &tables->modules.data[i];
    if (!module)
        return false;
    uint64_t offset = text_offset(module, pc);
    uint64_t low = 0, high = module->ftab_count - 1; /* the last entry is the end */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (get_u32(module->ftab.data + middle * FTAB_ENTRY) <= offset)
            low = middle;
        else
            high = middle;
    }
    uint32_t entry = get_u32(module->ftab.data + low * FTAB_ENTRY);
    uint64_t at = get_u32(module->ftab.data + low * FTAB_ENTRY + 4);
    uint64_t size = (uint64_t)tables->layout->at[GO_FUNC_SIZE];
    if (entry > offset || at > module->pclntable.size || size > module->pclntable.size - at)
        return false;
    ret->module = module;
    ret->record = module->pclntable.data + at;
    ret->room = module->pclntable.size - at;
    ret->entry = text_address(module, entry);
    ret->end = text_address(module, get_u32(module->ftab.data + (low + 1) * FTAB_ENTRY));
    return true;
}

uint32_t ca_go_func_u32(const struct ca_go_func *func, int32_t offset)
{
    return get_u32(func->record + offset);
}

static const char *name_at(const struct ca_go_module *module, uint32_t offset)
{
    if (offset >= module->names.size)
        return "";
    return (const char *)module->names.data + offset; /* the table ends with NUL */
}

/* The layout travels with the tables; a func alone knows only its record, whose first two fields
 * (entryOff, nameOff) never moved. */
const char *ca_go_func_name(const struct ca_go_func *func)
{
    return name_at(func->module, get_u32(func->record + 4));
}

uint8_t ca_go_func_flag(const struct ca_go_tables *tables, const struct ca_go_func *func)
{
    return func->record[tables->layout->at[GO_FUNC_FLAG]];
}

static bool read_varint(const struct ca_go_table *table, uint64_t *at, uint32_t *ret)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (*at >= table->size)
            return false;
        uint8_t byte = table->data[(*at)++];
        value |= (uint32_t)(byte & 0x7f) << (shift & 31);
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* A table of values, each good for a stretch of pcs. */
struct stretches {
    const struct ca_go_table *table;
    uint64_t at, end; /* of the present stretch, in quanta from the function's entry */
    uint32_t value;
    bool begun;
};

/* false: the table's end, or it is broken. A step of 0 ends it, but for the first. */
static bool next_stretch(struct stretches *s)
{
    uint32_t delta, length;
    if (!read_varint(s->table, &s->at, &delta) || (!delta && s->begun) ||
        !read_varint(s->table, &s->at, &length))
        return false;
    s->value += (delta & 1) ? ~(delta >> 1) : delta >> 1;
    s->end += length;
    s->begun = true;
    return true;
}

bool ca_go_func_pcvalue(const struct ca_go_func *func, uint32_t offset, uint64_t pc, int32_t *ret)
{
    struct stretches s = {.table = &func->module->pctab, .at = offset, .value = (uint32_t)-1};
    while (offset && next_stretch(&s))
        if (pc < func->entry + s.end * func->module->quantum) {
            *ret = (int32_t)s.value;
            return true;
        }
    return false;
}

bool ca_go_func_spdelta(const struct ca_go_tables *tables, const struct ca_go_func *func,
                        uint64_t pc, int32_t *ret)
{
    return ca_go_func_pcvalue(func, ca_go_func_u32(func, tables->layout->at[GO_FUNC_PCSP]), pc,
                              ret) &&
           *ret >= 0 && *ret % 8 == 0;
}

int32_t ca_go_func_pcdata(const struct ca_go_tables *tables, const struct ca_go_func *func,
                          uint32_t table, uint64_t pc)
{
    const int32_t *at = tables->layout->at;
    uint32_t count = ca_go_func_u32(func, at[GO_FUNC_NPCDATA]);
    uint64_t place = (uint64_t)at[GO_FUNC_SIZE] + 4ull * table;
    int32_t value;
    if (table >= count || place + 4 > func->room ||
        !ca_go_func_pcvalue(func, get_u32(func->record + place), pc, &value))
        return -1;
    return value;
}

uint64_t ca_go_func_funcdata(const struct ca_go_tables *tables, const struct ca_go_func *func,
                             uint32_t table)
{
    const int32_t *at = tables->layout->at;
    uint32_t npcdata = ca_go_func_u32(func, at[GO_FUNC_NPCDATA]);
    uint64_t place = (uint64_t)at[GO_FUNC_SIZE] + 4ull * npcdata + 4ull * table;
    if (table >= func->record[at[GO_FUNC_NFUNCDATA]] || place + 4 > func->room)
        return 0;
    uint32_t offset = get_u32(func->record + place);
    return offset == UINT32_MAX ? 0 : func->module->gofunc + offset;
}

void ca_go_func_line(const struct ca_go_tables *tables, const struct ca_go_func *func, uint64_t pc,
                     const char **file, uint32_t *line)
{
    const int32_t *at = tables->layout->at;
    const struct ca_go_module *module = func->module;
    int32_t number, index;
    *file = NULL;
    *line = 0;
    if (!ca_go_func_pcvalue(func, ca_go_func_u32(func, at[GO_FUNC_PCFILE]), pc, &index) ||
        !ca_go_func_pcvalue(func, ca_go_func_u32(func, at[GO_FUNC_PCLN]), pc, &number) ||
        index < 0 || number < 0)
        return;
    uint64_t slot = ((uint64_t)ca_go_func_u32(func, at[GO_FUNC_CUOFFSET]) + (uint64_t)index) * 4;
    if (slot + 4 > module->cutab.size)
        return;
    uint32_t offset = get_u32(module->cutab.data + slot);
    if (offset >= module->files.size)
        return;
    *file = (const char *)module->files.data + offset;
    *line = (uint32_t)number;
}

/* The record of one inlined call; false when the tree is broken. */
static bool inlined_call(const struct ca_go_tables *tables, const struct ca_go_func *func,
                         uint64_t tree, int32_t index, const char **name, uint64_t *parent_pc)
{
    const int32_t *at = tables->layout->at;
    uint64_t call = tree + (uint64_t)index * (uint64_t)at[GO_INLINED_SIZE];
    uint32_t nameoff, parent;
    if (!ca_target_read_u32(tables->target, call + (uint64_t)at[GO_INLINED_NAMEOFF], &nameoff) ||
        !ca_target_read_u32(tables->target, call + (uint64_t)at[GO_INLINED_PARENTPC], &parent))
        return false;
    *name = name_at(func->module, nameoff);
    *parent_pc = func->entry + parent;
    return true;
}

size_t ca_go_func_expand(const struct ca_go_tables *tables, const struct ca_go_func *func,
                         uint64_t pc, struct ca_go_inline ret[CA_GO_INLINE_MAX])
{
    size_t count = 0;
    uint64_t tree = ca_go_func_funcdata(tables, func, CA_GO_FUNCDATA_INLTREE);
    while (tree && count < CA_GO_INLINE_MAX - 1) {
        int32_t index = ca_go_func_pcdata(tables, func, CA_GO_PCDATA_INLTREE, pc);
        uint64_t parent;
        struct ca_go_inline *frame = &ret[count];
        if (index < 0 || !inlined_call(tables, func, tree, index, &frame->function, &parent))
            break;
        frame->inlined = true;
        ca_go_func_line(tables, func, pc, &frame->file, &frame->line);
        count++;
        if (parent == pc)
            break;
        pc = parent;
    }
    ret[count].function = ca_go_func_name(func);
    ret[count].inlined = false;
    ca_go_func_line(tables, func, pc, &ret[count].file, &ret[count].line);
    return count + 1;
}

int32_t ca_go_func_inlined_count(const struct ca_go_tables *tables, const struct ca_go_func *func)
{
    const int32_t *layout = tables->layout->at;
    uint64_t place = (uint64_t)layout[GO_FUNC_SIZE] + 4ull * CA_GO_PCDATA_INLTREE;
    if (!ca_go_func_funcdata(tables, func, CA_GO_FUNCDATA_INLTREE) ||
        ca_go_func_u32(func, layout[GO_FUNC_NPCDATA]) <= CA_GO_PCDATA_INLTREE ||
        place + 4 > func->room)
        return 0;
    struct stretches s = {
        .table = &func->module->pctab, .at = get_u32(func->record + place), .value = (uint32_t)-1};
    int32_t count = 0;
    while (s.at && next_stretch(&s))
        if ((int32_t)s.value >= count && s.value < INLINED_MAX)
            count = (int32_t)s.value + 1;
    return count;
}

bool ca_go_func_inlined(const struct ca_go_tables *tables, const struct ca_go_func *func,
                        int32_t index, const char **name, uint64_t *pc)
{
    uint64_t tree = ca_go_func_funcdata(tables, func, CA_GO_FUNCDATA_INLTREE);
    return tree && inlined_call(tables, func, tree, index, name, pc);
}

uint64_t ca_go_func_call_pc(const struct ca_go_tables *tables, const struct ca_go_func *func,
                            uint64_t pc)
{
    uint64_t parent;
    const char *name;
    for (int depth = 0; depth < CA_GO_INLINE_MAX; depth++) {
        int32_t index = ca_go_func_pcdata(tables, func, CA_GO_PCDATA_INLTREE, pc);
        if (index < 0 || !ca_go_func_inlined(tables, func, index, &name, &parent) || parent == pc)
            break;
        pc = parent;
    }
    return pc;
}

static void match_names(const struct ca_go_tables *tables, const struct ca_go_module *module,
                        uint64_t index, const char *const *names, size_t count,
                        struct ca_go_func *ret)
{
    uint64_t at = get_u32(module->ftab.data + index * FTAB_ENTRY + 4);
    if (at + 8 > module->pclntable.size)
        return;
    const char *name = name_at(module, get_u32(module->pclntable.data + at + 4));
    for (size_t i = 0; i < count; i++)
        if (!ret[i].record && !strcmp(name, names[i]))
            ca_go_func_find(tables,
                            text_address(module, get_u32(module->ftab.data + index * FTAB_ENTRY)),
                            &ret[i]);
}

void ca_go_tables_functions(const struct ca_go_tables *tables, const char *const *names,
                            size_t count, struct ca_go_func *ret)
{
    memset(ret, 0, count * sizeof(*ret));
    for (size_t m = 0; m < tables->modules.len; m++)
        for (uint64_t i = 0; i + 1 < tables->modules.data[m].ftab_count; i++)
            match_names(tables, &tables->modules.data[m], i, names, count, ret);
}
