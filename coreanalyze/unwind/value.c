/* Values of C and Go as text, by their DWARF types. */
#include <dwarf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "symbols/die.h"
#include "unwind/locals.h"

enum { NESTING = 4, ELEMENTS = 16, FIELDS = 64, TEXT = 200, LAYERS = 16, TOTAL = 4096 };

struct view {
    struct ca_target *target;
    const struct ca_whereabouts *place;
    uint64_t offset;
};

static bool fetch(const struct view *view, uint64_t at, void *to, size_t size)
{
    uint64_t from;
    if (__builtin_add_overflow(view->offset, at, &from))
        return false;
    if (view->place->memory)
        return ca_target_read(view->target, view->place->address + from, to, size);
    if (from > view->place->size || size > view->place->size - from)
        return false;
    memcpy(to, view->place->bytes + from, size);
    return true;
}

static uint64_t number_of(Dwarf_Die *die, unsigned name, uint64_t otherwise)
{
    Dwarf_Attribute attr;
    Dwarf_Word value;
    return dwarf_attr_integrate(die, name, &attr) && !dwarf_formudata(&attr, &value) ? value
                                                                                     : otherwise;
}

static uint64_t size_of(Dwarf_Die *type)
{
    Dwarf_Word size;
    return dwarf_aggregate_size(type, &size) ? 0 : size;
}

/* ---- names -------------------------------------------------------------------------------- */

static void name_type(Dwarf_Die *type, unsigned depth, struct ca_buf *ret)
{
    const char *name = dwarf_diename(type);
    int tag = dwarf_tag(type);
    Dwarf_Die inner;
    bool has = ca_die_type(type, &inner);
    if (depth > LAYERS)
        return;
    if (tag == DW_TAG_const_type || tag == DW_TAG_volatile_type) {
        ca_buf_puts(ret, tag == DW_TAG_const_type ? "const " : "volatile ");
        if (has)
            name_type(&inner, depth + 1, ret);
        else
            ca_buf_puts(ret, "void");
    } else if (name) {
        ca_buf_add(ret, name, strnlen(name, TEXT));
    } else if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type) {
        if (has)
            name_type(&inner, depth + 1, ret);
        else
            ca_buf_puts(ret, "void");
        ca_buf_puts(ret, tag == DW_TAG_pointer_type ? " *" : " &");
    } else if (tag == DW_TAG_array_type && has) {
        name_type(&inner, depth + 1, ret);
        ca_buf_puts(ret, " []");
    } else if (tag == DW_TAG_subroutine_type) {
        ca_buf_puts(ret, "function");
    } else {
        ca_buf_puts(ret, tag == DW_TAG_union_type ? "union" : "struct");
    }
}

void ca_type_name(Dwarf_Die *type, struct ca_buf *ret)
{
    name_type(type, 0, ret);
}

/* ---- values ------------------------------------------------------------------------------- */

static bool format(const struct view *view, Dwarf_Die *type, unsigned depth, struct ca_buf *ret);

static void put_text(struct ca_buf *ret, const uint8_t *text, size_t size)
{
    ca_buf_putc(ret, '"');
    for (size_t i = 0; i < size; i++)
        if (text[i] == '"' || text[i] == '\\')
            ca_buf_printf(ret, "\\%c", text[i]);
        else if (text[i] < 0x20 || text[i] == 0x7f)
            ca_buf_printf(ret, "\\x%02x", text[i]);
        else
            ca_buf_putc(ret, (char)text[i]);
    ca_buf_putc(ret, '"');
}

static bool format_float(const struct view *view, uint64_t size, struct ca_buf *ret)
{
    float small;
    double large;
    if (size == 4 && fetch(view, 0, &small, 4))
        ca_buf_printf(ret, "%.9g", (double)small);
    else if (size == 8 && fetch(view, 0, &large, 8))
        ca_buf_printf(ret, "%.17g", large);
    else
        return false;
    return true;
}

static bool read_number(const struct view *view, uint64_t size, bool is_signed, int64_t *ret)
{
    uint64_t value = 0;
    if (!size || size > 8 || !fetch(view, 0, &value, size))
        return false;
    unsigned shift = 64 - 8 * (unsigned)size;
    *ret = is_signed ? (int64_t)(value << shift) >> shift : (int64_t)value;
    return true;
}

static bool format_base(const struct view *view, Dwarf_Die *type, struct ca_buf *ret)
{
    uint64_t size = size_of(type), encoding = number_of(type, DW_AT_encoding, 0);
    bool is_signed = encoding == DW_ATE_signed || encoding == DW_ATE_signed_char;
    int64_t value;
    if (encoding == DW_ATE_float)
        return format_float(view, size, ret);
    if (!read_number(view, size, is_signed, &value))
        return false;
    if (encoding == DW_ATE_boolean)
        ca_buf_puts(ret, value ? "true" : "false");
    else if (is_signed)
        ca_buf_printf(ret, "%" PRId64, value);
    else
        ca_buf_printf(ret, "%" PRIu64, (uint64_t)value);
    if ((encoding == DW_ATE_signed_char || encoding == DW_ATE_unsigned_char) && value >= 0x20 &&
        value < 0x7f)
        ca_buf_printf(ret, " '%c'", (char)value);
    return true;
}

static bool is_char(Dwarf_Die *type)
{
    Dwarf_Die base;
    if (!ca_die_peel(type, &base) || dwarf_tag(&base) != DW_TAG_base_type || size_of(&base) != 1)
        return false;
    uint64_t encoding = number_of(&base, DW_AT_encoding, 0);
    return encoding == DW_ATE_signed_char || encoding == DW_ATE_unsigned_char;
}

static bool format_pointer(const struct view *view, Dwarf_Die *type, struct ca_buf *ret)
{
    uint64_t address;
    Dwarf_Die pointee;
    if (!fetch(view, 0, &address, 8))
        return false;
    ca_buf_printf(ret, "0x%" PRIx64, address);
    uint8_t text[TEXT];
    size_t size = 0;
    if (!address || !ca_die_type(type, &pointee) || !is_char(&pointee))
        return true;
    while (size < sizeof(text) && ca_target_read(view->target, address + size, text + size, 1) &&
           text[size])
        size++;
    ca_buf_putc(ret, ' ');
    put_text(ret, text, size);
    return true;
}

static bool format_enum(const struct view *view, Dwarf_Die *type, struct ca_buf *ret)
{
    int64_t value;
    Dwarf_Die child;
    if (!read_number(view, size_of(type), true, &value))
        return false;
    for (bool more = !dwarf_child(type, &child); more; more = ca_die_next(&child)) {
        Dwarf_Attribute attr;
        Dwarf_Sword known;
        const char *name = dwarf_diename(&child);
        if (name && dwarf_attr(&child, DW_AT_const_value, &attr) &&
            !dwarf_formsdata(&attr, &known) && known == value) {
            ca_buf_add(ret, name, strnlen(name, TEXT));
            return true;
        }
    }
    ca_buf_printf(ret, "%" PRId64, value);
    return true;
}

/* Values one behind the other; stops at ELEMENTS and when the text is long enough. */
static bool format_elements(const struct view *view, Dwarf_Die *type, uint64_t count,
                            unsigned depth, struct ca_buf *ret)
{
    Dwarf_Die stored;
    uint64_t size = ca_die_peel(type, &stored) ? size_of(&stored) : 0, i;
    ca_buf_putc(ret, '{');
    for (i = 0; i < count && i < ELEMENTS && ret->len < TOTAL; i++) {
        struct view element = *view;
        if (i)
            ca_buf_puts(ret, ", ");
        if (__builtin_add_overflow(view->offset, i * size, &element.offset) ||
            !format(&element, type, depth + 1, ret))
            return false;
    }
    ca_buf_puts(ret, i < count ? ", ...}" : "}");
    return true;
}

static bool format_array(const struct view *view, Dwarf_Die *type, unsigned depth,
                         struct ca_buf *ret)
{
    Dwarf_Die element, child;
    uint64_t count = 0;
    if (!ca_die_type(type, &element))
        return false;
    for (bool more = !dwarf_child(type, &child); more; more = ca_die_next(&child)) {
        if (dwarf_tag(&child) != DW_TAG_subrange_type)
            continue;
        /* Only the first dimension is told apart. */
        count = number_of(&child, DW_AT_count, UINT64_MAX);
        if (count == UINT64_MAX)
            count = number_of(&child, DW_AT_upper_bound, UINT64_MAX) + 1;
        break;
    }
    if (!is_char(&element))
        return format_elements(view, &element, count, depth, ret);
    uint8_t text[TEXT];
    size_t size = count < sizeof(text) ? (size_t)count : sizeof(text);
    if (!fetch(view, 0, text, size))
        return false;
    put_text(ret, text, strnlen((char *)text, size));
    return true;
}

/* The offset of a member by name; UINT64_MAX: there is none. */
static uint64_t member(Dwarf_Die *type, const char *wanted, Dwarf_Die *ret)
{
    Dwarf_Die child;
    for (bool more = !dwarf_child(type, &child); more; more = ca_die_next(&child)) {
        const char *name = dwarf_diename(&child);
        if (dwarf_tag(&child) != DW_TAG_member || !name || strcmp(name, wanted))
            continue;
        *ret = child;
        return number_of(&child, DW_AT_data_member_location, 0);
    }
    return UINT64_MAX;
}

/* Go: string is {str, len}, a slice {array, len, cap}. */
static bool format_go(const struct view *view, Dwarf_Die *type, unsigned depth, struct ca_buf *ret,
                      bool *mine)
{
    Dwarf_Die data, length, capacity, pointer, element;
    uint64_t len_at = member(type, "len", &length), str_at = member(type, "str", &data), address;
    uint64_t array_at = str_at == UINT64_MAX ? member(type, "array", &data) : str_at;
    bool slice = str_at == UINT64_MAX;
    int64_t count;
    *mine = len_at != UINT64_MAX && array_at != UINT64_MAX && size_of(type) == (slice ? 24 : 16) &&
            (!slice || member(type, "cap", &capacity) != UINT64_MAX) &&
            ca_die_type(&data, &pointer) && ca_die_peel(&pointer, &pointer) &&
            ca_die_type(&pointer, &element);
    if (!*mine)
        return true;
    if (!fetch(view, array_at, &address, 8) || !fetch(view, len_at, &count, 8))
        return false;
    if (slice) {
        struct ca_whereabouts there = {.memory = true, .address = address};
        struct view inside = {view->target, &there, 0};
        ca_buf_printf(ret, "len %" PRId64 " ", count);
        if (count <= 0)
            ca_buf_puts(ret, "{}");
        return count <= 0 || format_elements(&inside, &element, (uint64_t)count, depth, ret);
    }
    uint8_t text[TEXT];
    size_t size = count < 0 ? 0 : count < TEXT ? (size_t)count : TEXT;
    if (!ca_target_read(view->target, address, text, size))
        return size == 0 ? (put_text(ret, text, 0), true) : false;
    put_text(ret, text, size);
    if (count > (int64_t)size)
        ca_buf_puts(ret, "...");
    return true;
}

static bool format_struct(const struct view *view, Dwarf_Die *type, unsigned depth,
                          struct ca_buf *ret)
{
    bool mine, first = true;
    unsigned fields = 0;
    bool readable = format_go(view, type, depth, ret, &mine);
    if (mine)
        return readable;
    if (depth >= NESTING) {
        ca_buf_puts(ret, "{...}");
        return true;
    }
    Dwarf_Die child, kind;
    ca_buf_putc(ret, '{');
    for (bool more = !dwarf_child(type, &child); more; more = ca_die_next(&child)) {
        const char *name = dwarf_diename(&child);
        if (dwarf_tag(&child) != DW_TAG_member || !ca_die_type(&child, &kind) ||
            dwarf_hasattr(&child, DW_AT_data_bit_offset) || dwarf_hasattr(&child, DW_AT_bit_size))
            continue;
        ca_buf_puts(ret, first ? "" : ", ");
        first = false;
        if (++fields > FIELDS || ret->len > TOTAL) {
            ca_buf_puts(ret, "...");
            break;
        }
        struct view inside = *view;
        if (__builtin_add_overflow(view->offset, number_of(&child, DW_AT_data_member_location, 0),
                                   &inside.offset))
            return false;
        if (name)
            ca_buf_printf(ret, "%.*s = ", (int)strnlen(name, TEXT), name);
        if (!format(&inside, &kind, depth + 1, ret))
            return false;
    }
    ca_buf_putc(ret, '}');
    return true;
}

static bool format(const struct view *view, Dwarf_Die *type, unsigned depth, struct ca_buf *ret)
{
    Dwarf_Die stored;
    if (!ca_die_peel(type, &stored) || depth > NESTING + 2) {
        ca_buf_puts(ret, "...");
        return true;
    }
    switch (dwarf_tag(&stored)) {
    case DW_TAG_base_type:
        return format_base(view, &stored, ret);
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
    case DW_TAG_subroutine_type: /* Go's func values point to a closure */
        return format_pointer(view, &stored, ret);
    case DW_TAG_enumeration_type:
        return format_enum(view, &stored, ret);
    case DW_TAG_array_type:
        return format_array(view, &stored, depth, ret);
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        return format_struct(view, &stored, depth, ret);
    default:
        ca_buf_puts(ret, "...");
        return true;
    }
}

bool ca_value_format(struct ca_target *target, Dwarf_Die *type, const struct ca_whereabouts *place,
                     struct ca_buf *ret)
{
    struct view view = {target, place, 0};
    return format(&view, type, 0, ret);
}

bool ca_value_behind(struct ca_target *target, Dwarf_Die *type, const struct ca_whereabouts *place,
                     Dwarf_Die *pointee, struct ca_whereabouts *ret)
{
    Dwarf_Die stored;
    if (!ca_die_peel(type, &stored) || dwarf_tag(&stored) != DW_TAG_pointer_type ||
        !ca_die_type(&stored, pointee)) {
        *pointee = *type;
        return false;
    }
    struct view view = {target, place, 0};
    memset(ret, 0, sizeof(*ret));
    ret->memory = true;
    return place && fetch(&view, 0, &ret->address, 8);
}
