/* Who a task is: identity, entry, creation site, stack. */
#include <elf.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "runtimes/described/context.h"
#include "runtimes/described/described.h"

enum { BACKTRACE = 32, STACK_END = 256 };

void ca_described_identify(struct ca_described *self, struct ca_tasks *tasks, struct ca_task *task,
                           const struct ca_scope *scope)
{
    const struct ca_description *d = &self->description;
    uint64_t value;
    int64_t since;
    if (d->id.bound && ca_expr_value(&d->id, scope, &value))
        task->number = value;
    if (d->task_name.bound) {
        task->name = ca_expr_string(&d->task_name, scope, &tasks->strings);
        if (task->name && !*task->name)
            task->name = NULL;
    }
    /* A point in time until the age is worked out, at the end. */
    if (d->since.bound && task->state == CA_STATE_WAITING &&
        ca_described_time(self, &d->since, scope, &since)) {
        task->since_ns = since;
        if (self->latest == CA_UNKNOWN || since > self->latest)
            self->latest = since;
    }
    if (d->stack_low.bound)
        ca_expr_value(&d->stack_low, scope, &task->stack_low);
    if (d->stack_high.bound)
        ca_expr_value(&d->stack_high, scope, &task->stack_high);
    if (d->stack_size.bound && ca_expr_value(&d->stack_size, scope, &value)) {
        if (!d->stack_high.bound && task->stack_low)
            task->stack_high = task->stack_low + value;
        else if (!d->stack_low.bound && task->stack_high)
            task->stack_low = task->stack_high - value;
    }
    if (task->stack_low >= task->stack_high) {
        self->tally.inverted += task->stack_low && task->stack_high;
        task->stack_low = task->stack_high = 0;
    }
}

static bool is_text(struct ca_described *self, const struct ca_expr *expr)
{
    const struct ca_ctype *type = expr->type;
    if (!type || (type->kind != CA_CTYPE_ARRAY && type->kind != CA_CTYPE_POINTER))
        return false;
    const struct ca_ctype *target = ca_types_target(&self->types, type);
    return target && target->is_char;
}

void ca_described_labels(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                         const struct ca_scope *scope)
{
    for (struct ca_label_path *l = self->description.labels; l; l = l->next) {
        const char *text = NULL;
        uint64_t value;
        if (l->path.string || (l->path.bound && is_text(self, &l->path)))
            text = ca_expr_string(&l->path, scope, &tasks->strings);
        else if (ca_expr_value(&l->path, scope, &value)) {
            const struct ca_ctype *type = l->path.type;
            if (type && type->kind == CA_CTYPE_ENUM)
                text = ca_types_enum_name(&self->types, type, value);
            if (!text)
                text = ca_strings_printf(&tasks->strings, "%" PRId64, (int64_t)value);
            else
                text = ca_strings_intern(&tasks->strings, text, strlen(text));
        }
        const char *key = text ? ca_strings_intern(&tasks->strings, l->key, strlen(l->key)) : NULL;
        if (key && !ca_vec_push(&tasks->labels, (struct ca_label){index, key, text}))
            self->nomem = true;
    }
}

/* ---- sites --------------------------------------------------------------------------------- */

uint32_t ca_described_site(struct ca_described *self, struct ca_tasks *tasks, uint64_t pc,
                           bool exact)
{
    bool fresh;
    uint64_t *slot = ca_map_put(&self->sites, pc * 2 + exact, &fresh);
    if (!slot)
        return CA_NONE;
    if (!fresh)
        return *slot ? (uint32_t)*slot - 1 : CA_NONE;
    const struct ca_line *lines;
    struct ca_site site = {.pc = pc};
    size_t count = ca_lines_at(&self->lines, &tasks->strings, exact ? pc : pc - 1, &lines);
    /* The first that is the user's; where all are the runtime's, the function itself. */
    for (size_t i = 0; i < count; i++) {
        site.function = lines[i].function;
        site.file = lines[i].line ? lines[i].file : NULL;
        site.line = lines[i].line;
        if (!ca_described_own(self, pc, lines[i].function, lines[i].file))
            break;
    }
    uint32_t index = ca_tasks_site(tasks, &site);
    *slot = index == CA_NONE ? 0 : index + 1;
    return index;
}

/* "file:line" */
static uint32_t site_of_text(struct ca_tasks *tasks, const char *text)
{
    const char *colon = strrchr(text, ':');
    struct ca_site site = {0};
    char *end = NULL;
    unsigned long line = colon ? strtoul(colon + 1, &end, 10) : 0;
    bool has_line = colon && end != colon + 1 && !*end && line <= UINT32_MAX;
    size_t size = has_line ? (size_t)(colon - text) : strlen(text);
    site.file = ca_strings_intern(&tasks->strings, text, size);
    site.line = has_line ? (uint32_t)line : 0;
    return site.file ? ca_tasks_site(tasks, &site) : CA_NONE;
}

/* A file, a line (a number or text) and a function, each where it is known. */
static uint32_t site_of_parts(struct ca_described *self, struct ca_tasks *tasks,
                              const struct ca_scope *scope)
{
    const struct ca_description *d = &self->description;
    struct ca_site site = {0};
    uint64_t line;
    if (d->created_file.bound)
        site.file = ca_expr_string(&d->created_file, scope, &tasks->strings);
    if (d->created_function.bound)
        site.function = ca_expr_string(&d->created_function, scope, &tasks->strings);
    if (d->created_line.bound && is_text(self, &d->created_line)) {
        const char *text = ca_expr_string(&d->created_line, scope, &tasks->strings);
        line = text ? strtoul(text, NULL, 10) : 0;
        site.line = line <= UINT32_MAX ? (uint32_t)line : 0;
    } else if (d->created_line.bound && ca_expr_value(&d->created_line, scope, &line)) {
        site.line = line <= UINT32_MAX ? (uint32_t)line : 0;
    }
    bool any = (site.file && *site.file) || (site.function && *site.function);
    return any ? ca_tasks_site(tasks, &site) : CA_NONE;
}

static bool named(const struct ca_tasks *tasks, uint32_t site)
{
    return site != CA_NONE && tasks->sites.data[site].function;
}

static bool from_backtrace(struct ca_described *self, struct ca_tasks *tasks, struct ca_task *task,
                           const struct ca_scope *scope)
{
    const struct ca_expr *expr = &self->description.created_backtrace;
    uint64_t address, pcs[BACKTRACE];
    if (!expr->bound || !ca_expr_address(expr, scope, &address))
        return false;
    size_t count = 0;
    while (count < BACKTRACE &&
           ca_target_read_u64(scope->target, address + count * 8, &pcs[count]) && pcs[count])
        count++;
    for (size_t i = 0; i < count; i++) {
        uint32_t site = ca_described_site(self, tasks, pcs[i], false);
        if (!named(tasks, site) || ca_described_own(self, pcs[i], tasks->sites.data[site].function,
                                                    tasks->sites.data[site].file))
            continue;
        task->created = site;
        task->known_from = CA_KNOWN_BACKTRACE;
        return true;
    }
    return false;
}

static bool is_code(const struct ca_described *self, uint64_t pc)
{
    return ca_modules_is_code(self->base.context.modules, pc);
}

static void find_creator(struct ca_described *self, struct ca_tasks *tasks, struct ca_task *task,
                         const struct ca_scope *scope, uint32_t *index)
{
    const struct ca_expr *expr = &self->description.created_by;
    uint64_t value;
    *index = CA_NONE;
    if (!expr->bound || !ca_expr_value(expr, scope, &value) || !value)
        return;
    *index = ca_described_task_of(self, expr, value);
    bool id = !expr->lvalue && expr->type && expr->type->kind != CA_CTYPE_POINTER;
    if (*index != CA_NONE)
        task->created_by = tasks->list.data[*index].number;
    else if (id && !self->base.address_ids)
        task->created_by = value; /* it has ended; its id is still worth something */
}

void ca_described_created(struct ca_described *self, struct ca_tasks *tasks, struct ca_task *task,
                          const struct ca_scope *scope)
{
    const struct ca_description *d = &self->description;
    uint64_t pc;
    uint32_t creator, by_pc = CA_NONE;
    if (d->entry.bound && ca_expr_value(&d->entry, scope, &pc) && pc) {
        bool code = is_code(self, pc);
        self->tally.entries++;
        self->tally.not_code += !code;
        if (code)
            task->entry = ca_described_site(self, tasks, pc, true);
    }
    find_creator(self, tasks, task, scope, &creator);
    if (d->created_pc.bound && ca_expr_value(&d->created_pc, scope, &pc) && pc)
        by_pc = ca_described_site(self, tasks, pc, false);
    if (named(tasks, by_pc) && tasks->sites.data[by_pc].line) {
        task->created = by_pc;
        task->known_from = CA_KNOWN_PC;
        return;
    }
    const char *text =
        d->created_at.bound ? ca_expr_string(&d->created_at, scope, &tasks->strings) : NULL;
    if (text && *text && (task->created = site_of_text(tasks, text)) != CA_NONE) {
        task->known_from = CA_KNOWN_TEXT;
        return;
    }
    if ((task->created = site_of_parts(self, tasks, scope)) != CA_NONE) {
        task->known_from = CA_KNOWN_TEXT;
        return;
    }
    if (by_pc != CA_NONE) {
        task->created = by_pc;
        task->known_from = CA_KNOWN_PC;
        return;
    }
    if (from_backtrace(self, tasks, task, scope))
        return;
    if (creator != CA_NONE && d->entry.bound) {
        struct ca_scope theirs = *scope;
        theirs.here = tasks->list.data[creator].address;
        if (ca_expr_value(&d->entry, &theirs, &pc) && is_code(self, pc)) {
            task->created = ca_described_site(self, tasks, pc, true);
            task->known_from = CA_KNOWN_CREATOR;
            return;
        }
    }
    task->created = task->entry;
    task->known_from = task->entry == CA_NONE ? CA_KNOWN_NOT : CA_KNOWN_ENTRY;
}

/* ---- stacks -------------------------------------------------------------------------------- */

static struct ca_stack_copy copy_of(const struct ca_described *self, const struct ca_task *task,
                                    const struct ca_scope *scope, const struct ca_regs *regs)
{
    const struct ca_description *d = &self->description;
    struct ca_stack_copy copy = {0};
    uint64_t from, size, sp;
    if (!d->stack_copy.bound || !ca_expr_value(&d->stack_copy, scope, &from) || !from ||
        !d->stack_copy_size.bound || !ca_expr_value(&d->stack_copy_size, scope, &size) || !size)
        return copy;
    /* What is copied out is the used part: from the saved sp, or up to the stack's top. */
    if (task->stack_high > size)
        copy.low = task->stack_high - size;
    else if (ca_target_sp(scope->target->arch, regs, &sp))
        copy.low = sp;
    copy.high = copy.low + size;
    copy.copy = from;
    return copy;
}

/* Is the outermost frame the runtime's own, so that nothing of the user's is behind it? */
static bool begins_here(struct ca_described *self, struct ca_tasks *tasks,
                        const struct ca_raw_frame *frame)
{
    const struct ca_line *lines;
    size_t count = ca_lines_at(&self->lines, &tasks->strings, frame->pc - 1, &lines);
    return count &&
           ca_described_own(self, frame->pc - 1, lines[count - 1].function, lines[count - 1].file);
}

/* Where the bounds are known, what is found beyond them is not this task's: some runtimes begin a
 * stack in the middle of a function, whose caller's frames are on another one. */
static uint32_t inside(const struct ca_task *task, const struct ca_stack_copy *copy,
                       const struct ca_raw_frame *frames, uint32_t count, const char **why)
{
    uint64_t low = task->stack_low, high = task->stack_high;
    if (!count || low >= high || copy->high || frames[0].sp < low || frames[0].sp > high)
        return count;
    for (uint32_t i = 1; i < count; i++)
        if (frames[i].sp < low || frames[i].sp > high) {
            *why = NULL;
            return i;
        }
    return count;
}

static bool note_stack(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                       const struct ca_regs *regs, uint32_t count, const char *why)
{
    enum ca_arch arch = self->base.context.target->arch;
    uint8_t pc = ca_register_number(arch, "pc");
    if (count || !(regs->known >> pc & 1))
        return ca_tasks_note(tasks, index, "stack: %s", why);
    return ca_tasks_note(tasks, index, "stack: %s (pc 0x%" PRIx64 ")", why, regs->value[pc]);
}

static void tally(struct ca_described *self, const struct ca_task *task, const struct ca_regs *regs,
                  uint32_t count, const char *why)
{
    struct ca_tally *t = &self->tally;
    uint64_t sp;
    uint8_t pc = ca_register_number(self->base.context.target->arch, "pc");
    t->parked++;
    t->read += count != 0;
    if (!count && !t->why && why && regs->known >> pc & 1)
        t->why = ca_arena_printf(&self->arena, "%s: 0x%" PRIx64 ", of the task at 0x%" PRIx64, why,
                                 regs->value[pc], task->address);
    else if (!count && !t->why && why)
        t->why =
            ca_arena_printf(&self->arena, "%s (the task at 0x%" PRIx64 ")", why, task->address);
    if (task->stack_low >= task->stack_high ||
        !ca_target_sp(self->base.context.target->arch, regs, &sp))
        return;
    t->bounded++;
    t->outside += sp < task->stack_low || sp > task->stack_high;
}

/* A task that is to run for the first time: nothing was saved of it yet, and nothing is missing. */
static bool never_ran(struct ca_described *self, const struct ca_task *task,
                      const struct ca_regs *regs, const char *why)
{
    uint8_t pc = ca_register_number(self->base.context.target->arch, "pc");
    if (task->state != CA_STATE_RUNNABLE || self->description.context.kind == CA_CONTEXT_NONE)
        return false;
    return why ? !regs->known : regs->known >> pc & 1 && !regs->value[pc];
}

/* Of a task that is to run, a saved pc at which a function begins is no return address: that is
 * where it will begin. */
static bool begins_function(struct ca_described *self, const struct ca_task *task,
                            const struct ca_regs *regs)
{
    uint64_t pc;
    bool fresh;
    if (task->state != CA_STATE_RUNNABLE ||
        !ca_target_pc(self->base.context.target->arch, regs, &pc))
        return false;
    uint64_t *slot = ca_map_put(&self->starts, pc, &fresh);
    if (!slot || !fresh)
        return slot && *slot;
    struct ca_module *module = ca_modules_at(self->base.context.modules, pc);
    Dwfl_Module *dwfl = module ? ca_module_debug(self->base.context.modules, module) : NULL;
    GElf_Off offset = 1;
    GElf_Sym symbol;
    *slot = dwfl && dwfl_module_addrinfo(dwfl, pc, &offset, &symbol, NULL, NULL, NULL) && !offset;
    return *slot;
}

void ca_described_stack(struct ca_described *self, struct ca_tasks *tasks, uint32_t index,
                        const struct ca_scope *scope)
{
    struct ca_task *task = &tasks->list.data[index];
    struct ca_raw_frame frames[CA_DESCRIBED_FRAMES];
    struct ca_stack_copy copy = {0};
    struct ca_regs regs = {0};
    const char *why = NULL;
    const uint64_t *thread = ca_map_get(&self->current, task->address);
    bool running = task->state == CA_STATE_RUNNING && thread && *thread;
    if (running) {
        regs = scope->target->threads.data[*thread - 1].regs;
    } else if (task->state == CA_STATE_RUNNING) {
        why = "it runs, but on which thread is not known";
    } else {
        ca_context_registers(&self->description.context, scope, &regs, &why);
        if (never_ran(self, task, &regs, why)) {
            self->tally.fresh++;
            return;
        }
    }
    if (!why && !running) {
        copy = copy_of(self, task, scope, &regs);
        if (copy.high && task->stack_high == copy.high)
            task->stack_low = copy.low; /* what it holds is the copy */
        if (!ca_tasks_save_regs(tasks, index, &regs))
            self->nomem = true;
    }
    bool begins = !why && !running && begins_function(self, task, &regs);
    uint32_t count =
        why ? 0
            : ca_cfi_unwind(&self->cfi, &regs, running || begins, copy.high ? &copy : NULL, frames,
                            CA_DESCRIBED_FRAMES, &why);
    /* Stacks are begun by hand: past the outermost frame nothing is right, and nothing is lost. */
    if (why && count && task->stack_high && frames[count - 1].sp <= task->stack_high &&
        task->stack_high - frames[count - 1].sp <= STACK_END)
        why = NULL;
    if (count && begins) {
        count = 1; /* what is behind it was put there by hand */
        why = NULL;
    }
    if (why && count && !running && begins_here(self, tasks, &frames[count - 1]))
        why = NULL;
    if (!running)
        tally(self, task, &regs, count, why);
    count = inside(task, &copy, frames, count, &why);
    if (why && !note_stack(self, tasks, index, &regs, count, why))
        self->nomem = true;
    if (!count)
        return;
    task->sp = frames[0].sp;
    task->stack =
        ca_stacks_intern(&tasks->stacks, frames, count, why ? CA_STACK_CUT : CA_STACK_WHOLE);
    if (task->stack == CA_STACK_NONE)
        self->nomem = true;
}

/* ---- the runtime's own frames ------------------------------------------------------------------
 */

static bool matches(const struct ca_pattern *pattern, const char *text)
{
    for (; text && pattern; pattern = pattern->next)
        if (fnmatch(pattern->text, text, 0) == 0)
            return true;
    return false;
}

enum { MARKED_FRAMES = 8 };

uint64_t ca_described_marks(struct ca_described *self, struct ca_tasks *tasks, uint32_t stack)
{
    bool fresh;
    uint64_t *slot = stack == CA_STACK_NONE ? NULL : ca_map_put(&self->marks, stack, &fresh);
    if (!slot || !fresh)
        return slot ? *slot : 0;
    const struct ca_stack *s = &tasks->stacks.list.data[stack];
    for (uint32_t i = 0; i < s->count && i < MARKED_FRAMES; i++) {
        const struct ca_raw_frame *frame = &tasks->stacks.frames.data[s->first + i];
        const struct ca_line *lines;
        size_t count = ca_lines_at(&self->lines, &tasks->strings,
                                   frame->exact ? frame->pc : frame->pc - 1, &lines);
        for (size_t k = 0; k < count; k++)
            for (const struct ca_when *r = self->description.rules; r; r = r->next)
                if (r->frame && lines[k].function && fnmatch(r->frame, lines[k].function, 0) == 0)
                    *slot |= 1ull << r->frame_bit;
    }
    return *slot;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

bool ca_described_own(const struct ca_described *self, uint64_t pc, const char *function,
                      const char *file)
{
    const struct ca_description *d = &self->description;
    const struct ca_module *module;
    if (matches(d->own_functions, function) || matches(d->own_files, base_name(file)) ||
        matches(d->own_files, file))
        return true;
    if (!d->own_modules)
        return false;
    module = ca_modules_at(self->base.context.modules, pc);
    return module && matches(d->own_modules, base_name(module->name));
}
