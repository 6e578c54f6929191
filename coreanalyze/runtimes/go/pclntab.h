/* The program's own tables of functions, files, lines, frame sizes and inlined calls. They are in
 * every Go program, stripped ones too.
 *
 * Source: runtime/symtab.go, runtime/symtabinl.go, cmd/link/internal/ld/pcln.go (1.19 to 1.27).
 */
#ifndef CA_RUNTIMES_GO_PCLNTAB_H
#define CA_RUNTIMES_GO_PCLNTAB_H

#include "base/map.h"
#include "runtimes/go/layout.h"

/* A table of the target: viewed in place, or a copy of ours where it is not contiguous here. */
struct ca_go_table {
    const uint8_t *data;
    uint64_t size;
    uint8_t *owned;
};

struct ca_go_textsect {
    uint64_t vaddr, end, base;
};

/* One moduledata: an executable, a plugin, a shared library. */
struct ca_go_module {
    uint64_t address; /* of the moduledata */
    struct ca_go_table names, cutab, files, pctab, pclntable;
    uint64_t ftab_address, ftab_count; /* entries, the last one only marks the end */
    struct ca_go_table ftab;
    uint64_t minpc, maxpc, text, etext, gofunc, rodata;
    uint64_t data, edata, bss, ebss, noptrdata, noptrbss, enoptrbss;
    uint64_t gcdatamask, gcbssmask;         /* addresses of the bitvectors inside the moduledata */
    CA_VEC(struct ca_go_textsect) sections; /* empty: text is one piece */
    uint32_t quantum;                       /* instruction size: 1 or 4 */
    bool odd; /* its functions do not lie where it says itself: nothing can rest on it */
};

struct ca_go_tables {
    struct ca_target *target;
    const struct ca_go_layout *layout;
    CA_VEC(struct ca_go_module) modules;
};

/* A function: where its record is. Cheap to copy. */
struct ca_go_func {
    const struct ca_go_module *module;
    const uint8_t *record; /* the _func; NULL: no function */
    uint64_t room;         /* bytes from record to the table's end */
    uint64_t entry, end;
};

/* FUNCDATA and PCDATA numbers: internal/abi/symtab.go, the same 1.19 to 1.27. */
enum {
    CA_GO_PCDATA_UNSAFEPOINT = 0,
    CA_GO_PCDATA_STACKMAP = 1,
    CA_GO_PCDATA_INLTREE = 2,
    CA_GO_FUNCDATA_ARGS = 0,
    CA_GO_FUNCDATA_LOCALS = 1,
    CA_GO_FUNCDATA_OBJECTS = 2,
    CA_GO_FUNCDATA_INLTREE = 3,
    CA_GO_FUNCDATA_OPENDEFERS = 4,
    CA_GO_FUNCDATA_ARG_LIVE = 6,
    CA_GO_FLAG_TOPFRAME = 1,
    CA_GO_FLAG_SPWRITE = 2,
};

/* Reads the list of moduledata that starts at first. Errors: nothing there that makes sense. */
struct ca_error *ca_go_tables_init(struct ca_go_tables *tables, struct ca_target *target,
                                   const struct ca_go_layout *layout, uint64_t first);
void ca_go_tables_deinit(struct ca_go_tables *tables);

/* false: pc is in no Go function. */
bool ca_go_func_find(const struct ca_go_tables *tables, uint64_t pc, struct ca_go_func *ret);

/* Interned nowhere: points into the table, NUL-terminated there; "" when broken. */
const char *ca_go_func_name(const struct ca_go_func *func);
uint8_t ca_go_func_flag(const struct ca_go_tables *tables, const struct ca_go_func *func);
uint32_t ca_go_func_u32(const struct ca_go_func *func, int32_t offset);

/* A value of a pc table at pc; false when the table is broken or has no value. */
bool ca_go_func_pcvalue(const struct ca_go_func *func, uint32_t offset, uint64_t pc, int32_t *ret);

/* How far sp is below its value at the function's entry. */
bool ca_go_func_spdelta(const struct ca_go_tables *tables, const struct ca_go_func *func,
                        uint64_t pc, int32_t *ret);

/* PCDATA; -1 when the function has none. */
int32_t ca_go_func_pcdata(const struct ca_go_tables *tables, const struct ca_go_func *func,
                          uint32_t table, uint64_t pc);
/* The address of FUNCDATA in the target; 0 when the function has none. */
uint64_t ca_go_func_funcdata(const struct ca_go_tables *tables, const struct ca_go_func *func,
                             uint32_t table);

/* File and line of pc; file NULL when not known. */
void ca_go_func_line(const struct ca_go_tables *tables, const struct ca_go_func *func, uint64_t pc,
                     const char **file, uint32_t *line);

/* One logical frame of a pc, innermost first. */
struct ca_go_inline {
    const char *function; /* as in the table */
    const char *file;
    uint32_t line;
    bool inlined;
};
enum { CA_GO_INLINE_MAX = 64 };

/* The frames that pc stands for: inlined calls, then the function itself. Returns their number. */
size_t ca_go_func_expand(const struct ca_go_tables *tables, const struct ca_go_func *func,
                         uint64_t pc, struct ca_go_inline ret[CA_GO_INLINE_MAX]);

/* How many calls were inlined into the function, for ca_go_func_inlined. */
int32_t ca_go_func_inlined_count(const struct ca_go_tables *tables, const struct ca_go_func *func);
/* An inlined call: whose, and from where (in the function, or in another inlined call). false: its
 * record cannot be read. */
bool ca_go_func_inlined(const struct ca_go_tables *tables, const struct ca_go_func *func,
                        int32_t index, const char **name, uint64_t *pc);
/* Where in the function itself the call stands that pc belongs to: pc, or the outermost call that
 * was inlined there. */
uint64_t ca_go_func_call_pc(const struct ca_go_tables *tables, const struct ca_go_func *func,
                            uint64_t pc);

/* The functions with these names, in one pass; record NULL where there is none. For start-up only.
 */
void ca_go_tables_functions(const struct ca_go_tables *tables, const char *const *names,
                            size_t count, struct ca_go_func *ret);

#endif
