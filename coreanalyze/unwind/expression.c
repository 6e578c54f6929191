/* Location expressions out of plain blocks. Go writes them so in DWARF 5 too (DW_FORM_block1),
 * where libdw 0.188 takes DW_FORM_exprloc only (attr_ok in its dwarf_getlocation.c). */
#include <dwarf.h>
#include <string.h>

#include "unwind/locals.h"

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static uint64_t fixed(struct reader *reader, unsigned size, bool is_signed)
{
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        return 0;
    }
    memcpy(&value, reader->at, size);
    reader->at += size;
    unsigned shift = 64 - 8 * size;
    return is_signed ? (uint64_t)((int64_t)(value << shift) >> shift) : value;
}

static uint64_t leb(struct reader *reader, bool is_signed)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (reader->at == reader->end)
            break;
        uint8_t byte = *reader->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (is_signed && (byte & 0x40) && shift + 7 < 64)
            value |= ~0ull << (shift + 7);
        return value;
    }
    reader->failed = true;
    return 0;
}

static void operands(struct reader *reader, Dwarf_Op *op)
{
    if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
        op->number = leb(reader, true);
        return;
    }
    switch (op->atom) {
    case DW_OP_addr:
    case DW_OP_const8u:
    case DW_OP_const8s:
        op->number = fixed(reader, 8, false);
        break;
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_deref_size:
        op->number = fixed(reader, 1, op->atom == DW_OP_const1s);
        break;
    case DW_OP_const2u:
    case DW_OP_const2s:
        op->number = fixed(reader, 2, op->atom == DW_OP_const2s);
        break;
    case DW_OP_const4u:
    case DW_OP_const4s:
        op->number = fixed(reader, 4, op->atom == DW_OP_const4s);
        break;
    case DW_OP_fbreg:
    case DW_OP_consts:
        op->number = leb(reader, true);
        break;
    case DW_OP_constu:
    case DW_OP_regx:
    case DW_OP_plus_uconst:
    case DW_OP_piece:
        op->number = leb(reader, false);
        break;
    case DW_OP_bregx:
        op->number = leb(reader, false);
        op->number2 = leb(reader, true);
        break;
    case DW_OP_deref:
    case DW_OP_dup:
    case DW_OP_stack_value:
    case DW_OP_call_frame_cfa:
    case DW_OP_nop:
        break;
    default:
        /* Without operands: arithmetic, literals, registers. What has some is not known here. */
        reader->failed |= !((op->atom >= DW_OP_and && op->atom <= DW_OP_xor) ||
                            (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_reg31)) ||
                          op->atom == DW_OP_bra;
    }
}

bool ca_expression_decode(const uint8_t *bytes, size_t size, Dwarf_Op *ops, size_t max,
                          size_t *count)
{
    struct reader reader = {bytes, bytes + size, false};
    *count = 0;
    while (reader.at < reader.end && *count < max && !reader.failed) {
        Dwarf_Op *op = &ops[(*count)++];
        memset(op, 0, sizeof(*op));
        op->atom = *reader.at++;
        operands(&reader, op);
    }
    return !reader.failed && reader.at == reader.end && *count > 0;
}

bool ca_expression_at(Dwarf_Attribute *attr, Dwarf_Addr address, Dwarf_Op *own, size_t max,
                      Dwarf_Op **ops, size_t *count)
{
    Dwarf_Block block;
    switch (dwarf_whatform(attr)) {
    case DW_FORM_block:
    case DW_FORM_block1:
    case DW_FORM_block2:
    case DW_FORM_block4:
        *ops = own;
        return !dwarf_formblock(attr, &block) &&
               ca_expression_decode(block.data, block.length, own, max, count);
    default:
        return dwarf_getlocation_addr(attr, address, ops, count, 1) == 1 && *count > 0;
    }
}
