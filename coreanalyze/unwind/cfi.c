#include "unwind/cfi.h"

#include <dwarf.h>
#include <elf.h>
#include <string.h>

enum {
    RULE_SAME,
    RULE_UNDEFINED,
    RULE_AT,   /* saved at cfa + offset */
    RULE_IS,   /* its value is cfa + offset */
    RULE_EXPR, /* an expression of libdw */
};

struct rule {
    uint8_t kind;
    bool value; /* RULE_EXPR: the expression's result is the value, not its address */
    int64_t offset;
    const Dwarf_Op *ops;
    size_t count;
};

struct ca_cfi_row {
    Dwarf_Frame *frame; /* NULL: no CFI here */
    bool simple;        /* the cfa is register + offset */
    uint8_t cfa_register;
    int64_t cfa_offset;
    const Dwarf_Op *cfa_ops;
    size_t cfa_count;
    bool signal, outermost;
    uint8_t return_column;
    struct rule rules[CA_REGS_MAX];
    /* What nearly all rows are, in the form in which stepping is a few additions: some registers
     * keep their values, some are at or are the cfa + offset, and of the others nothing is known.
     */
    bool plain;
    uint8_t moved_count;
    uint64_t kept;
    struct {
        uint8_t number;
        bool value; /* else what is in memory there */
        int64_t offset;
    } moved[CA_REGS_MAX];
};

struct roles {
    uint8_t pc, sp, fp;
};

static struct roles roles_of(enum ca_arch arch)
{
    return arch == CA_ARCH_ARM64 ? (struct roles){32, 31, 29} : (struct roles){16, 7, 6};
}

static unsigned register_count(enum ca_arch arch)
{
    return arch == CA_ARCH_ARM64 ? 32 : 16;
}

void ca_cfi_init(struct ca_cfi *cfi, struct ca_modules *modules)
{
    memset(cfi, 0, sizeof(*cfi));
    cfi->modules = modules;
    cfi->target = modules->target;
}

void ca_cfi_deinit(struct ca_cfi *cfi)
{
    for (size_t i = 0; i < cfi->list.len; i++) {
        free(cfi->list.data[i]->frame);
        free(cfi->list.data[i]);
    }
    ca_vec_deinit(&cfi->list);
    ca_map_deinit(&cfi->rows);
}

/* ---- what the CFI says of a pc --------------------------------------------------------------- */

/* libdw writes "cfa + offset" as call_frame_cfa, plus_uconst (or nothing, for 0). */
static bool from_cfa(const Dwarf_Op *ops, size_t count, int64_t *offset, bool *value)
{
    *offset = 0;
    *value = count > 1 && ops[count - 1].atom == DW_OP_stack_value;
    size_t n = count - *value;
    if (!n || ops[0].atom != DW_OP_call_frame_cfa)
        return false;
    if (n == 2 && ops[1].atom == DW_OP_plus_uconst)
        *offset = (int64_t)ops[1].number;
    return n == 1 || (n == 2 && ops[1].atom == DW_OP_plus_uconst);
}

/* Of what a function's CFI does not mention libdw tells by its own table of what the ABI keeps, and
 * that has rax (0) where it says rbx (elfutils 0.188, backends/x86_64_cfi.c). */
static void mend_defaults(enum ca_arch arch, struct ca_cfi_row *row)
{
    enum { RAX = 0, RBX = 3 };
    if (arch != CA_ARCH_AMD64)
        return;
    if (row->rules[RBX].kind == RULE_UNDEFINED)
        row->rules[RBX].kind = RULE_SAME;
    if (row->rules[RAX].kind == RULE_SAME && !row->signal)
        row->rules[RAX].kind = RULE_UNDEFINED;
}

static struct rule read_rule(Dwarf_Frame *frame, unsigned number)
{
    struct rule rule = {.kind = RULE_SAME};
    Dwarf_Op memory[3], *ops;
    size_t count;
    if (dwarf_frame_register(frame, (int)number, memory, &ops, &count) != 0) {
        rule.kind = RULE_UNDEFINED;
        return rule;
    }
    if (!count) {
        rule.kind = ops ? RULE_UNDEFINED : RULE_SAME;
        return rule;
    }
    if (from_cfa(ops, count, &rule.offset, &rule.value)) {
        rule.kind = rule.value ? RULE_IS : RULE_AT;
    } else if (ops < memory || ops >= memory + 3) {
        rule.kind = RULE_EXPR;
        rule.value = ops[count - 1].atom == DW_OP_stack_value;
        rule.ops = ops;
        rule.count = count - rule.value;
    } else if (count == 1 && ops[0].atom == DW_OP_regx) {
        rule.kind = RULE_UNDEFINED; /* in another register: nothing that we meet does this */
    } else {
        rule.kind = RULE_UNDEFINED;
    }
    return rule;
}

static void read_cfa(struct ca_cfi_row *row)
{
    Dwarf_Op *ops;
    size_t count;
    if (dwarf_frame_cfa(row->frame, &ops, &count) != 0 || !count) {
        row->outermost = true;
        return;
    }
    row->cfa_ops = ops;
    row->cfa_count = count;
    if (count == 1 && ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
        row->simple = true;
        row->cfa_register = (uint8_t)(ops[0].atom - DW_OP_breg0);
        row->cfa_offset = (int64_t)ops[0].number;
    } else if (count == 1 && ops[0].atom == DW_OP_bregx && ops[0].number < CA_REGS_MAX) {
        row->simple = true;
        row->cfa_register = (uint8_t)ops[0].number;
        row->cfa_offset = (int64_t)ops[0].number2;
    }
}

static Dwarf_Frame *find_frame(struct ca_cfi *cfi, uint64_t pc)
{
    struct ca_module *module = ca_modules_at(cfi->modules, pc);
    Dwfl_Module *dwfl = module ? ca_module_dwfl(cfi->modules, module) : NULL;
    Dwarf_Frame *frame = NULL;
    Dwarf_Addr bias;
    if (!dwfl)
        return NULL;
    Dwarf_CFI *table = dwfl_module_eh_cfi(dwfl, &bias);
    if (table && dwarf_cfi_addrframe(table, pc - bias, &frame) == 0)
        return frame;
    ca_module_debug(cfi->modules, module);
    table = dwfl_module_dwarf_cfi(dwfl, &bias);
    if (table && dwarf_cfi_addrframe(table, pc - bias, &frame) == 0)
        return frame;
    return NULL;
}

static void find_plain(struct ca_cfi_row *row, unsigned count)
{
    row->plain = row->simple && !row->outermost;
    for (unsigned i = 0; i < CA_REGS_MAX && row->plain; i++) {
        const struct rule *rule = &row->rules[i];
        if (i >= count && i != row->return_column)
            continue;
        if (rule->kind == RULE_SAME) {
            row->kept |= 1ull << i;
        } else if (rule->kind == RULE_AT || rule->kind == RULE_IS) {
            row->moved[row->moved_count].number = (uint8_t)i;
            row->moved[row->moved_count].value = rule->kind == RULE_IS;
            row->moved[row->moved_count++].offset = rule->offset;
        } else if (rule->kind != RULE_UNDEFINED) {
            row->plain = false;
        }
    }
}

static const struct ca_cfi_row *row_at(struct ca_cfi *cfi, uint64_t pc)
{
    bool fresh;
    uint64_t *slot = ca_map_put(&cfi->rows, pc, &fresh);
    if (!slot)
        return NULL;
    if (!fresh)
        return *slot ? cfi->list.data[*slot - 1] : NULL;
    Dwarf_Frame *frame = find_frame(cfi, pc);
    if (!frame)
        return NULL;
    struct ca_cfi_row *row = calloc(1, sizeof(*row));
    if (!row || !ca_vec_push(&cfi->list, row)) {
        free(row);
        free(frame);
        return NULL;
    }
    row->frame = frame;
    int column = dwarf_frame_info(frame, NULL, NULL, &row->signal);
    unsigned count = register_count(cfi->target->arch);
    row->return_column = column >= 0 && column < CA_REGS_MAX ? (uint8_t)column : 0xff;
    read_cfa(row);
    for (unsigned i = 0; i < count; i++)
        row->rules[i] = read_rule(frame, i);
    mend_defaults(cfi->target->arch, row);
    if (row->return_column >= count && row->return_column < CA_REGS_MAX)
        row->rules[row->return_column] = read_rule(frame, row->return_column);
    row->outermost = row->outermost || row->return_column == 0xff ||
                     row->rules[row->return_column].kind == RULE_UNDEFINED;
    find_plain(row, count);
    *slot = cfi->list.len;
    return row;
}

/* ---- expressions (PLT entries, signal frames, realigned stacks) ------------------------------ */

struct machine {
    struct ca_cfi *cfi;
    const struct ca_regs *regs;
    const struct ca_stack_copy *copy;
};

static bool read_word(const struct machine *m, uint64_t address, uint64_t *ret)
{
    const struct ca_stack_copy *copy = m->copy;
    if (copy && copy->high > copy->low && address >= copy->low && address < copy->high)
        address = address - copy->low + copy->copy;
    const uint8_t *near = ca_target_near(m->cfi->target, address, 8);
    if (!near)
        return ca_target_read_u64(m->cfi->target, address, ret);
    memcpy(ret, near, 8);
    return true;
}

static bool binary(unsigned atom, uint64_t a, uint64_t b, uint64_t *ret)
{
    switch (atom) {
    case DW_OP_plus:
        *ret = a + b;
        return true;
    case DW_OP_minus:
        *ret = a - b;
        return true;
    case DW_OP_and:
        *ret = a & b;
        return true;
    case DW_OP_or:
        *ret = a | b;
        return true;
    case DW_OP_mul:
        *ret = a * b;
        return true;
    case DW_OP_shl:
        *ret = b < 64 ? a << b : 0;
        return true;
    case DW_OP_shr:
        *ret = b < 64 ? a >> b : 0;
        return true;
    case DW_OP_ge:
        *ret = (int64_t)a >= (int64_t)b;
        return true;
    case DW_OP_gt:
        *ret = (int64_t)a > (int64_t)b;
        return true;
    case DW_OP_le:
        *ret = (int64_t)a <= (int64_t)b;
        return true;
    case DW_OP_lt:
        *ret = (int64_t)a < (int64_t)b;
        return true;
    case DW_OP_eq:
        *ret = a == b;
        return true;
    case DW_OP_ne:
        *ret = a != b;
        return true;
    }
    return false;
}

static bool constant(const Dwarf_Op *op, uint64_t *ret)
{
    if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
        *ret = op->atom - DW_OP_lit0;
        return true;
    }
    *ret = op->number;
    switch (op->atom) {
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_const2u:
    case DW_OP_const2s:
    case DW_OP_const4u:
    case DW_OP_const4s:
    case DW_OP_const8u:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
        return true;
    }
    return false;
}

static bool register_plus(const struct machine *m, const Dwarf_Op *op, uint64_t *ret)
{
    uint64_t number, offset;
    if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
        number = op->atom - DW_OP_breg0;
        offset = op->number;
    } else if (op->atom == DW_OP_bregx) {
        number = op->number;
        offset = op->number2;
    } else {
        return false;
    }
    if (number >= CA_REGS_MAX || !(m->regs->known >> number & 1))
        return false;
    *ret = m->regs->value[number] + offset;
    return true;
}

static bool evaluate(const struct machine *m, const Dwarf_Op *ops, size_t count, bool has_cfa,
                     uint64_t cfa, uint64_t *ret)
{
    uint64_t stack[16], value;
    unsigned depth = 0;
    for (size_t i = 0; i < count && i < 64; i++) {
        const Dwarf_Op *op = &ops[i];
        if (register_plus(m, op, &value) || constant(op, &value)) {
            ;
        } else if (op->atom == DW_OP_call_frame_cfa && has_cfa) {
            value = cfa;
        } else if (op->atom == DW_OP_dup && depth) {
            value = stack[depth - 1];
        } else if (op->atom == DW_OP_plus_uconst && depth) {
            value = stack[--depth] + op->number;
        } else if (op->atom == DW_OP_deref && depth) {
            if (!read_word(m, stack[--depth], &value))
                return false;
        } else if (depth >= 2 && binary(op->atom, stack[depth - 2], stack[depth - 1], &value)) {
            depth -= 2;
        } else {
            return false;
        }
        if (depth == sizeof(stack) / sizeof(*stack))
            return false;
        stack[depth++] = value;
    }
    if (!depth)
        return false;
    *ret = stack[depth - 1];
    return true;
}

/* ---- stepping ------------------------------------------------------------------------------- */

static bool cfa_of(const struct machine *m, const struct ca_cfi_row *row, uint64_t *ret)
{
    if (!row->simple)
        return evaluate(m, row->cfa_ops, row->cfa_count, false, 0, ret);
    if (!(m->regs->known >> row->cfa_register & 1))
        return false;
    *ret = m->regs->value[row->cfa_register] + (uint64_t)row->cfa_offset;
    return true;
}

static void apply(const struct machine *m, const struct rule *rule, unsigned number, uint64_t cfa,
                  struct ca_regs *next)
{
    uint64_t value = 0;
    bool known = false;
    switch (rule->kind) {
    case RULE_SAME:
        known = m->regs->known >> number & 1;
        value = m->regs->value[number];
        break;
    case RULE_AT:
        known = read_word(m, cfa + (uint64_t)rule->offset, &value);
        break;
    case RULE_IS:
        known = true;
        value = cfa + (uint64_t)rule->offset;
        break;
    case RULE_EXPR:
        known = evaluate(m, rule->ops, rule->count, true, cfa, &value) &&
                (rule->value || read_word(m, value, &value));
        break;
    }
    next->value[number] = value;
    if (known)
        next->known |= 1ull << number;
}

static void apply_all(const struct machine *m, const struct ca_cfi_row *row, uint64_t cfa,
                      struct ca_regs *next)
{
    unsigned count = register_count(m->cfi->target->arch);
    memset(next, 0, sizeof(*next));
    for (unsigned i = 0; i < count; i++)
        apply(m, &row->rules[i], i, cfa, next);
    if (row->return_column >= count)
        apply(m, &row->rules[row->return_column], row->return_column, cfa, next);
}

static void apply_plain(const struct machine *m, const struct ca_cfi_row *row, uint64_t cfa,
                        struct ca_regs *next)
{
    unsigned all = m->cfi->target->arch == CA_ARCH_ARM64 ? CA_REGS_MAX : 17;
    memcpy(next->value, m->regs->value, all * sizeof(*next->value));
    next->known = m->regs->known & row->kept;
    for (unsigned i = 0; i < row->moved_count; i++) {
        unsigned number = row->moved[i].number;
        uint64_t value = cfa + (uint64_t)row->moved[i].offset;
        if (!row->moved[i].value && !read_word(m, value, &value))
            continue;
        next->value[number] = value;
        next->known |= 1ull << number;
    }
}

enum step { STEP_OK, STEP_END, STEP_FAULT };

static enum step by_cfi(const struct machine *m, const struct ca_cfi_row *row, struct ca_regs *next,
                        const char **why)
{
    struct roles roles = roles_of(m->cfi->target->arch);
    uint64_t cfa;
    if (row->outermost)
        return STEP_END;
    if (!cfa_of(m, row, &cfa)) {
        *why = "a register that the unwinder needs is not known";
        return STEP_FAULT;
    }
    (row->plain ? apply_plain : apply_all)(m, row, cfa, next);
    uint8_t column = row->return_column;
    bool pc_known = next->known >> column & 1;
    next->value[roles.pc] = next->value[column];
    if (pc_known)
        next->known |= 1ull << roles.pc;
    /* On amd64 and arm64 the caller's sp is the CFA, unless a rule says otherwise. */
    if (row->rules[roles.sp].kind == RULE_SAME || row->rules[roles.sp].kind == RULE_UNDEFINED) {
        next->value[roles.sp] = cfa;
        next->known |= 1ull << roles.sp;
    }
    if (!pc_known) {
        *why = "a return address is not in memory";
        return STEP_FAULT;
    }
    return STEP_OK;
}

static bool is_code(struct ca_cfi *cfi, uint64_t pc)
{
    return ca_modules_is_code(cfi->modules, pc);
}

/* Code without CFI: push rbp; mov rsp, rbp; and the like on arm64. */
static enum step by_frame_pointer(const struct machine *m, struct ca_regs *next, const char **why)
{
    struct roles roles = roles_of(m->cfi->target->arch);
    uint64_t fp = m->regs->value[roles.fp], sp = m->regs->value[roles.sp], caller, pc;
    *why = "code without call frame information";
    if (!(m->regs->known >> roles.fp & 1) || fp < sp || fp - sp > (1u << 20) || fp % 8 ||
        !read_word(m, fp, &caller) || !read_word(m, fp + 8, &pc) || !is_code(m->cfi, pc))
        return STEP_FAULT;
    *why = NULL;
    memset(next, 0, sizeof(*next));
    next->value[roles.fp] = caller;
    next->value[roles.sp] = fp + 16;
    next->value[roles.pc] = pc;
    next->known = 1ull << roles.fp | 1ull << roles.sp | 1ull << roles.pc;
    return STEP_OK;
}

static enum step step(struct ca_cfi *cfi, const struct ca_cfi_row *row, const struct ca_regs *regs,
                      bool *exact, const struct ca_stack_copy *copy, struct ca_regs *next,
                      const char **why)
{
    struct roles roles = roles_of(cfi->target->arch);
    struct machine machine = {cfi, regs, copy};
    *why = NULL;
    enum step ret = row ? by_cfi(&machine, row, next, why) : by_frame_pointer(&machine, next, why);
    *exact = row && row->signal;
    if (ret != STEP_OK)
        return ret;
    /* Where a stack was made by hand, its last return address is 0. */
    if (!next->value[roles.pc])
        return STEP_END;
    if (next->value[roles.sp] <= regs->value[roles.sp] && !*exact) {
        *why = "the stack pointer does not advance";
        return STEP_FAULT;
    }
    return STEP_OK;
}

static bool is_known(const struct ca_regs *regs, unsigned number)
{
    return regs->known >> number & 1;
}

/* A hundred thousand tasks have a few hundred return addresses. */
static const struct ca_cfi_place *place_at(struct ca_cfi *cfi, uint64_t pc, bool exact)
{
    struct ca_cfi_place *place = &cfi->places[ca_hash_u64(pc * 2 + exact) % CA_CFI_PLACES];
    if (place->seen && place->pc == pc && place->exact == exact)
        return place;
    *place =
        (struct ca_cfi_place){.seen = true, .pc = pc, .exact = exact, .code = is_code(cfi, pc)};
    if (place->code)
        place->row = row_at(cfi, exact ? pc : pc - 1);
    return place;
}

static bool can_start(const struct ca_cfi *cfi, const struct ca_regs *regs)
{
    struct roles roles = roles_of(cfi->target->arch);
    return is_known(regs, roles.pc) && is_known(regs, roles.sp);
}

uint32_t ca_cfi_unwind(struct ca_cfi *cfi, const struct ca_regs *regs, bool exact,
                       const struct ca_stack_copy *copy, struct ca_raw_frame *frames, uint32_t max,
                       const char **why)
{
    struct roles roles = roles_of(cfi->target->arch);
    struct ca_regs both[2], *now = both, *next = both + 1;
    const struct ca_cfi_place *place = NULL;
    uint32_t count = 0;
    *why = NULL;
    if (is_known(regs, roles.pc))
        place = place_at(cfi, regs->value[roles.pc], exact);
    if (!place || !place->code) {
        *why = "its saved pc is not in code";
        return 0;
    }
    if (!is_known(regs, roles.sp)) { /* a coroutine without a stack */
        frames[0] = (struct ca_raw_frame){.pc = regs->value[roles.pc], .exact = exact};
        return max ? 1 : 0;
    }
    for (*now = *regs; count < max;) {
        frames[count++] = (struct ca_raw_frame){now->value[roles.pc], now->value[roles.sp], exact};
        if (step(cfi, place->row, now, &exact, copy, next, why) != STEP_OK)
            return count;
        place = place_at(cfi, next->value[roles.pc], exact);
        if (!place->code) {
            *why = "a return address leads outside of code";
            return count;
        }
        struct ca_regs *swap = now;
        now = next;
        next = swap;
    }
    *why = "the stack is deeper than what is shown";
    return count;
}

bool ca_cfi_registers(struct ca_cfi *cfi, const struct ca_regs *regs, bool exact,
                      const struct ca_stack_copy *copy, uint32_t index, struct ca_regs *ret)
{
    struct ca_regs next;
    const char *why;
    *ret = *regs;
    if (!can_start(cfi, regs))
        return false;
    for (uint32_t i = 0; i < index; i++) {
        uint64_t pc = ret->value[roles_of(cfi->target->arch).pc];
        const struct ca_cfi_row *row = row_at(cfi, exact ? pc : pc - 1);
        if (step(cfi, row, ret, &exact, copy, &next, &why) != STEP_OK)
            return false;
        *ret = next;
    }
    return true;
}
