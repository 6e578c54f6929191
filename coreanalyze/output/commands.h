/* The commands and options of the contract: one table each, for parsing, help and completion. */
#ifndef CA_OUTPUT_COMMANDS_H
#define CA_OUTPUT_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

struct ca_command {
    const char *name;
    const char *argument; /* the word before TARGET; NULL: none */
    bool no_target;       /* looks at this machine, not at a target */
    bool shell_only;      /* not in a debugger, which has its own target */
    const char *summary;
    const char *help;
};

/* NULL behind the last, and for no such name. */
const struct ca_command *ca_command_at(size_t i);
const struct ca_command *ca_command_find(const char *name);

/* A word that the contract keeps for later. */
bool ca_command_reserved(const char *name);

enum ca_option_id {
    CA_OPTION_PID = 256,
    CA_OPTION_EXE,
    CA_OPTION_SYSROOT,
    CA_OPTION_FORCE,
    CA_OPTION_DEBUG_BINARY,
    CA_OPTION_RUNTIME_FILE,
    CA_OPTION_NO_STOP,
    CA_OPTION_COPY_LIMIT,
    CA_OPTION_THRESHOLD,
    CA_OPTION_MIN_AGE,
    CA_OPTION_RULES,
    CA_OPTION_OWN,
    CA_OPTION_NO_PROOF,
    CA_OPTION_SORT,
    CA_OPTION_VERDICT,
    CA_OPTION_LIMIT,
    CA_OPTION_GROUP,
    CA_OPTION_FULL,
    CA_OPTION_LOCALS,
    CA_OPTION_FORMAT,
    CA_OPTION_FAIL_ON,
    CA_OPTION_STRICT,
    CA_OPTION_CHECK,
    CA_OPTION_HELP,
    CA_OPTION_VERSION
};

struct ca_option {
    const char *name; /* with its dashes */
    enum ca_option_id id;
    char letter;          /* 0: none */
    const char *argument; /* what it takes; NULL: nothing */
    const char *commands; /* that heed it, with blanks between */
    const char *values;   /* of its argument, with | between; NULL: anything */
    bool shell_only;      /* a debugger has its own target, and no exit status */
};

/* NULL behind the last. */
const struct ca_option *ca_option_at(size_t i);

#endif
