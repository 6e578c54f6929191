#include "output/commands.h"

#include <string.h>

#include "coreanalyze.h"

#define TARGET_HELP                                                                                \
    "\nTARGET is a core file, or -p PID for a running process.\n"                                  \
    "  -e, --exe FILE        the executable, when it cannot be found from the core\n"              \
    "  --sysroot DIR         put before the paths that the core names\n"                           \
    "  --force               go on although executable and core do not match\n"                    \
    "  --no-stop             read a process while it runs: what is seen may not fit together\n"    \
    "  --copy-limit MB       so much of a process' heap may be copied for the proof (default: "    \
    "half\n"                                                                                       \
    "                        of the free memory, at most 4096)\n"                                  \
    "  --format text|json    for a person, or for a script\n"

#define DECIDE_HELP                                                                                \
    "  --threshold N         as many at one place are suspect (default 1000)\n"                    \
    "  --min-age DURATION    waiting for longer is suspect: 90s, 5m, 2h, 3d\n"                     \
    "  --no-proof            rules only, no look at the heap\n"                                    \
    "  --own PREFIX          only what waits in functions or files that begin so\n"                \
    "  --rules FILE          leaves out what its lines name: `ignore top FUNCTION` (it waits\n"    \
    "                        there), any (on the stack), creator, reason, label, id; `use\n"       \
    "                        goleak`; * stands for anything. See docs/rules.md, installed as\n"    \
    "                        share/doc/coreanalyze/rules.md\n"                                     \
    "The rules that make a task suspect: threshold, min-age, io-no-deadline, deep-defers.\n"

static const struct ca_command commands[] = {
    {"leaks", NULL, false, false, "the tasks in groups, leaked ones first (the default)",
     "coreanalyze [leaks] TARGET [OPTIONS]\n\n"
     "Groups the tasks (goroutines, coroutines) by where they wait and where they were made,\n"
     "leaked groups first, with the evidence. Exit status 1 when any is leaked.\n"
     "\n  --verdict LIST        only these: leaked, suspect, waiting, active, system\n"
     "  --sort ORDER          count, age or retained\n"
     "  --limit N             so many groups; 0 shows all\n"
     "  --full                the runtime's own frames as well\n"
     "  --fail-on suspect     exit status 1 for suspect groups, too\n"
     "  --strict              exit status 2 when anything could not be read\n" DECIDE_HELP
         TARGET_HELP "\nExample: what of this core is leaked, the oldest first\n"
     "  coreanalyze core.4711 --verdict leaked --sort age\n"},
    {"tasks", NULL, false, false, "one line a task, or --group",
     "coreanalyze tasks TARGET [OPTIONS]\n\n"
     "Lists every task: id, state, reason, age, where it waits, where it was made.\n"
     "\n  --group               in groups, as `leaks` shows them\n"
     "  --verdict LIST        only these: leaked, suspect, waiting, active, system\n"
     "  --sort ORDER          age, count or retained (of its group)\n"
     "  --limit N             so many lines; 0 shows all\n" TARGET_HELP
     "\nExample: the ten that wait longest\n"
     "  coreanalyze tasks core.4711 --verdict leaked,suspect,waiting --sort age --limit 10\n"},
    {"task", "ID", false, false, "one task in full: stack, what it waits for, who else does",
     "coreanalyze task ID TARGET [OPTIONS]\n\n"
     "Shows one task in full.\n"
     "\n  --full                the runtime's own frames as well, and addresses\n"
     "  --locals              variables and arguments of its frames\n" TARGET_HELP
     "\nExample: goroutine 88123 of this core\n"
     "  coreanalyze task 88123 core.4711 --full\n"},
    {"explain", "ID", false, false, "why a task has its verdict",
     "coreanalyze explain ID TARGET [OPTIONS]\n\n"
     "Says why a task is leaked, or what keeps the thing alive that it waits for.\n" TARGET_HELP
     "\nExample: why is goroutine 88123 called leaked?\n"
     "  coreanalyze explain 88123 core.4711\n"},
    {"info", NULL, false, false, "the target, its runtimes, counts, threads, what is missing",
     "coreanalyze info TARGET [OPTIONS]\n\n"
     "Shows the target, the runtimes found in it, versions, counts, threads and gaps.\n" TARGET_HELP
     "\nExample: what is this core?\n"
     "  coreanalyze info core.4711\n"},
    {"export-core", "OUT", false, false, "a core in which every parked task is a thread",
     "coreanalyze export-core OUT TARGET [OPTIONS]\n\n"
     "Writes a core in which every parked task is a thread, for any debugger.\n"
     "\n  --verdict LIST        only tasks with these verdicts\n"
     "  --group=ID            only the group of this task\n"
     "  --force               replace OUT, too; the input never is\n" TARGET_HELP
     "\nExample: look at leaked goroutines as threads in gdb\n"
     "  coreanalyze export-core leaked.core core.4711 --verdict leaked\n"
     "  gdb ./server leaked.core\n"},
    {"ps", NULL, true, true, "processes of this machine with a known runtime",
     "coreanalyze ps [--format text|json]\n\n"
     "Lists the processes of this machine in which a known runtime lives. Stops nobody.\n"
     "\nExample: find the pid, then look into it\n"
     "  coreanalyze ps\n"
     "  coreanalyze -p 2210\n"},
    {"describe", NULL, false, true, "how a runtime description fits a target",
     "coreanalyze describe --check FILE TARGET [OPTIONS]\n\n"
     "Says, line by line, how a runtime description fits the target.\n" TARGET_HELP
     "\nExample: try a description on a core\n"
     "  coreanalyze describe --check my-runtime.yaml core.4711\n"},
};

static const char overview[] =
    "coreanalyze: what every goroutine and coroutine of a stopped program waits for,\n"
    "and which of them can never run again.\n\n"
    "coreanalyze [COMMAND] [ARGUMENT] TARGET [OPTIONS]\n\n"
    "TARGET is a core file, or -p PID for a running process.\n\n"
    "  leaks            the tasks in groups, leaked ones first (the default)\n"
    "  tasks            one line a task, or --group\n"
    "  task ID          one task in full: stack, what it waits for, who else does\n"
    "  explain ID       why a task has its verdict\n"
    "  info             the target, its runtimes, counts, threads, what is missing\n"
    "  export-core OUT  a core in which every parked task is a thread\n"
    "  ps               processes of this machine with a known runtime\n"
    "  describe         how a runtime description fits a target\n\n"
    "What is found:  --threshold N, --min-age DURATION, --rules FILE, --own PREFIX, --no-proof,\n"
    "                --exe FILE, --sysroot DIR, --force, --runtime-file FILE,\n"
    "                --debug-binary FILE, --no-stop, --copy-limit MB\n"
    "What is shown:  --verdict LIST, --sort count|age|retained, --limit N, --group, --full,\n"
    "                --locals, --format text|json\n"
    "Exit status:    0 nothing leaked, 1 leaks found, 2 not analysed; --fail-on suspect, --strict\n"
    "\n`coreanalyze help COMMAND` says more, with an example. For a start:\n"
    "  coreanalyze core.4711\n";

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

const struct ca_command *ca_command_at(size_t i)
{
    return i < COMMANDS ? &commands[i] : NULL;
}

const struct ca_command *ca_command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

bool ca_command_reserved(const char *name)
{
    static const char *const words[] = {"run",    "watch",          "diff",   "merge",
                                        "reduce", "export-symbols", "handler"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(words[i], name))
            return true;
    return false;
}

const char *ca_command_help(const char *command)
{
    const struct ca_command *found = command ? ca_command_find(command) : NULL;
    if (!command)
        return overview;
    return found ? found->help : NULL;
}

const char *ca_command_name(size_t i)
{
    return i < COMMANDS ? commands[i].name : NULL;
}

/* What decides what is found holds for whatever opens a target. */
#define OPENING "leaks tasks task explain info export-core describe"
#define DECIDING "leaks tasks task explain info export-core"

static const struct ca_option options[] = {
    {"--pid", CA_OPTION_PID, 'p', "PID", OPENING, NULL, true},
    {"--exe", CA_OPTION_EXE, 'e', "FILE", OPENING, NULL, false},
    {"--sysroot", CA_OPTION_SYSROOT, 0, "DIR", OPENING, NULL, false},
    {"--force", CA_OPTION_FORCE, 0, NULL, OPENING, NULL, false},
    {"--debug-binary", CA_OPTION_DEBUG_BINARY, 0, "FILE", OPENING, NULL, false},
    {"--runtime-file", CA_OPTION_RUNTIME_FILE, 0, "FILE", OPENING, NULL, false},
    {"--no-stop", CA_OPTION_NO_STOP, 0, NULL, OPENING, NULL, true},
    {"--copy-limit", CA_OPTION_COPY_LIMIT, 0, "MB", OPENING, NULL, true},
    {"--threshold", CA_OPTION_THRESHOLD, 0, "N", DECIDING, NULL, false},
    {"--min-age", CA_OPTION_MIN_AGE, 0, "DURATION", DECIDING, NULL, false},
    {"--rules", CA_OPTION_RULES, 0, "FILE", DECIDING, NULL, false},
    {"--own", CA_OPTION_OWN, 0, "PREFIX", DECIDING, NULL, false},
    {"--no-proof", CA_OPTION_NO_PROOF, 0, NULL, DECIDING, NULL, false},
    {"--sort", CA_OPTION_SORT, 0, "ORDER", "leaks tasks", "count|age|retained", false},
    {"--verdict", CA_OPTION_VERDICT, 0, "LIST", "leaks tasks export-core",
     "leaked|suspect|waiting|active|system", false},
    {"--limit", CA_OPTION_LIMIT, 0, "N", "leaks tasks", NULL, false},
    {"--group", CA_OPTION_GROUP, 0, NULL, "tasks export-core", NULL, false},
    {"--full", CA_OPTION_FULL, 0, NULL, "leaks task explain", NULL, false},
    {"--locals", CA_OPTION_LOCALS, 0, NULL, "task", NULL, false},
    {"--format", CA_OPTION_FORMAT, 0, "text|json", "leaks tasks task explain info ps describe",
     "text|json", false},
    {"--fail-on", CA_OPTION_FAIL_ON, 0, "suspect", "leaks", "leaked|suspect", true},
    {"--strict", CA_OPTION_STRICT, 0, NULL, OPENING, NULL, true},
    {"--check", CA_OPTION_CHECK, 0, "FILE", "describe", NULL, true},
    {"--help", CA_OPTION_HELP, 'h', NULL, OPENING " ps", NULL, true},
    {"--version", CA_OPTION_VERSION, 0, NULL, "leaks", NULL, true},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

const struct ca_option *ca_option_at(size_t i)
{
    return i < OPTIONS ? &options[i] : NULL;
}

const char *ca_option_name(size_t i)
{
    return i < OPTIONS ? options[i].name : NULL;
}

bool ca_option(size_t i, struct ca_option_info *ret)
{
    const struct ca_option *option = ca_option_at(i);
    if (option)
        *ret = (struct ca_option_info){ca_option_name(i), option->argument, option->values,
                                       option->commands, !option->shell_only};
    return option != NULL;
}
