/* The variables of a frame by the debug information: where they are (locals.c, whereabouts.c) and
 * what they say (value.c); and which variable a place belongs to (variables.c). Everything that
 * comes from the target or its debug information is bounded.
 */
#ifndef CA_UNWIND_LOCALS_H
#define CA_UNWIND_LOCALS_H

#include "base/buf.h"
#include "coreanalyze.h"
#include "symbols/modules.h"

/* Of a variable that a function literal captures. cmd/internal/dwarf/dwarf.go, since Go 1.23 */
enum { CA_DW_AT_GO_CLOSURE_OFFSET = 0x2907 };

struct ca_locals {
    CA_VEC(struct ca_local_info) list;
    struct ca_strings strings; /* their texts */
};

void ca_locals_deinit(struct ca_locals *locals);

/* A frame of a stopped task. */
struct ca_local_frame {
    struct ca_target *target;
    struct ca_regs regs;
    bool has_cfa;
    uint64_t cfa;
    uint64_t pc;         /* inside the instruction that it stands at: a return address minus 1 */
    bool called;         /* pc is inside a call, which returns to pc + 1 */
    int line;            /* that it stands at; 0: not known */
    bool tells_captured; /* set by ca_locals_read */
    Dwarf_Addr bias;     /* address in the target minus address in the debug information */
    Dwarf_Attribute *frame_base; /* of the function; NULL: none */
};

/* Fills *ret (emptied before) with the variables of the function at frame->pc; inlined: so many
 * inlined calls further out than the innermost. CA_ERROR_UNSUPPORTED: no debug information there,
 * and what would help. */
struct ca_error *ca_locals_read(struct ca_modules *modules, struct ca_local_frame *frame,
                                unsigned inlined, struct ca_locals *ret);

/* Where a value is: in the target's memory, or gathered from registers. */
struct ca_whereabouts {
    bool memory;
    uint64_t address;   /* with memory */
    uint8_t bytes[256]; /* else */
    size_t size;        /* of bytes */
};

/* By a variable's DW_AT_location. Returns why there is none (a literal), NULL on success. */
const char *ca_whereabouts_find(const struct ca_local_frame *frame, Dwarf_Die *variable,
                                struct ca_whereabouts *ret);

/* The operations of a location attribute for an address; own (max of them) is room that may be
 * used. false: there are none, or they cannot be decoded. */
bool ca_expression_at(Dwarf_Attribute *attr, Dwarf_Addr address, Dwarf_Op *own, size_t max,
                      Dwarf_Op **ops, size_t *count);
bool ca_expression_decode(const uint8_t *bytes, size_t size, Dwarf_Op *ops, size_t max,
                          size_t *count);

/* The functions around an address, outermost first: the real one, then those inlined in it. Returns
 * their number; 0: no debug information there. */
enum { CA_FUNCTIONS_MAX = 32 };
unsigned ca_functions_at(Dwfl_Module *dwfl, uint64_t pc, Dwarf_Die chain[CA_FUNCTIONS_MAX],
                         Dwarf_Addr *bias);

/* A variable, found by its place. */
struct ca_variable {
    const char *name; /* of the debug information's own text */
    Dwarf_Die type;
    uint64_t address; /* where it begins */
};
/* The global of this name, which is its symbol's too. Its address is left alone. */
bool ca_variable_global(struct ca_modules *modules, struct ca_module *module, const char *name,
                        struct ca_variable *ret);
/* The variable or argument of a frame that the word at address belongs to. */
bool ca_variable_local(struct ca_modules *modules, struct ca_local_frame *frame, uint64_t address,
                       struct ca_variable *ret);
/* The first argument of the function at entry: a Go method's receiver. Its address is left alone.
 */
bool ca_variable_receiver(struct ca_modules *modules, uint64_t entry, struct ca_variable *ret);
/* What Go's function at entry finds at an offset of its closure. */
bool ca_variable_captured(struct ca_modules *modules, uint64_t entry, uint64_t offset,
                          struct ca_variable *ret);

/* A value as text. false: the memory is not readable. */
bool ca_value_format(struct ca_target *target, Dwarf_Die *type, const struct ca_whereabouts *place,
                     struct ca_buf *ret);
/* Go keeps a variable that outlives its function on the heap, as &name: shows what is there. */
bool ca_value_behind(struct ca_target *target, Dwarf_Die *type, const struct ca_whereabouts *place,
                     Dwarf_Die *pointee, struct ca_whereabouts *ret);
void ca_type_name(Dwarf_Die *type, struct ca_buf *ret);

#endif
