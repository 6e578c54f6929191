#include "analysis/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/verdict.h"
#include "base/distance.h"

enum kind {
    TOP,
    ANY,
    CREATOR,
    REASON,
    LABEL,
    ID,
};

static const char *const words[] = {"top", "any", "creator", "reason", "label", "id"};

/* go.uber.org/goleak options.go, its default filters: the test runner waiting for its tests, and
 * what importing os/signal or tracing starts. */
static const struct {
    int kind;
    const char *text;
} goleak[] = {
    {ANY, "testing.RunTests"},   {ANY, "testing.(*T).Run"},     {ANY, "testing.(*T).Parallel"},
    {ANY, "testing.runFuzzing"}, {ANY, "testing.runFuzzTests"}, {ANY, "os/signal.signal_recv"},
    {ANY, "os/signal.loop"},     {ANY, "runtime.ensureSigM"},   {ANY, "runtime.ensureSigM.func1"},
    {ANY, "runtime.ReadTrace"},
};

void ca_rules_deinit(struct ca_rules *rules)
{
    for (size_t i = 0; i < rules->list.len; i++)
        free(rules->list.data[i].text);
    ca_vec_deinit(&rules->list);
}

static struct ca_error *add(struct ca_rules *rules, int kind, const char *text, unsigned line)
{
    char *copy = strdup(text);
    if (!copy ||
        !ca_vec_push(&rules->list, (struct ca_ignore){.kind = kind, .text = copy, .line = line})) {
        free(copy);
        return &ca_error_nomem;
    }
    return NULL;
}

/* Of these words; the shortest ones have too few letters to count differences. */
static const char *nearest(const char *const *list, size_t count, const char *word)
{
    const char *found = NULL;
    unsigned least = CA_DISTANCE_FAR;
    for (size_t i = 0; i < count; i++) {
        unsigned far = ca_distance(word, list[i]);
        if (far < least)
            found = list[i];
        least = far < least ? far : least;
    }
    for (size_t i = 0; i < count && !found; i++)
        if (*word && *word == *list[i] && strlen(word) <= strlen(list[i]) + 1)
            found = list[i];
    return found;
}

static struct ca_error *no_rule(const char *text, unsigned line, const char *path)
{
    static const char *const lines[] = {"ignore", "use"};
    char word[41] = "";
    size_t size = strcspn(text, " \t");
    memcpy(word, text, size < 40 ? size : 40);
    const char *meant = nearest(lines, 2, word);
    if (meant && !strcmp(meant, "use"))
        return ca_error_create(CA_ERROR_FORMAT,
                               "%s:%u: `use` knows goleak only: write `use goleak`", path, line);
    return ca_error_create(CA_ERROR_FORMAT,
                           "%s:%u: neither `ignore ...` nor `use goleak`, but `%s`%s", path, line,
                           word, meant ? "; did you mean `ignore`?" : "");
}

static struct ca_error *parse_ignore(struct ca_rules *rules, char *rest, unsigned line,
                                     const char *path)
{
    char *word = strsep(&rest, " \t");
    while (rest && (*rest == ' ' || *rest == '\t'))
        rest++;
    for (size_t i = 0; rest && *rest && i < sizeof(words) / sizeof(words[0]); i++)
        if (word && !strcmp(word, words[i]))
            return add(rules, (int)i, rest, line);
    const char *meant = word ? nearest(words, sizeof(words) / sizeof(words[0]), word) : NULL;
    if (meant && !strcmp(meant, word))
        return ca_error_create(CA_ERROR_FORMAT, "%s:%u: `ignore %s` lacks what to ignore", path,
                               line, word);
    return ca_error_create(CA_ERROR_FORMAT,
                           "%s:%u: after ignore comes top, any, creator, reason, label or id, "
                           "not `%.40s`%s%s%s",
                           path, line, word ? word : "", meant ? "; did you mean `" : "",
                           meant ? meant : "", meant ? "`?" : "");
}

static struct ca_error *parse(struct ca_rules *rules, char *text, unsigned line, const char *path)
{
    text += strspn(text, " \t");
    size_t size = strcspn(text, "\r\n");
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    text[size] = 0;
    if (size == 0 || *text == '#')
        return NULL;
    if (!strncmp(text, "ignore ", 7))
        return parse_ignore(rules, text + 7 + strspn(text + 7, " \t"), line, path);
    if (strcmp(text, "use goleak") != 0)
        return no_rule(text, line, path);
    for (size_t i = 0; i < sizeof(goleak) / sizeof(goleak[0]); i++) {
        struct ca_error *error = add(rules, goleak[i].kind, goleak[i].text, line);
        if (error)
            return error;
    }
    return NULL;
}

struct ca_error *ca_rules_load(const char *path, struct ca_rules *ret)
{
    struct ca_error *error = NULL;
    struct stat status;
    *ret = (struct ca_rules){0};
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &status) || !S_ISREG(status.st_mode)) {
        error = ca_error_create(CA_ERROR_IO, "cannot read the rules %s: %s", path,
                                file ? "it is no file" : strerror(errno));
        if (file)
            fclose(file);
        return error;
    }
    char *line = NULL;
    size_t room = 0;
    for (unsigned number = 1; !error && getline(&line, &room, file) >= 0; number++)
        error = parse(ret, line, number, path);
    free(line);
    fclose(file);
    if (error)
        ca_rules_deinit(ret);
    return error;
}

static bool fits(const char *pattern, const char *text)
{
    if (!text)
        return false;
    if (!strchr(pattern, '*'))
        return !strcmp(pattern, text);
    /* Only * is special: names of Go hold brackets and stars of their own. */
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

/* A star in a Go name ("(*T).Run") is itself too. */
static bool names(const char *pattern, const char *function)
{
    return function && (!strcmp(pattern, function) || fits(pattern, function));
}

static bool on_stack(const struct ca_sites *sites, const struct ca_task *task, const char *pattern)
{
    if (task->stack >= sites->stacks.len)
        return false;
    for (uint32_t i = 0; i < sites->stacks.data[task->stack].count; i++)
        if (names(pattern,
                  sites->frames.list.data[sites->stacks.data[task->stack].first + i].function))
            return true;
    return false;
}

static bool has_label(const struct ca_tasks *tasks, uint32_t task, const char *pattern)
{
    const char *equals = strchr(pattern, '=');
    for (size_t i = 0; equals && i < tasks->labels.len; i++) {
        const struct ca_label *label = &tasks->labels.data[i];
        if (label->task == task && strlen(label->key) == (size_t)(equals - pattern) &&
            !strncmp(label->key, pattern, (size_t)(equals - pattern)) &&
            fits(equals + 1, label->value))
            return true;
    }
    return false;
}

static bool ignores(const struct ca_ignore *rule, const struct ca_tasks *tasks,
                    const struct ca_sites *sites, uint32_t index)
{
    const struct ca_task *task = &tasks->list.data[index];
    const struct ca_frame *site = ca_sites_frame(sites, task);
    char number[24];
    switch (rule->kind) {
    case TOP:
        return site && names(rule->text, site->function);
    case ANY:
        return on_stack(sites, task, rule->text);
    case CREATOR:
        return task->created != CA_NONE &&
               names(rule->text, tasks->sites.data[task->created].function);
    case REASON:
        return fits(rule->text, task->reason);
    case LABEL:
        return has_label(tasks, index, rule->text);
    default:
        snprintf(number, sizeof(number), "%" PRIu64, task->number);
        return !strcmp(number, rule->text);
    }
}

static bool begins(const char *text, const char *prefix)
{
    return text && !strncmp(text, prefix, strlen(prefix));
}

static bool is_own(const char *const *own, const struct ca_sites *sites, const struct ca_task *task)
{
    const struct ca_frame *site = ca_sites_frame(sites, task);
    for (size_t i = 0; own[i]; i++)
        if (site && (begins(site->function, own[i]) || begins(site->file, own[i])))
            return true;
    return false;
}

static void acquit(const struct ca_tasks *tasks, struct ca_task *task)
{
    struct ca_wait room;
    const struct ca_wait *wait = ca_tasks_wait(tasks, task, &room);
    bool parked = task->state == CA_STATE_WAITING &&
                  !(wait && (wait->kind == CA_WAIT_SLEEP || wait->kind == CA_WAIT_IO));
    task->verdict = parked ? CA_VERDICT_WAITING : CA_VERDICT_ACTIVE;
    task->rule = CA_RULE_NONE;
    task->proof = CA_PROOF_NONE;
}

bool ca_rules_apply(const struct ca_rules *rules, const char *const *own, struct ca_tasks *tasks,
                    const struct ca_sites *sites)
{
    for (size_t i = 0; i < tasks->list.len; i++) {
        struct ca_task *task = &tasks->list.data[i];
        if (task->verdict != CA_VERDICT_LEAKED && task->verdict != CA_VERDICT_SUSPECT)
            continue;
        if (own && own[0] && !is_own(own, sites, task)) {
            acquit(tasks, task);
            continue;
        }
        for (size_t j = 0; j < rules->list.len; j++) {
            if (!ignores(&rules->list.data[j], tasks, sites, (uint32_t)i))
                continue;
            acquit(tasks, task);
            if (!ca_tasks_note(tasks, (uint32_t)i, "left out by line %u of the rules",
                               rules->list.data[j].line))
                return false;
            break;
        }
    }
    ca_tasks_sort_notes(tasks);
    return true;
}
