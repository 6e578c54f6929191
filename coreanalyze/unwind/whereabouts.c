/* DWARF location expressions, as far as compilers use them for variables. */
#include <dwarf.h>
#include <string.h>

#include "unwind/locals.h"

static const char OPTIMISED[] = "optimised out";
static const char NOWHERE[] = "nowhere here";
static const char UNREADABLE[] = "not readable";
static const char UNKNOWN_OP[] = "at a place that cannot be followed";

enum { STACK = 32, STEPS = 256, OPERATIONS = 32 };

struct machine {
    const struct ca_local_frame *frame;
    uint64_t stack[STACK];
    unsigned depth;
    bool in_register; /* the value itself is in `reg` */
    unsigned reg;
    bool is_value; /* DW_OP_stack_value: the top is the value, not its address */
    const uint8_t *implicit;
    size_t implicit_size;
    unsigned nesting; /* of frame bases */
};

static const char *evaluate(struct machine *machine, const Dwarf_Op *ops, size_t count);

static bool push(struct machine *machine, uint64_t value)
{
    if (machine->depth == STACK)
        return false;
    machine->stack[machine->depth++] = value;
    return true;
}

static bool reg(const struct machine *machine, uint64_t number, uint64_t *ret)
{
    const struct ca_regs *regs = &machine->frame->regs;
    if (number >= CA_REGS_MAX || !(regs->known >> number & 1))
        return false;
    *ret = regs->value[number];
    return true;
}

/* DW_OP_fbreg counts from what the function's DW_AT_frame_base says. */
static const char *frame_base(struct machine *machine, uint64_t *ret)
{
    const struct ca_local_frame *frame = machine->frame;
    Dwarf_Op own[OPERATIONS], *ops;
    size_t count;
    if (!frame->frame_base || machine->nesting ||
        !ca_expression_at(frame->frame_base, frame->pc - frame->bias, own, OPERATIONS, &ops,
                          &count))
        return OPTIMISED;
    struct machine inner = {.frame = frame, .nesting = 1};
    const char *why = evaluate(&inner, ops, count);
    if (why)
        return why;
    if (inner.in_register)
        return reg(&inner, inner.reg, ret) ? NULL : OPTIMISED;
    if (!inner.depth)
        return UNKNOWN_OP;
    *ret = inner.stack[inner.depth - 1];
    return NULL;
}

static const char *binary(struct machine *machine, uint8_t atom)
{
    if (machine->depth < 2)
        return UNKNOWN_OP;
    uint64_t b = machine->stack[--machine->depth], a = machine->stack[machine->depth - 1], value;
    switch (atom) {
    case DW_OP_plus:
        value = a + b;
        break;
    case DW_OP_minus:
        value = a - b;
        break;
    case DW_OP_mul:
        value = a * b;
        break;
    case DW_OP_and:
        value = a & b;
        break;
    case DW_OP_or:
        value = a | b;
        break;
    case DW_OP_xor:
        value = a ^ b;
        break;
    case DW_OP_shl:
        value = b < 64 ? a << b : 0;
        break;
    case DW_OP_shr:
        value = b < 64 ? a >> b : 0;
        break;
    default:
        return UNKNOWN_OP;
    }
    machine->stack[machine->depth - 1] = value;
    return NULL;
}

static const char *dereference(struct machine *machine, size_t size)
{
    uint64_t value = 0;
    if (!machine->depth || size > 8)
        return UNKNOWN_OP;
    if (!ca_target_read(machine->frame->target, machine->stack[machine->depth - 1], &value, size))
        return UNREADABLE;
    machine->stack[machine->depth - 1] = value;
    return NULL;
}

static bool is_constant(uint8_t atom)
{
    return atom >= DW_OP_const1u && atom <= DW_OP_consts;
}

static const char *push_register(struct machine *machine, const Dwarf_Op *op)
{
    uint64_t number = op->atom == DW_OP_bregx ? op->number : (uint64_t)op->atom - DW_OP_breg0;
    uint64_t offset = op->atom == DW_OP_bregx ? op->number2 : op->number, value;
    if (!reg(machine, number, &value))
        return OPTIMISED;
    return push(machine, value + offset) ? NULL : UNKNOWN_OP;
}

static const char *step(struct machine *machine, const Dwarf_Op *op)
{
    uint64_t value;
    const char *why = NULL;
    if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
        return push(machine, op->atom - DW_OP_lit0) ? NULL : UNKNOWN_OP;
    if (is_constant(op->atom))
        return push(machine, op->number) ? NULL : UNKNOWN_OP;
    if ((op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) || op->atom == DW_OP_bregx)
        return push_register(machine, op);
    if ((op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) || op->atom == DW_OP_regx) {
        machine->in_register = true;
        machine->reg =
            (unsigned)(op->atom == DW_OP_regx ? op->number : (uint64_t)op->atom - DW_OP_reg0);
        return NULL;
    }
    switch (op->atom) {
    case DW_OP_addr:
        return push(machine, op->number + machine->frame->bias) ? NULL : UNKNOWN_OP;
    case DW_OP_fbreg:
        why = frame_base(machine, &value);
        return why ? why : push(machine, value + op->number) ? NULL : UNKNOWN_OP;
    case DW_OP_call_frame_cfa:
        if (!machine->frame->has_cfa)
            return "the frame cannot be unwound";
        return push(machine, machine->frame->cfa) ? NULL : UNKNOWN_OP;
    case DW_OP_plus_uconst:
        if (!machine->depth)
            return UNKNOWN_OP;
        machine->stack[machine->depth - 1] += op->number;
        return NULL;
    case DW_OP_deref:
        return dereference(machine, 8);
    case DW_OP_deref_size:
        return dereference(machine, op->number);
    case DW_OP_dup:
        return machine->depth && push(machine, machine->stack[machine->depth - 1]) ? NULL
                                                                                   : UNKNOWN_OP;
    case DW_OP_stack_value:
        machine->is_value = true;
        return machine->depth ? NULL : UNKNOWN_OP;
    case DW_OP_nop:
        return NULL;
    case DW_OP_entry_value:
    case DW_OP_GNU_entry_value:
    case DW_OP_implicit_pointer:
    case DW_OP_GNU_implicit_pointer:
        return OPTIMISED;
    default:
        return binary(machine, op->atom);
    }
}

static const char *evaluate(struct machine *machine, const Dwarf_Op *ops, size_t count)
{
    if (count > STEPS)
        return UNKNOWN_OP;
    for (size_t i = 0; i < count; i++) {
        const char *why = step(machine, &ops[i]);
        if (why)
            return why;
    }
    return NULL;
}

/* What the machine stands at, size bytes of it (0: as many as there are), behind *ret. */
static const char *gather(struct machine *machine, size_t size, struct ca_whereabouts *ret)
{
    uint8_t *to = ret->bytes + ret->size;
    size_t room = sizeof(ret->bytes) - ret->size, want = size ? size : 8;
    uint64_t value;
    if (want > room)
        return UNKNOWN_OP;
    if (machine->in_register || machine->is_value) {
        if (want > 8)
            return OPTIMISED;
        if (machine->is_value)
            value = machine->stack[machine->depth - 1];
        else if (!reg(machine, machine->reg, &value))
            return OPTIMISED;
        memcpy(to, &value, want);
    } else if (!machine->depth) {
        return OPTIMISED;
    } else if (!ca_target_read(machine->frame->target, machine->stack[machine->depth - 1], to,
                               want)) {
        return UNREADABLE;
    }
    ret->size += want;
    return NULL;
}

/* Several pieces, each with its own place. */
static const char *pieces(const struct ca_local_frame *frame, const Dwarf_Op *ops, size_t count,
                          struct ca_whereabouts *ret)
{
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].atom != DW_OP_piece)
            continue;
        struct machine machine = {.frame = frame};
        const char *why = evaluate(&machine, ops + first, i - first);
        if (!why && i == first)
            why = OPTIMISED;
        if (!why && ops[i].number > sizeof(ret->bytes))
            why = UNKNOWN_OP;
        if (!why && ops[i].number)
            why = gather(&machine, ops[i].number, ret);
        if (why)
            return why;
        first = i + 1;
    }
    return NULL;
}

static const char *one_place(const struct ca_local_frame *frame, Dwarf_Attribute *attr,
                             const Dwarf_Op *ops, size_t count, struct ca_whereabouts *ret)
{
    struct machine machine = {.frame = frame};
    if (ops[0].atom == DW_OP_implicit_value) {
        Dwarf_Block block;
        if (dwarf_getlocation_implicit_value(attr, &ops[0], &block) ||
            block.length > sizeof(ret->bytes))
            return UNKNOWN_OP;
        memcpy(ret->bytes, block.data, block.length);
        ret->size = block.length;
        return NULL;
    }
    const char *why = evaluate(&machine, ops, count);
    if (why)
        return why;
    if (machine.in_register || machine.is_value)
        return gather(&machine, 8, ret);
    if (!machine.depth)
        return OPTIMISED;
    ret->memory = true;
    ret->address = machine.stack[machine.depth - 1];
    return NULL;
}

static const char *constant(Dwarf_Die *variable, struct ca_whereabouts *ret)
{
    Dwarf_Attribute attr;
    /* gcc and clang give DW_FORM_data1 and its kin to what is not negative only. */
    Dwarf_Word value;
    if (!dwarf_attr_integrate(variable, DW_AT_const_value, &attr) || dwarf_formudata(&attr, &value))
        return OPTIMISED;
    memcpy(ret->bytes, &value, 8);
    ret->size = 8;
    return NULL;
}

static const char *place_at(const struct ca_local_frame *frame, Dwarf_Attribute *attr, uint64_t pc,
                            struct ca_whereabouts *ret)
{
    Dwarf_Op own[OPERATIONS], *ops;
    size_t count;
    memset(ret, 0, sizeof(*ret));
    if (!ca_expression_at(attr, pc - frame->bias, own, OPERATIONS, &ops, &count))
        return NOWHERE;
    for (size_t i = 0; i < count && i < STEPS; i++)
        if (ops[i].atom == DW_OP_piece)
            return pieces(frame, ops, count, ret);
    return one_place(frame, attr, ops, count, ret);
}

const char *ca_whereabouts_find(const struct ca_local_frame *frame, Dwarf_Die *variable,
                                struct ca_whereabouts *ret)
{
    Dwarf_Attribute attr;
    memset(ret, 0, sizeof(*ret));
    if (!dwarf_attr(variable, DW_AT_location, &attr))
        return constant(variable, ret);
    const char *why = place_at(frame, &attr, frame->pc, ret);
    if (why == NOWHERE)
        return OPTIMISED;
    if (why != OPTIMISED || !frame->called)
        return why;
    /* It was in a register that the call does not keep. Where it is to be found once the call has
     * returned, it has been put before: Go spills arguments so. */
    return place_at(frame, &attr, frame->pc + 1, ret) ? OPTIMISED : NULL;
}
