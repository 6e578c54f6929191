#include "unwind/locals.h"

#include <dwarf.h>
#include <string.h>

#include "symbols/die.h"

enum { DEPTH = 64, VARIABLES = 512 };

void ca_locals_deinit(struct ca_locals *locals)
{
    ca_vec_deinit(&locals->list);
    ca_strings_deinit(&locals->strings);
}

/* The functions around an address, outermost first: the real one, then those inlined in it. */
static unsigned functions_at(Dwarf_Die *parent, Dwarf_Addr address, unsigned depth,
                             Dwarf_Die *chain, unsigned count)
{
    Dwarf_Die child;
    if (depth > DEPTH || count == CA_FUNCTIONS_MAX || dwarf_child(parent, &child))
        return count;
    do {
        int tag = dwarf_tag(&child);
        bool function = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
        bool block =
            tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
        bool outer = !count && (tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
                                tag == DW_TAG_class_type);
        if ((function || block) && dwarf_haspc(&child, address) == 1) {
            if (function)
                chain[count++] = child;
            return functions_at(&child, address, depth + 1, chain, count);
        }
        unsigned found = outer ? functions_at(&child, address, depth + 1, chain, 0) : 0;
        if (found)
            return found;
    } while (ca_die_next(&child));
    return count;
}

/* Without a table of addresses every unit is asked. */
static bool find_unit(Dwfl_Module *dwfl, uint64_t pc, Dwarf_Die *unit, Dwarf_Addr *bias)
{
    Dwarf_Die *found = dwfl_module_addrdie(dwfl, pc, bias);
    if (found) {
        *unit = *found;
        return true;
    }
    Dwarf *dwarf = dwfl_module_getdwarf(dwfl, bias);
    Dwarf_Off at = 0, next;
    size_t header;
    while (dwarf && dwarf_nextcu(dwarf, at, &next, &header, NULL, NULL, NULL) == 0 && next > at) {
        if (dwarf_offdie(dwarf, at + header, unit) && dwarf_haspc(unit, pc - *bias) == 1)
            return true;
        at = next;
    }
    return false;
}

unsigned ca_functions_at(Dwfl_Module *dwfl, uint64_t pc, Dwarf_Die chain[CA_FUNCTIONS_MAX],
                         Dwarf_Addr *bias)
{
    Dwarf_Die unit;
    return find_unit(dwfl, pc, &unit, bias) ? functions_at(&unit, pc - *bias, 0, chain, 0) : 0;
}

static const char *keep(struct ca_locals *locals, const struct ca_buf *buf)
{
    return buf->data && !buf->failed ? ca_strings_intern(&locals->strings, buf->data, buf->len)
                                     : NULL;
}

static bool is_literal(Dwarf_Die *function)
{
    const char *name = dwarf_diename(function);
    return name && strstr(name, ".func");
}

/* Captured variables are said to be declared where the function literal uses them first. Before Go
 * 1.23 nothing tells them from its own. */
static bool tells_captured(Dwarf_Die *function)
{
    Dwarf_Die child;
    if (!is_literal(function))
        return true;
    if (dwarf_child(function, &child))
        return false;
    do {
        if (dwarf_hasattr(&child, CA_DW_AT_GO_CLOSURE_OFFSET))
            return true;
    } while (ca_die_next(&child));
    return false;
}

/* Go's scopes begin before the statement that declares: what is there until then is left over. The
 * compiler's own variables, which have names with a dot, are not declared anywhere. */
static bool is_ahead(const struct ca_local_frame *frame, Dwarf_Die *variable)
{
    Dwarf_Die unit;
    const char *name = dwarf_diename(variable);
    int line;
    return frame->line && frame->tells_captured && name && !strchr(name, '.') &&
           dwarf_tag(variable) == DW_TAG_variable &&
           !dwarf_hasattr(variable, CA_DW_AT_GO_CLOSURE_OFFSET) &&
           dwarf_diecu(variable, &unit, NULL, NULL) && dwarf_srclang(&unit) == DW_LANG_Go &&
           dwarf_decl_line(variable, &line) == 0 && line >= frame->line;
}

static bool add_variable(struct ca_local_frame *frame, Dwarf_Die *variable, struct ca_locals *ret)
{
    const char *name = dwarf_diename(variable);
    Dwarf_Die type;
    struct ca_whereabouts place;
    if (!name || !*name ||
        (dwarf_hasattr_integrate(variable, DW_AT_artificial) && strcmp(name, "this")))
        return true;
    /* Go's generic functions get one; it is said to be in memory where it never was put. */
    if (!strcmp(name, ".dict"))
        return true;
    struct ca_local_info local = {.argument = dwarf_tag(variable) == DW_TAG_formal_parameter};
    bool typed = ca_die_type(variable, &type);
    local.why = ca_whereabouts_find(frame, variable, &place);
    if (!local.why && !typed)
        local.why = "of unknown type";
    if (!local.why && is_ahead(frame, variable))
        local.why = "perhaps not set yet";
    if (*name == '&' && typed) {
        Dwarf_Die pointee;
        struct ca_whereabouts behind = {0};
        bool there =
            ca_value_behind(frame->target, &type, local.why ? NULL : &place, &pointee, &behind);
        if (there || local.why) {
            name++;
            place = behind;
            type = pointee;
        }
    }
    struct ca_buf text = {0}, kind = {0};
    if (typed)
        ca_type_name(&type, &kind);
    if (!local.why && !ca_value_format(frame->target, &type, &place, &text))
        local.why = "not readable";
    local.name = ca_strings_intern(&ret->strings, name, strlen(name));
    local.type = keep(ret, &kind);
    local.value = local.why ? NULL : keep(ret, &text);
    bool ok = local.name && !kind.failed && !text.failed && ca_vec_push(&ret->list, local);
    ca_buf_deinit(&kind);
    ca_buf_deinit(&text);
    return ok;
}

static bool add_scope(struct ca_local_frame *frame, Dwarf_Die *scope, unsigned depth,
                      struct ca_locals *ret)
{
    Dwarf_Die child;
    if (depth > DEPTH || dwarf_child(scope, &child))
        return true;
    do {
        switch (dwarf_tag(&child)) {
        case DW_TAG_formal_parameter:
        case DW_TAG_variable:
            if (ret->list.len < VARIABLES && !add_variable(frame, &child, ret))
                return false;
            break;
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
            if (dwarf_haspc(&child, frame->pc - frame->bias) == 1 &&
                !add_scope(frame, &child, depth + 1, ret))
                return false;
            break;
        }
    } while (ca_die_next(&child));
    return true;
}

struct ca_error *ca_locals_read(struct ca_modules *modules, struct ca_local_frame *frame,
                                unsigned inlined, struct ca_locals *ret)
{
    ca_locals_deinit(ret);
    memset(ret, 0, sizeof(*ret));
    struct ca_module *module = ca_modules_at(modules, frame->pc);
    Dwfl_Module *dwfl = module ? ca_module_debug(modules, module) : NULL;
    Dwarf_Die chain[CA_FUNCTIONS_MAX];
    unsigned count = dwfl ? ca_functions_at(dwfl, frame->pc, chain, &frame->bias) : 0;
    if (!count)
        return ca_error_create(CA_ERROR_UNSUPPORTED,
                               "no debug information for 0x%llx in %s: variables need the program "
                               "built with it, or its debug file installed",
                               (unsigned long long)frame->pc,
                               module && module->name ? module->name : "an unknown module");
    Dwarf_Attribute base;
    frame->frame_base = dwarf_attr_integrate(&chain[0], DW_AT_frame_base, &base);
    unsigned at = inlined < count ? count - 1 - inlined : 0;
    frame->tells_captured = tells_captured(&chain[at]);
    return add_scope(frame, &chain[at], 0, ret) ? NULL : &ca_error_nomem;
}
