/* From words to a request: the one place where the options of all doors are understood. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/strings.h"
#include "base/vec.h"
#include "output/commands.h"
#include "output/duration.h"
#include "output/selection.h"

typedef CA_VEC(const char *) word_list;

/* The public part, and what its pointers point to. */
struct parsed {
    struct ca_command_line line; /* first: it is what the caller holds */
    struct ca_strings strings;
    word_list words, own, runtime_files;
    struct ca_buf target_words;
};

void ca_command_line_destroy(struct ca_command_line *line)
{
    if (!line)
        return;
    struct parsed *parsed = (struct parsed *)line;
    ca_strings_deinit(&parsed->strings);
    ca_vec_deinit(&parsed->words);
    ca_vec_deinit(&parsed->own);
    ca_vec_deinit(&parsed->runtime_files);
    ca_buf_deinit(&parsed->target_words);
    free(parsed);
}

/* ---- the values of options ---- */

static struct ca_error *copy(struct parsed *parsed, const char *text, const char **ret)
{
    *ret = ca_strings_intern(&parsed->strings, text, strlen(text));
    return *ret ? NULL : &ca_error_nomem;
}

/* The list stays NULL-ended. */
static struct ca_error *append(struct parsed *parsed, word_list *list, const char *text)
{
    const char *word;
    struct ca_error *error = copy(parsed, text, &word);
    if (error || !ca_vec_reserve(list, 2))
        return &ca_error_nomem;
    list->data[list->len++] = word;
    list->data[list->len] = NULL;
    return NULL;
}

static struct ca_error *number(const char *option, const char *text, int64_t least, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least)
        return ca_error_create(CA_ERROR_INVALID,
                               "--%s takes a whole number, %lld or more, not \"%.40s\"", option,
                               (long long)least, text);
    *ret = value;
    return NULL;
}

static struct ca_error *one_of(const char *option, const char *text, const char *words)
{
    size_t size = strlen(text);
    for (const char *at = words; *at;) {
        size_t word = strcspn(at, "|");
        if (word == size && !memcmp(at, text, size))
            return NULL;
        at += word + (at[word] == '|');
    }
    return ca_error_create(CA_ERROR_INVALID, "%s is one of %s, not \"%.40s\"", option, words, text);
}

static struct ca_error *take_copy_limit(struct ca_options *options, const char *value)
{
    int64_t megabytes;
    struct ca_error *error = number("copy-limit", value, 1, &megabytes);
    if (error)
        return error;
    options->copy_limit = megabytes < INT64_MAX >> 20 ? megabytes << 20 : INT64_MAX;
    return NULL;
}

static struct ca_error *take_min_age(struct ca_options *options, const char *value)
{
    if (ca_duration_parse(value, &options->min_age_ns) && options->min_age_ns > 0)
        return NULL;
    return ca_error_create(CA_ERROR_INVALID,
                           "--min-age takes a duration such as 90s, 5m, 2h or 3d, not \"%.40s\"",
                           value);
}

static struct ca_error *take_verdict(struct parsed *parsed, const char *value)
{
    unsigned ignored;
    struct ca_error *error = ca_verdicts_parse(value, &ignored);
    return error ? error : copy(parsed, value, &parsed->line.request.verdict);
}

/* Options that carry a value. */
static struct ca_error *take_value(struct parsed *parsed, int id, const char *value)
{
    struct ca_command_line *line = &parsed->line;
    switch (id) {
    case CA_OPTION_PID:
        return number("pid", value, 1, &line->pid);
    case CA_OPTION_EXE:
        return copy(parsed, value, &line->options.exe);
    case CA_OPTION_SYSROOT:
        return copy(parsed, value, &line->options.sysroot);
    case CA_OPTION_DEBUG_BINARY:
        return copy(parsed, value, &line->options.debug_binary);
    case CA_OPTION_RUNTIME_FILE:
        return append(parsed, &parsed->runtime_files, value);
    case CA_OPTION_RULES:
        return copy(parsed, value, &line->options.rules);
    case CA_OPTION_OWN:
        return append(parsed, &parsed->own, value);
    case CA_OPTION_THRESHOLD:
        return number("threshold", value, 1, &line->options.threshold);
    case CA_OPTION_COPY_LIMIT:
        return take_copy_limit(&line->options, value);
    case CA_OPTION_MIN_AGE:
        return take_min_age(&line->options, value);
    case CA_OPTION_SORT:
        return copy(parsed, value, &line->request.sort);
    case CA_OPTION_VERDICT:
        return take_verdict(parsed, value);
    case CA_OPTION_LIMIT:
        return number("limit", value, 0, &line->request.limit);
    case CA_OPTION_FORMAT:
        line->request.json = !strcmp(value, "json");
        return NULL;
    case CA_OPTION_FAIL_ON:
        line->request.fail_on_suspect = !strcmp(value, "suspect");
        return NULL;
    case CA_OPTION_CHECK:
        return copy(parsed, value, &line->check);
    default:
        return NULL;
    }
}

static void take_flag(struct ca_command_line *line, int id)
{
    bool *flags[] = {
        [CA_OPTION_FORCE - CA_OPTION_PID] = &line->options.force,
        [CA_OPTION_NO_STOP - CA_OPTION_PID] = &line->options.no_stop,
        [CA_OPTION_NO_PROOF - CA_OPTION_PID] = &line->options.no_proof,
        [CA_OPTION_GROUP - CA_OPTION_PID] = &line->request.group,
        [CA_OPTION_FULL - CA_OPTION_PID] = &line->request.full,
        [CA_OPTION_LOCALS - CA_OPTION_PID] = &line->request.locals,
        [CA_OPTION_STRICT - CA_OPTION_PID] = &line->request.strict,
        [CA_OPTION_HELP - CA_OPTION_PID] = &line->help,
        [CA_OPTION_VERSION - CA_OPTION_PID] = &line->version,
    };
    *flags[id - CA_OPTION_PID] = true;
}

/* ---- the words, by getopt ---- */

enum { OPTIONS_MAX = 32 };

/* The tables that getopt wants; '-' gives words in their places, ':' tells a missing value. */
static void getopt_tables(struct option *longs, char *shorts)
{
    char *at = stpcpy(shorts, "-:");
    size_t count = 0;
    const struct ca_option *option;
    for (; (option = ca_option_at(count)) && count + 1 < OPTIONS_MAX; count++) {
        longs[count] = (struct option){
            option->name + 2, option->argument ? required_argument : no_argument, NULL, option->id};
        if (option->id == CA_OPTION_GROUP)
            longs[count].has_arg = optional_argument;
        if (option->letter)
            *at++ = option->letter;
        if (option->letter && option->argument)
            *at++ = ':';
    }
    *at = 0;
    longs[count] = (struct option){0};
}

static const struct ca_option *option_by(int id)
{
    const struct ca_option *option = NULL;
    for (size_t i = 0; (option = ca_option_at(i)); i++)
        if ((int)option->id == id || (option->letter && option->letter == id))
            break;
    return option;
}

static struct ca_error *take(struct parsed *parsed, int got, const char *word)
{
    const struct ca_option *option;
    if (got == 1)
        return append(parsed, &parsed->words, optarg);
    if (got == ':') {
        option = option_by(optopt);
        return ca_error_create(CA_ERROR_INVALID, "%s needs a value: %s", word,
                               option ? option->argument : "none was given");
    }
    if (got == '?') {
        if (option_by(optopt))
            return ca_error_create(CA_ERROR_INVALID, "%.60s takes no value", word);
        return ca_error_create(CA_ERROR_INVALID,
                               "there is no option %.60s, or it is short for several; "
                               "`help` lists them",
                               word);
    }
    option = option_by(got);
    struct ca_error *error = NULL;
    if (option->values && option->id != CA_OPTION_VERDICT) /* which takes several */
        error = one_of(option->name, optarg, option->values);
    if (error || option->argument)
        return error ? error : take_value(parsed, option->id, optarg);
    take_flag(&parsed->line, option->id);
    /* --group=ID, of export-core */
    return option->id == CA_OPTION_GROUP && optarg
               ? copy(parsed, optarg, &parsed->line.request.group_of)
               : NULL;
}

/* `--group` alone is an option of `tasks`; that of export-core takes the next word. */
static struct ca_error *join_group(struct parsed *parsed, int *argc, char **argv)
{
    int command = 1;
    while (command < *argc && argv[command][0] == '-')
        command++;
    if (command == *argc || strcmp(argv[command], "export-core"))
        return NULL;
    for (int i = 1; i + 1 < *argc; i++) {
        struct ca_buf joined = {0};
        const char *word;
        if (strcmp(argv[i], "--group"))
            continue;
        ca_buf_printf(&joined, "--group=%s", argv[i + 1]);
        struct ca_error *error = joined.failed ? &ca_error_nomem : copy(parsed, joined.data, &word);
        ca_buf_deinit(&joined);
        if (error)
            return error;
        argv[i] = (char *)word;
        memmove(&argv[i + 1], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
        --*argc;
    }
    return NULL;
}

/* getopt's variables belong to the process: a debugger's own are put back. */
static struct ca_error *parse_words(struct parsed *parsed, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX];
    char shorts[OPTIONS_MAX * 2 + 3];
    struct ca_error *error = NULL;
    int kept_opterr = opterr, kept_optind = optind, kept_optopt = optopt, got;
    char *kept_optarg = optarg;
    getopt_tables(longs, shorts);
    opterr = 0;
    optind = 0;
    while (!error && (got = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
        error = take(parsed, got, optind > 0 && optind <= argc ? argv[optind - 1] : "?");
    while (!error && optind < argc)
        error = append(parsed, &parsed->words, argv[optind++]);
    opterr = kept_opterr;
    optind = kept_optind;
    optopt = kept_optopt;
    optarg = kept_optarg;
    return error;
}

/* ---- what the words mean ---- */

static struct ca_error *too_many(const char *word)
{
    return ca_error_create(CA_ERROR_INVALID,
                           "\"%.60s\" is one word too many; commands come first, then their "
                           "argument, then one target",
                           word);
}

static struct ca_error *reserved(const char *word)
{
    return ca_error_create(CA_ERROR_UNSUPPORTED,
                           "`%s` is a command for a later version; this one does not have it. "
                           "For a file of that name write ./%s",
                           word, word);
}

/* The command is the first word, when it is one; else it is leaks. Returns the words used up. */
static struct ca_error *take_command(struct parsed *parsed, enum ca_door door,
                                     const struct ca_command **command, size_t *used)
{
    const char *word = parsed->words.len ? parsed->words.data[0] : NULL;
    *command = word ? ca_command_find(word) : NULL;
    *used = *command != NULL;
    if (*command && door == CA_DOOR_DEBUGGER && (*command)->shell_only)
        return ca_error_create(CA_ERROR_INVALID,
                               "`%s` is a command of the shell, not of a debugger", word);
    if (!*command && word && ca_command_reserved(word))
        return reserved(word);
    if (!*command && word && (parsed->words.len > 1 || door == CA_DOOR_DEBUGGER))
        return ca_error_create(CA_ERROR_INVALID,
                               "there is no command \"%.60s\"; there are leaks, tasks, task, "
                               "explain, info, export-core, ps and describe",
                               word);
    if (!*command)
        *command = ca_command_at(0);
    return NULL;
}

static struct ca_error *no_target(const struct ca_command *command)
{
    return ca_error_create(CA_ERROR_INVALID,
                           "no target: name a core file, or -p PID for a running process, as in "
                           "`coreanalyze %s%s%s core`",
                           command->name, command->argument ? " " : "",
                           command->argument ? command->argument : "");
}

static struct ca_error *take_target(struct parsed *parsed, const struct ca_command *command,
                                    size_t used)
{
    struct ca_command_line *line = &parsed->line;
    if (used < parsed->words.len)
        line->target = parsed->words.data[used++];
    if (used < parsed->words.len)
        return too_many(parsed->words.data[used]);
    if (line->target && line->pid != CA_UNKNOWN)
        return ca_error_create(CA_ERROR_INVALID,
                               "two targets: the file %.200s and the process %lld; name one",
                               line->target, (long long)line->pid);
    if (command->no_target && (line->target || line->pid != CA_UNKNOWN))
        return ca_error_create(CA_ERROR_INVALID, "`%s` takes no target", command->name);
    if (!command->no_target && !line->target && line->pid == CA_UNKNOWN)
        return no_target(command);
    return NULL;
}

static struct ca_error *understand(struct parsed *parsed, enum ca_door door)
{
    struct ca_command_line *line = &parsed->line;
    const struct ca_command *command;
    size_t used;
    if (line->version)
        return NULL;
    if (parsed->words.len && !strcmp(parsed->words.data[0], "help")) {
        line->help = true;
        memmove(parsed->words.data, parsed->words.data + 1,
                --parsed->words.len * sizeof(parsed->words.data[0]));
    }
    if (line->help && !parsed->words.len)
        return NULL;
    struct ca_error *error = take_command(parsed, door, &command, &used);
    if (error)
        return error;
    line->request.command = command->name;
    if (line->help)
        return NULL;
    if (command->argument) {
        if (used == parsed->words.len ||
            (door == CA_DOOR_COMMAND && line->pid == CA_UNKNOWN && used + 1 == parsed->words.len))
            return ca_error_create(CA_ERROR_INVALID, "`%s` needs %s%s: `coreanalyze %s %s core`",
                                   command->name, command->argument,
                                   used == parsed->words.len ? "" : " and a target", command->name,
                                   command->argument);
        line->request.argument = parsed->words.data[used++];
    }
    if (!strcmp(command->name, "describe") && !line->check)
        return ca_error_create(CA_ERROR_INVALID,
                               "`describe` needs --check FILE, the description to try");
    if (door == CA_DOOR_DEBUGGER)
        return used < parsed->words.len ? too_many(parsed->words.data[used]) : NULL;
    return take_target(parsed, command, used);
}

/* ---- how to name the target again ---- */

static void add_word(struct ca_buf *buf, const char *word)
{
    if (buf->len)
        ca_buf_putc(buf, ' ');
    if (*word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_-./=:,+@%")]) {
        ca_buf_puts(buf, word);
        return;
    }
    ca_buf_putc(buf, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            ca_buf_puts(buf, "'\\'");
        ca_buf_putc(buf, *word);
    }
    ca_buf_putc(buf, '\'');
}

static void add_option(struct ca_buf *buf, const char *option, const char *value)
{
    if (!value)
        return;
    add_word(buf, option);
    add_word(buf, value);
}

/* The target, and the options without which the answers would not be the same. */
static struct ca_error *name_target(struct parsed *parsed)
{
    struct ca_buf *buf = &parsed->target_words;
    const struct ca_options *options = &parsed->line.options;
    if (parsed->line.target)
        add_word(buf, parsed->line.target);
    if (parsed->line.pid != CA_UNKNOWN)
        ca_buf_printf(buf, "-p %lld", (long long)parsed->line.pid);
    add_option(buf, "--exe", options->exe);
    add_option(buf, "--sysroot", options->sysroot);
    add_option(buf, "--debug-binary", options->debug_binary);
    for (size_t i = 0; i < parsed->runtime_files.len; i++)
        add_option(buf, "--runtime-file", parsed->runtime_files.data[i]);
    if (options->force)
        add_word(buf, "--force");
    if (buf->failed)
        return &ca_error_nomem;
    parsed->line.request.target_words = buf->data;
    return NULL;
}

struct ca_error *ca_request_parse(int argc, const char *const *argv, enum ca_door door,
                                  struct ca_command_line **ret)
{
    struct parsed *parsed = calloc(1, sizeof(*parsed));
    /* getopt wants the program's name before the words, and NULL behind them. */
    char **words = calloc((size_t)argc + 2, sizeof(*words));
    struct ca_error *error = parsed && words ? NULL : &ca_error_nomem;
    if (!error) {
        words[0] = (char *)"coreanalyze";
        for (int i = 0; i < argc; i++)
            words[i + 1] = (char *)argv[i]; /* permuted, never written */
        parsed->line.options.size = sizeof(parsed->line.options);
        parsed->line.pid = CA_UNKNOWN;
        parsed->line.request.limit = CA_UNKNOWN;
        parsed->line.request.debugger = door == CA_DOOR_DEBUGGER;
        argc++;
        error = join_group(parsed, &argc, words);
    }
    if (!error)
        error = parse_words(parsed, argc, words);
    if (!error)
        error = understand(parsed, door);
    if (!error)
        error = name_target(parsed);
    free(words);
    if (error) {
        ca_command_line_destroy(parsed ? &parsed->line : NULL);
        return error;
    }
    parsed->line.options.own = parsed->own.data;
    parsed->line.options.runtime_files = parsed->runtime_files.data;
    *ret = &parsed->line;
    return NULL;
}
