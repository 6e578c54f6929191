/* What the runtime died of, in its own words: the value of a panic, or the text of a fatal error.
 * Said only where it is beyond doubt. runtime/panic.go (1.19 to 1.27): gopanic, fatalpanic, throw,
 * fatal.
 */
#include "base/buf.h"
#include "runtimes/go/views.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT_MAX = 300,
    FRAMES_LOOK = 24,
    FRAME_MAX = 4096,
    STACK_MAX = 1 << 20,
    WORDS_MAX = 1 << 20,
};

struct cause {
    struct ca_go *go;
    struct ca_tasks *tasks;
    const char *text; /* interned; NULL: not found */
    size_t words;     /* looked at, of all stacks */
};

/* Its first line, with before and after around it. */
static void say(struct cause *cause, const char *before, uint64_t address, uint64_t size,
                const char *after)
{
    char text[TEXT_MAX];
    size_t shown = size < sizeof(text) ? (size_t)size : sizeof(text);
    if (!size || !ca_target_read(cause->go->target, address, text, shown))
        return;
    const char *end = memchr(text, '\n', shown);
    if (end)
        shown = (size_t)(end - text);
    cause->text = ca_strings_printf(&cause->tasks->strings, "%s%.*s%s", before, (int)shown, text,
                                    end            ? ""
                                    : shown < size ? "..."
                                                   : after);
}

/* A bool or an integer, in text; false: it is none, or not there. */
static bool plain_value(struct ca_target *target, const struct ca_go_view_type *type, uint64_t size,
                        uint64_t address, char text[CA_GO_NUMBER_TEXT])
{
    uint8_t byte;
    if (type->kind != CA_GO_KIND_BOOL)
        return ca_go_view_number(target, type->kind, size, address, text);
    if (!ca_target_read(target, address, &byte, 1))
        return false;
    snprintf(text, CA_GO_NUMBER_TEXT, "%s", byte ? "true" : "false");
    return true;
}

/* As runtime/error.go printpanicval does it. Before it dies the runtime has put the text of errors
 * and Stringers in their place. Fractions are left out: versions print them differently. */
static void say_value(struct cause *cause, uint64_t type_at, uint64_t data)
{
    struct ca_go *go = cause->go;
    struct ca_go_heap types = {.go = go, .target = go->target}; /* descriptors need no more of it */
    struct ca_strings *strings = &cause->tasks->strings;
    struct ca_go_view_type type;
    char plain[CA_GO_NUMBER_TEXT];
    uint64_t text[2];
    if (!ca_go_descriptor(&types, type_at, &type))
        return;
    const char *name = ca_go_descriptor_name(&types, strings, type_at);
    const char *named = name && strchr(name, '.') ? name : NULL;
    if (type.kind == CA_GO_KIND_STRING) {
        const char *before = named ? ca_strings_printf(strings, "panic: %s(\"", named) : "panic: ";
        if (before && ca_target_read(go->target, data, text, 16))
            say(cause, before, text[0], text[1], named ? "\")" : "");
    } else if (plain_value(go->target, &type, ca_go_descriptor_size(&types, type_at), data,
                           plain)) {
        cause->text = named ? ca_strings_printf(strings, "panic: %s(%s)", named, plain)
                            : ca_strings_printf(strings, "panic: %s", plain);
    } else if (name && type.kind >= CA_GO_KIND_ARRAY) {
        cause->text = ca_strings_printf(strings, "panic: (%s) 0x%" PRIx64, name, data);
    }
}

static void say_panic(struct cause *cause, uint64_t g)
{
    struct ca_go *go = cause->go;
    uint64_t panic, eface[2];
    if (ca_go_read_u64(go, g, GO_G_PANIC, &panic) && panic &&
        ca_target_read(go->target, panic + (uint64_t)go->layout.at[GO_PANIC_ARG], eface, 16))
        say_value(cause, eface[0], eface[1]);
}

/* A constant of the program, all of it text? */
static bool is_text(const struct ca_go *go, uint64_t address, uint64_t size)
{
    char text[TEXT_MAX];
    bool constant = false;
    for (size_t i = 0; i < go->tables.modules.len; i++)
        constant |= address >= go->tables.modules.data[i].rodata &&
                    address < go->tables.modules.data[i].noptrdata;
    if (!constant || !size || size >= sizeof(text) ||
        !ca_target_read(go->target, address, text, size))
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
            return false;
    return true;
}

/* The text is in a closure on the stack, by which it is printed: {code, text, length}, in 1.27's
 * fatal {code, panic, text, length}. */
static void say_throw(struct cause *cause, uint64_t low, uint64_t high)
{
    struct ca_go *go = cause->go;
    uint64_t words[4];
    for (uint64_t at = low; at + 32 <= high && !cause->text && cause->words++ < WORDS_MAX;
         at += 8) {
        struct ca_go_func func;
        if (!ca_target_read_u64(go->target, at, &words[0]))
            return;
        if (!ca_go_func_find(&go->tables, words[0], &func) || func.entry != words[0])
            continue;
        const char *name = ca_go_func_name(&func);
        if ((strcmp(name, "runtime.throw.func1") != 0 &&
             strcmp(name, "runtime.fatal.func1") != 0) ||
            !ca_target_read(go->target, at, words, 32))
            continue;
        for (int i = 1; i <= 2 && !cause->text; i++)
            if (is_text(go, words[i], words[i + 1]))
                say(cause, "fatal error: ", words[i], words[i + 1], "");
    }
}

static void look_at_task(struct cause *cause, const struct ca_task *task)
{
    const struct ca_stack *stack = &cause->tasks->stacks.list.data[task->stack];
    const struct ca_raw_frame *frames = cause->tasks->stacks.frames.data + stack->first;
    for (uint32_t i = 0; i + 1 < stack->count && i < FRAMES_LOOK && !cause->text; i++) {
        struct ca_go_func func;
        if (!ca_go_func_find(&cause->go->tables, frames[i].pc, &func))
            continue;
        const char *name = ca_go_func_name(&func);
        uint64_t sp = task->sp + frames[i].sp, next = task->sp + frames[i + 1].sp;
        if (!strcmp(name, "runtime.fatalpanic"))
            say_panic(cause, task->address);
        else if ((!strcmp(name, "runtime.throw") || !strcmp(name, "runtime.fatal")) && next > sp &&
                 next - sp <= FRAME_MAX)
            say_throw(cause, sp, next);
    }
}

/* Without a goroutine: when all of them are asleep, say. */
static void look_at_threads(struct cause *cause)
{
    struct ca_go *go = cause->go;
    for (size_t i = 0; i < go->threads.ms.len && !cause->text; i++) {
        uint64_t m = go->threads.ms.data[i].address, g0, low, high, sp;
        const struct ca_thread *thread = ca_go_thread_of(go, m);
        if (!thread)
            continue;
        struct ca_regs regs = ca_go_signal_regs(go, m, &thread->regs);
        if (ca_go_read_u64(go, m, GO_M_G0, &g0) && ca_go_stack_bounds(go, g0, &low, &high) &&
            ca_target_sp(go->target->arch, &regs, &sp) && sp >= low && sp < high &&
            high - sp <= STACK_MAX)
            say_throw(cause, (sp + 7) & ~UINT64_C(7), high);
    }
}

const char *ca_go_cause(struct ca_go *go, struct ca_tasks *tasks)
{
    struct cause cause = {.go = go, .tasks = tasks};
    if (go->target->kind == CA_TARGET_LIVE)
        return NULL;
    for (size_t i = 0; i < tasks->list.len && !cause.text; i++) {
        const struct ca_task *task = &tasks->list.data[i];
        if (task->runtime == go->runtime.index && task->state == CA_STATE_RUNNING &&
            task->stack != CA_STACK_NONE)
            look_at_task(&cause, task);
    }
    if (!cause.text)
        look_at_threads(&cause);
    return cause.text;
}
