#include "output/json_task.h"

#include "output/utf8.h"

void ca_json_put_id(struct ca_json *json, const char *id)
{
    ca_json_string(json, id && id[0] ? id : NULL);
}

void ca_json_put_optional_address(struct ca_json *json, bool known, uint64_t address)
{
    if (known)
        ca_json_address(json, address);
    else
        ca_json_null(json);
}

static void put_place(struct ca_json *json, const char *function, const char *file, int64_t line)
{
    ca_json_key(json, "function");
    ca_json_string(json, function);
    ca_json_key(json, "file");
    ca_json_string(json, file);
    ca_json_key(json, "line");
    /* There is no line 0: it is how a table says that it does not know. */
    ca_json_int(json, line > 0 ? line : CA_UNKNOWN);
}

void ca_json_put_site(struct ca_json *json, const char *function, const char *file, int64_t line)
{
    if (!function && !file) {
        ca_json_null(json);
        return;
    }
    ca_json_object(json);
    put_place(json, function, file, line);
    ca_json_end(json);
}

void ca_json_put_created(struct ca_json *json, const struct ca_site_info *site, const char *by,
                         const char *known_from)
{
    if (!site->function && !site->file && !by[0]) {
        ca_json_null(json);
        return;
    }
    ca_json_object(json);
    put_place(json, site->function, site->file, site->line);
    ca_json_key(json, "by");
    ca_json_put_id(json, by);
    ca_json_key(json, "known_from");
    ca_json_string(json, known_from);
    ca_json_end(json);
}

void ca_json_put_frames(struct ca_json *json, const struct ca_frame_info *frames, size_t count)
{
    ca_json_array(json);
    for (size_t i = 0; i < count; i++) {
        ca_json_object(json);
        ca_json_key(json, "pc");
        ca_json_address(json, frames[i].pc);
        ca_json_key(json, "sp");
        ca_json_address(json, frames[i].sp);
        put_place(json, frames[i].function, frames[i].file, frames[i].line);
        ca_json_key(json, "inlined");
        ca_json_bool(json, frames[i].inlined);
        ca_json_end(json);
    }
    ca_json_end(json);
}

/* ---- what it waits for ---- */

/* Which keys belong to a kind is decided here, once, for all doors: an object has kind and address,
 * then all keys of its kind, in the contract's order, null where not known. A deadline may come
 * with any kind that something can end. A kind that this table does not know has all the keys but
 * a channel's. */
enum { CHANNEL = 1, CASES = 2, OWNER = 4, WAITERS = 8, COUNTER = 16, FD = 32, DEADLINE = 64 };

static unsigned keys_of(const char *kind)
{
    static const struct {
        const char *kind;
        unsigned keys;
    } table[] = {
        {"channel", CHANNEL | DEADLINE},
        {"select", CASES | DEADLINE},
        {"mutex", OWNER | WAITERS | DEADLINE},
        {"rwmutex", OWNER | WAITERS | DEADLINE},
        {"waitgroup", WAITERS | COUNTER | DEADLINE},
        {"cond", WAITERS | DEADLINE},
        {"semaphore", WAITERS | COUNTER | DEADLINE},
        {"timer", DEADLINE},
        {"sleep", DEADLINE},
        {"io", FD | DEADLINE},
        {"join", OWNER | WAITERS | DEADLINE},
        {"event", WAITERS | DEADLINE},
        {"nothing", 0},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (!strcmp(table[i].kind, kind))
            return table[i].keys;
    return OWNER | WAITERS | COUNTER | FD | DEADLINE;
}

static void put_channel(struct ca_json *json, const struct ca_case_info *channel)
{
    ca_json_key(json, "capacity");
    ca_json_int(json, channel->capacity);
    ca_json_key(json, "length");
    ca_json_int(json, channel->length);
    ca_json_key(json, "closed");
    if (channel->closed == 0 || channel->closed == 1)
        ca_json_bool(json, channel->closed);
    else
        ca_json_null(json);
    ca_json_key(json, "senders");
    ca_json_int(json, channel->senders);
    ca_json_key(json, "receivers");
    ca_json_int(json, channel->receivers);
}

static void put_cases(struct ca_json *json, const struct ca_wait_info *wait)
{
    ca_json_key(json, "cases");
    ca_json_array(json);
    for (size_t i = 0; i < wait->case_count; i++) {
        ca_json_object(json);
        ca_json_key(json, "direction");
        ca_json_string(json, wait->cases[i].direction);
        ca_json_key(json, "address");
        ca_json_address(json, wait->cases[i].address);
        put_channel(json, &wait->cases[i]);
        ca_json_end(json);
    }
    ca_json_end(json);
}

void ca_json_put_waiting_for(struct ca_json *json, const struct ca_wait_info *wait)
{
    if (!wait->kind) {
        ca_json_null(json);
        return;
    }
    unsigned keys = keys_of(wait->kind);
    ca_json_object(json);
    ca_json_key(json, "kind");
    ca_json_string(json, wait->kind);
    ca_json_key(json, "address");
    ca_json_put_optional_address(json, wait->has_address, wait->channel.address);
    if (keys & CHANNEL) {
        put_channel(json, &wait->channel);
        ca_json_key(json, "direction");
        ca_json_string(json, wait->channel.direction);
    }
    if (keys & CASES)
        put_cases(json, wait);
    if (keys & OWNER) {
        ca_json_key(json, "owner");
        ca_json_put_id(json, wait->owner);
    }
    if (keys & WAITERS) {
        ca_json_key(json, "waiters");
        ca_json_int(json, wait->waiters);
    }
    if (keys & COUNTER) {
        ca_json_key(json, "counter");
        ca_json_int(json, wait->counter);
    }
    if (keys & FD) {
        ca_json_key(json, "fd");
        ca_json_int(json, wait->fd);
    }
    if (keys & DEADLINE) {
        ca_json_key(json, "deadline_ns");
        ca_json_int(json, wait->deadline_ns);
    }
    ca_json_end(json);
}

/* ---- labels and notes ---- */

/* Size of the next character as the writer writes it; *bad: it becomes U+FFFD. */
static size_t next_character(const char *text, bool *bad)
{
    size_t size = ca_utf8_size((const unsigned char *)text);
    *bad = size == 0 || (size == 3 && !memcmp(text, "\xef\xbf\xbd", 3));
    return size ? size : 1;
}

bool ca_json_same_key(const char *a, const char *b)
{
    while (*a && *b) {
        bool bad_a, bad_b;
        size_t size_a = next_character(a, &bad_a), size_b = next_character(b, &bad_b);
        if (bad_a != bad_b || (!bad_a && (size_a != size_b || memcmp(a, b, size_a) != 0)))
            return false;
        a += size_a;
        b += size_b;
    }
    return *a == *b;
}

/* Labels are few; a target that claims more of them than this is broken. */
enum { LABELS_MAX = 256 };

static void put_labels(struct ca_json *json, const struct ca_task_info *task)
{
    size_t count = task->label_count < LABELS_MAX ? task->label_count : LABELS_MAX;
    ca_json_object(json);
    for (size_t i = 0; i < count; i++) {
        const char *key = task->labels[i].key;
        bool seen = !key;
        for (size_t j = 0; !seen && j < i; j++)
            seen = task->labels[j].key && ca_json_same_key(key, task->labels[j].key);
        if (seen)
            continue;
        ca_json_key_text(json, key);
        ca_json_string(json, task->labels[i].value);
    }
    ca_json_end(json);
}

static void put_stack(struct ca_json *json, const struct ca_task_info *task)
{
    if (!task->stack_low && !task->stack_high) {
        ca_json_null(json);
        return;
    }
    ca_json_object(json);
    ca_json_key(json, "low");
    ca_json_address(json, task->stack_low);
    ca_json_key(json, "high");
    ca_json_address(json, task->stack_high);
    ca_json_end(json);
}

static void put_notes(struct ca_json *json, const struct ca_task_info *task)
{
    ca_json_array(json);
    for (size_t i = 0; i < task->note_count; i++)
        ca_json_string(json, task->notes[i]);
    ca_json_end(json);
}

void ca_json_put_task(struct ca_json *json, const struct ca_task_info *task)
{
    ca_json_object(json);
    ca_json_key(json, "id");
    ca_json_string(json, task->id);
    ca_json_key(json, "address");
    ca_json_put_optional_address(json, task->address != 0, task->address);
    ca_json_key(json, "runtime");
    ca_json_string(json, task->runtime);
    ca_json_key(json, "name");
    ca_json_string(json, task->name);
    ca_json_key(json, "state");
    ca_json_string(json, task->state);
    ca_json_key(json, "reason");
    ca_json_string(json, task->reason);
    ca_json_key(json, "since_ns");
    ca_json_int(json, task->since_ns);
    ca_json_key(json, "verdict");
    ca_json_string(json, task->verdict);
    ca_json_key(json, "rule");
    ca_json_string(json, task->rule);
    ca_json_key(json, "waiting_for");
    ca_json_put_waiting_for(json, &task->waiting_for);
    ca_json_key(json, "entry");
    ca_json_put_site(json, task->entry.function, task->entry.file, task->entry.line);
    ca_json_key(json, "created");
    ca_json_put_created(json, &task->created, task->created_by, task->known_from);
    ca_json_key(json, "thread");
    ca_json_int(json, task->thread);
    ca_json_key(json, "stack");
    put_stack(json, task);
    ca_json_key(json, "frames");
    ca_json_put_frames(json, task->frames, task->frame_count);
    ca_json_key(json, "labels");
    put_labels(json, task);
    ca_json_key(json, "notes");
    put_notes(json, task);
    ca_json_end(json);
}
