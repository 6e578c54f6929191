/* Go's types by the debug information. cmd/internal/dwarf/dwarf.go names the attributes. */
#include <dwarf.h>
#include <string.h>

#include "runtimes/go/views.h"
#include "symbols/die.h"

enum {
    AT_GO_KIND = 0x2900,
    AT_GO_ELEM = 0x2902,
    AT_GO_RUNTIME_TYPE = 0x2904, /* from moduledata.types on; 0: it is not in the program */
    TYPEDEFS = 4,
};

static bool number(Dwarf_Die *die, unsigned name, uint64_t *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word value;
    Dwarf_Addr address;
    if (!dwarf_attr(die, name, &attr))
        return false;
    if (!dwarf_formudata(&attr, &value)) {
        *ret = value;
        return true;
    }
    if (dwarf_formaddr(&attr, &address))
        return false;
    *ret = address;
    return true;
}

static bool other(Dwarf_Die *die, unsigned name, Dwarf_Die *ret)
{
    Dwarf_Attribute attr;
    return dwarf_attr(die, name, &attr) && dwarf_formref_die(&attr, ret);
}

/* The runtime's descriptor, when it is of the kind that the debug information says. */
static void find_descriptor(struct ca_go_heap *heap, uint64_t offset, struct ca_go_view_type *ret)
{
    struct ca_go *go = heap->go;
    struct ca_go_view_type found;
    uint64_t types;
    if (!offset || !go->tables.modules.len ||
        !ca_go_read_u64(go, go->tables.modules.data[0].address, GO_MD_TYPES, &types) || !types)
        return;
    if (ca_go_descriptor(heap, types + offset, &found) && found.kind == ret->kind)
        ret->descriptor = found.descriptor;
}

bool ca_go_debug_type(struct ca_go_heap *heap, Dwarf_Die *die, struct ca_go_view_type *ret)
{
    Dwarf_Die at = *die;
    uint64_t kind = 0, offset = 0;
    *ret = (struct ca_go_view_type){.has_die = true, .die = *die};
    for (int i = 0; i < TYPEDEFS; i++) {
        if (!offset)
            number(&at, AT_GO_RUNTIME_TYPE, &offset);
        if (number(&at, AT_GO_KIND, &kind) || dwarf_tag(&at) != DW_TAG_typedef ||
            !other(&at, DW_AT_type, &at))
            break;
    }
    if (kind < CA_GO_KIND_BOOL || kind > CA_GO_KIND_UNSAFE_POINTER)
        return false;
    ret->kind = (enum ca_go_kind)kind;
    find_descriptor(heap, offset, ret);
    return true;
}

/* Behind the names of a type. */
static Dwarf_Die body(const struct ca_go_view_type *type)
{
    Dwarf_Die at = type->die;
    for (int i = 0; i < TYPEDEFS && dwarf_tag(&at) == DW_TAG_typedef; i++)
        if (!other(&at, DW_AT_type, &at))
            break;
    return at;
}

uint64_t ca_go_debug_size(const struct ca_go_view_type *type)
{
    Dwarf_Die at = type->die;
    Dwarf_Word size;
    return dwarf_aggregate_size(&at, &size) ? 0 : size;
}

bool ca_go_debug_elem(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                      struct ca_go_view_type *ret)
{
    Dwarf_Die at = body(type), elem;
    unsigned name = type->kind == CA_GO_KIND_SLICE ? AT_GO_ELEM : DW_AT_type;
    if (type->kind != CA_GO_KIND_SLICE && type->kind != CA_GO_KIND_ARRAY &&
        type->kind != CA_GO_KIND_POINTER)
        return false;
    return other(&at, name, &elem) && ca_go_debug_type(heap, &elem, ret);
}

bool ca_go_debug_field(struct ca_go_heap *heap, const struct ca_go_view_type *type, uint64_t offset,
                       struct ca_go_view_field *ret)
{
    Dwarf_Die at = body(type), child, kind;
    if (type->kind != CA_GO_KIND_STRUCT || dwarf_child(&at, &child))
        return false;
    do {
        uint64_t place = 0;
        const char *name = dwarf_diename(&child);
        if (dwarf_tag(&child) != DW_TAG_member || !name ||
            !number(&child, DW_AT_data_member_location, &place) || place > offset ||
            !other(&child, DW_AT_type, &kind) || !ca_go_debug_type(heap, &kind, &ret->type) ||
            offset - place >= ca_go_debug_size(&ret->type))
            continue;
        size_t size = strnlen(name, sizeof(ret->name) - 1);
        memcpy(ret->name, name, size);
        ret->name[size] = 0;
        ret->offset = place;
        return true;
    } while (ca_die_next(&child));
    return false;
}
