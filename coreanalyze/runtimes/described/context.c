#include "runtimes/described/context.h"

#include <elf.h>
#include <string.h>

#include "runtimes/described/mangle.h"
#include "runtimes/described/parse.h"

enum { NO_REGISTER = 0xff };

/* ---- names -------------------------------------------------------------------------------- */

uint8_t ca_register_number(enum ca_arch arch, const char *name)
{
    static const char *const amd64[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
                                        "rbp", "rsp", "r8",  "r9",  "r10", "r11",
                                        "r12", "r13", "r14", "r15", "rip"};
    bool arm = arch == CA_ARCH_ARM64;
    if (strcmp(name, "pc") == 0)
        return arm ? 32 : 16;
    if (strcmp(name, "sp") == 0)
        return arm ? 31 : 7;
    if (strcmp(name, "fp") == 0)
        return arm ? 29 : 6;
    if (strcmp(name, "lr") == 0)
        return arm ? 30 : NO_REGISTER;
    if (!arm) {
        for (uint8_t i = 0; i < sizeof(amd64) / sizeof(*amd64); i++)
            if (strcmp(name, amd64[i]) == 0)
                return i;
        return NO_REGISTER;
    }
    char *end;
    unsigned long number = name[0] == 'x' && name[1] ? strtoul(name + 1, &end, 10) : 99;
    return number <= 30 && !*end ? (uint8_t)number : NO_REGISTER;
}

/* ---- reading the description ---------------------------------------------------------------- */

static struct ca_error *register_of(const struct ca_node *node, const char *name, enum ca_arch arch,
                                    uint8_t *ret)
{
    *ret = ca_register_number(arch, name);
    if (*ret != NO_REGISTER)
        return NULL;
    return ca_error_create(CA_ERROR_FORMAT, "line %u: \"%.20s\" is no register of %s", node->line,
                           name, arch == CA_ARCH_ARM64 ? "arm64" : "amd64");
}

static struct ca_error *parse_pushed(const struct ca_node *node, enum ca_arch arch,
                                     struct ca_context_form *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_SEQUENCE);
    ret->kind = CA_CONTEXT_PUSHED;
    for (const struct ca_node *item = node->child; !error && item; item = item->next) {
        uint8_t number = NO_REGISTER;
        error = ca_parse_kind(item, CA_NODE_SCALAR);
        if (!error && strcmp(item->text, "skip") != 0)
            error = register_of(item, item->text, arch, &number);
        if (!error && ret->pushed_count == sizeof(ret->pushed))
            error = ca_error_create(CA_ERROR_FORMAT, "line %u: too many registers", item->line);
        if (!error)
            ret->pushed[ret->pushed_count++] = number;
    }
    return error;
}

static struct ca_error *parse_registers(struct ca_arena *arena, const struct ca_node *node,
                                        enum ca_arch arch, struct ca_context_form *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    struct ca_register_path **end = &ret->registers;
    if (!ret->kind)
        ret->kind = CA_CONTEXT_REGISTERS;
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        struct ca_register_path *path = ca_arena_alloc(arena, sizeof(*path));
        if (!path)
            return &ca_error_nomem;
        *end = path;
        end = &path->next;
        error = register_of(key, key->key, arch, &path->number);
        if (!error)
            error = ca_parse_expr(arena, key, &path->path);
    }
    return error;
}

struct ca_error *ca_parse_context(struct ca_arena *arena, const struct ca_node *node,
                                  enum ca_arch arch, struct ca_context_form *ret)
{
    struct ca_error *error = ca_parse_kind(node, CA_NODE_MAP);
    ret->line = node->line;
    for (const struct ca_node *key = node->child; !error && key; key = key->next) {
        if (ca_parse_is(key, "amd64") || ca_parse_is(key, "arm64")) {
            if (strcmp(key->key, arch == CA_ARCH_ARM64 ? "arm64" : "amd64") == 0)
                error = ca_parse_context(arena, key, arch, ret);
        } else if (ca_parse_is(key, "jmp_buf") || ca_parse_is(key, "ucontext")) {
            ret->kind = key->key[0] == 'j' ? CA_CONTEXT_JMP_BUF : CA_CONTEXT_UCONTEXT;
            error = ca_parse_expr(arena, key, &ret->base);
        } else if (ca_parse_is(key, "mangled")) {
            error = ca_parse_bool(key, &ret->mangled);
        } else if (ca_parse_is(key, "at")) {
            error = ca_parse_expr(arena, key, &ret->base);
        } else if (ca_parse_is(key, "pushed")) {
            error = parse_pushed(key, arch, ret);
        } else if (ca_parse_is(key, "registers")) {
            error = parse_registers(arena, key, arch, ret);
        } else {
            error = ca_parse_unknown(key, "context");
        }
    }
    if (!error && ret->kind == CA_CONTEXT_PUSHED && !ret->base.text)
        error =
            ca_error_create(CA_ERROR_FORMAT, "line %u: context: pushed needs \"at\"", node->line);
    return error;
}

struct ca_expr *ca_context_bind(struct ca_context_form *form, struct ca_binder *binder)
{
    if (form->base.text && !ca_expr_bind(binder, &form->base))
        return &form->base;
    for (struct ca_register_path *path = form->registers; path; path = path->next)
        if (!ca_expr_bind(binder, &path->path))
            return &path->path;
    return NULL;
}

/* ---- reading the target --------------------------------------------------------------------- */

static void set(struct ca_regs *regs, unsigned number, uint64_t value)
{
    if (number >= CA_REGS_MAX)
        return;
    regs->value[number] = value;
    regs->known |= 1ull << number;
}

static bool jmp_buf_registers(const struct ca_context_form *form, struct ca_target *target,
                              uint64_t base, struct ca_regs *ret, const char **why)
{
    /* glibc's slots: sysdeps/x86_64/jmpbuf-offsets.h, sysdeps/aarch64/jmpbuf-offsets.h */
    static const uint8_t amd64[] = {3, 6, 12, 13, 14, 15, 7, 16};
    static const uint8_t arm64[] = {19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 32, 255, 31};
    bool arm = target->arch == CA_ARCH_ARM64;
    const uint8_t *slots = arm ? arm64 : amd64;
    size_t count = arm ? sizeof(arm64) : sizeof(amd64);
    uint64_t words[14];
    if (!ca_target_read(target, base, words, count * 8)) {
        *why = "its saved registers are not in memory";
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool mangled = form->mangled && (slots[i] == (arm ? 32 : 16) ||
                                         slots[i] == (arm ? 31 : 7) || (!arm && slots[i] == 6));
        if (mangled && !ca_pointer_demangle(target, &words[i])) {
            *why = "the secret that its saved registers are mangled with is not known";
            return false;
        }
        set(ret, slots[i], words[i]);
    }
    return true;
}

static bool ucontext_registers(struct ca_target *target, uint64_t base, struct ca_regs *ret,
                               const char **why)
{
    /* sys/ucontext.h: gregs at 40, and regs, sp, pc at 184. */
    static const uint8_t amd64[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};
    bool arm = target->arch == CA_ARCH_ARM64;
    uint64_t words[33];
    size_t count = arm ? 33 : sizeof(amd64);
    if (!ca_target_read(target, base + (arm ? 184 : 40), words, count * 8)) {
        *why = "its saved registers are not in memory";
        return false;
    }
    for (size_t i = 0; i < count; i++)
        set(ret, arm ? (unsigned)i : amd64[i], words[i]);
    return true;
}

static bool pushed_registers(const struct ca_context_form *form, struct ca_target *target,
                             uint64_t base, struct ca_regs *ret, const char **why)
{
    uint64_t words[sizeof(form->pushed)];
    if (!ca_target_read(target, base, words, form->pushed_count * 8)) {
        *why = "its saved registers are not in memory";
        return false;
    }
    for (unsigned i = 0; i < form->pushed_count; i++)
        if (form->pushed[i] != NO_REGISTER)
            set(ret, form->pushed[i], words[i]);
    set(ret, ca_register_number(target->arch, "sp"), base + form->pushed_count * 8);
    return true;
}

bool ca_context_registers(const struct ca_context_form *form, const struct ca_scope *scope,
                          struct ca_regs *ret, const char **why)
{
    struct ca_target *target = scope->target;
    uint64_t base = 0;
    bool ok = true;
    memset(ret, 0, sizeof(*ret));
    if (form->base.text && (!ca_expr_value(&form->base, scope, &base) || !base)) {
        *why = "it has no saved registers";
        return false;
    }
    switch (form->kind) {
    case CA_CONTEXT_NONE:
        *why = "the description says nothing of saved registers on this architecture";
        return false;
    case CA_CONTEXT_JMP_BUF:
        ok = jmp_buf_registers(form, target, base, ret, why);
        break;
    case CA_CONTEXT_UCONTEXT:
        ok = ucontext_registers(target, base, ret, why);
        break;
    case CA_CONTEXT_PUSHED:
        ok = pushed_registers(form, target, base, ret, why);
        break;
    case CA_CONTEXT_REGISTERS:
        break;
    }
    for (const struct ca_register_path *path = form->registers; ok && path; path = path->next) {
        uint64_t value;
        if (ca_expr_value(&path->path, scope, &value)) {
            set(ret, path->number, value);
        } else {
            *why = "a path to a saved register led nowhere";
            ok = false;
        }
    }
    return ok;
}
