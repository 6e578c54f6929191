/* coreanalyze: what every task of a stopped program waits for, and which can never run again.
 *
 * The order of calls: open a session on a target (ca_session_open_core, ca_session_attach or
 * ca_session_from_ops), ask (ca_session_task, ca_session_group, ... or ca_session_write for a whole
 * document), destroy. The session analyses on opening; a live target runs on as soon as the open
 * call returns.
 *
 * Failure: calls that can fail return a struct ca_error *, NULL for success; the caller destroys it
 * with ca_error_destroy. What could be read only in part is a gap, not an error.
 * Ownership: whoever calls _open, _attach, _from_ops or _create calls _destroy; everything else is
 * borrowed from the session and dies with it.
 * Units: times are nanoseconds, sizes bytes, addresses the target's. CA_UNKNOWN stands for a number
 * that is not known, NULL for text that is not known.
 * Threads: a session belongs to one thread at a time. Sessions do not share anything.
 */
#ifndef COREANALYZE_H
#define COREANALYZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CA_UNKNOWN INT64_MIN

struct ca_session;

/* "1.0.0": of the library that runs, for comparing with what was compiled against. */
const char *ca_version(void);

/* ---- opening ---------------------------------------------------------------------------- */

/* Called now and then from every long call, on the caller's thread: what is being done, and how
 * far (total 0: not known). Returning false cancels; what is then missing is a gap. */
typedef bool ca_progress_fn(void *arg, const char *what, uint64_t done, uint64_t total);

/* What decides what is found. Zero it, set size, then what differs; NULL and 0 are the defaults. */
struct ca_options {
    size_t size; /* sizeof(struct ca_options) */
    const char *exe;
    const char *sysroot;
    const char *debug_binary;
    const char *const *runtime_files; /* NULL-ended */
    const char *rules;
    const char *const *own; /* NULL-ended prefixes of functions or files that are the user's own */
    int64_t threshold;      /* 0: 1000 */
    int64_t min_age_ns;     /* 0: off */
    bool force;             /* go on although executable and core do not match */
    bool no_proof;
    bool no_stop; /* live: read without stopping */
    ca_progress_fn *progress;
    void *progress_arg;
    bool hold; /* live: stands still until the session is destroyed, so that ca_session_locals and
                * ca_session_export_core can read what the analysis did not need */
    const char *check; /* a description to try, alone: see ca_session_check */
    /* Live: bytes of the target's heap that may be copied for the proof; where that is not enough,
     * nothing is proved. 0: half of the memory that is free here, at most 4 GiB. */
    int64_t copy_limit;
};

/* A core file. The session keeps the file mapped until it is destroyed. */
struct ca_error *ca_session_open_core(const char *path, const struct ca_options *options,
                                      struct ca_session **ret);

/* A live process: stopped, read, let go. */
struct ca_error *ca_session_attach(int64_t pid, const struct ca_options *options,
                                   struct ca_session **ret);

/* Registers by DWARF number: amd64 0..15 general, 16 rip; arm64 0..30 x, 31 sp, 32 pc. */
#define CA_REGS_MAX 34
struct ca_regs {
    uint64_t value[CA_REGS_MAX];
    uint64_t known; /* bit n: value[n] is known */
};

/* A target in somebody else's hands (a debugger's). All calls happen on the caller's thread, while
 * a call with the session runs; ops and arg must live as long as the session, and the target stand
 * still. */
struct ca_target_ops {
    size_t size; /* sizeof(struct ca_target_ops) */
    /* Reads exactly size bytes; false when any is not there. */
    bool (*read)(void *arg, uint64_t address, void *buffer, size_t size);
    /* The i-th thread; false when there is none. name may stay empty; tls is fs_base or tpidr. */
    bool (*thread)(void *arg, size_t i, int64_t *tid, struct ca_regs *regs, uint64_t *tls,
                   char name[16]);
    /* The i-th mapping; false when there is none; path may be NULL; flags are PF_R, PF_W, PF_X.
     * When the debugger knows modules only, one range for each loadable segment will do. */
    bool (*mapping)(void *arg, size_t i, uint64_t *start, uint64_t *end, uint64_t *file_offset,
                    uint32_t *flags, const char **path);
    const char *arch; /* "amd64" or "arm64" */
    const char *path; /* what the debugger has open, for the report; may be NULL */
    const char *executable;
    int64_t pid;     /* or CA_UNKNOWN */
    int64_t now_ns;  /* CLOCK_MONOTONIC of the target's machine when it stopped, or CA_UNKNOWN: then
                      * ages and deadlines are not known */
    int64_t wall_ns; /* CLOCK_REALTIME likewise, or CA_UNKNOWN */
    /* The other registers of the i-th thread, those of vectors, as words in any order: they may
     * hold the only pointer to an object. Borrowed until the next call; false: not known. */
    bool (*vectors)(void *arg, size_t i, const void **bytes, size_t *size);
};
struct ca_error *ca_session_from_ops(const struct ca_target_ops *ops, void *arg,
                                     const struct ca_options *options, struct ca_session **ret);

/* NULL is allowed. */
void ca_session_destroy(struct ca_session *session);

/* ---- answers: the words of the contract, as text ------------------------------------------ */

struct ca_target_info {
    const char *kind; /* core, live, debugger */
    const char *path;
    int64_t pid;
    const char *executable;
    const char *build_id; /* lower-case hex */
    const char *arch;     /* amd64, arm64 */
    const char *signal;   /* "SIGABRT" */
    bool complete;
    int64_t stopped_ns; /* live: how long the target stood still */
    int64_t uptime_ns;  /* age of the process at the snapshot */
    bool stripped;      /* the executable carries no symbol table */
    const char *cause;  /* what it died of, in its runtime's words: "panic: ..." */
};
void ca_session_target(const struct ca_session *session, struct ca_target_info *ret);

struct ca_runtime_info {
    const char *name;      /* "go", "pth" */
    const char *title;     /* for a person: "Go" */
    const char *version;   /* "go1.22.5" as the target has it */
    const char *layout;    /* dwarf, built-in, debug-binary, description */
    const char *task_noun; /* "goroutine", "task", "thread" */
    int64_t tasks, counted;
    int64_t system;       /* how many of the tasks are the runtime's own; counters leave them out */
    const char *left_out; /* what was found and is no task: "1 idle, 30 pooled"; NULL: nothing */
};
size_t ca_session_runtime_count(const struct ca_session *session);
bool ca_session_runtime(const struct ca_session *session, size_t i, struct ca_runtime_info *ret);

/* How the description of ca_options.check fits, in the order of its lines; a line may come more
 * than once. ok false: why says the reason; found may be NULL. */
struct ca_check_info {
    int64_t line;
    const char *key;
    bool ok;
    const char *found, *why;
};
size_t ca_session_check_count(const struct ca_session *session);
bool ca_session_check(const struct ca_session *session, size_t i, struct ca_check_info *ret);

struct ca_gap_info {
    const char *what; /* "stack of goroutine 17" */
    bool has_address;
    uint64_t address;
    const char *why;
};
size_t ca_session_gap_count(const struct ca_session *session);
bool ca_session_gap(const struct ca_session *session, size_t i, struct ca_gap_info *ret);

struct ca_frame_info {
    uint64_t pc, sp;
    const char *function, *file;
    int64_t line;
    bool inlined;
    bool runtime; /* the runtime's own or the standard library's synchronisation: not a site */
};

struct ca_site_info {
    const char *function, *file;
    int64_t line;
};

struct ca_case_info {
    const char *direction; /* send, receive */
    uint64_t address;      /* 0: a nil channel */
    int64_t capacity, length;
    int closed; /* 0, 1; -1 not known */
    int64_t senders, receivers;
};

struct ca_wait_info {
    const char *kind; /* channel, select, mutex, ...; NULL: waits for nothing that is known */
    bool has_address;
    struct ca_case_info channel; /* kind channel; for other kinds its address only */
    const struct ca_case_info *cases;
    size_t case_count;
    char owner[48]; /* a task id, or empty */
    int64_t waiters, counter, fd, deadline_ns;
};

struct ca_label_info {
    const char *key, *value;
};

struct ca_task_info {
    char id[48];
    uint64_t address;
    const char *runtime;
    const char *name;
    const char *state;
    const char *reason;
    int64_t since_ns;
    const char *verdict, *rule, *proof;
    struct ca_wait_info waiting_for;
    struct ca_site_info entry;   /* function NULL: not known */
    struct ca_site_info created; /* function and file NULL: not known */
    char created_by[48];
    const char *known_from;
    int64_t thread;
    uint64_t stack_low, stack_high;     /* both 0: not known */
    const struct ca_frame_info *frames; /* valid until the next call with this session */
    size_t frame_count;
    const struct ca_label_info *labels;
    size_t label_count;
    const char *const *notes;
    size_t note_count;
    size_t group; /* index for ca_session_group, or SIZE_MAX */
};

/* Tasks in the order of their ids. */
size_t ca_session_task_count(const struct ca_session *session);
struct ca_error *ca_session_task(struct ca_session *session, size_t i, struct ca_task_info *ret);
/* CA_ERROR_NOT_FOUND when no task has this id. */
struct ca_error *ca_session_find_task(const struct ca_session *session, const char *id,
                                      size_t *ret);
/* Only the id: cheap, for completion and lists. */
void ca_session_task_id(const struct ca_session *session, size_t i, char id[48]);

/* Only what it waits for: cheaper than all of it. Its cases are borrowed until the next call. */
struct ca_error *ca_session_wait(struct ca_session *session, size_t i, struct ca_wait_info *ret);

/* Indexes of other tasks that wait for the same thing as task i; borrowed until the next call. */
struct ca_error *ca_session_others(struct ca_session *session, size_t i, const size_t **ret,
                                   size_t *count);

struct ca_evidence_info {
    const char *kind;
    bool has_address;
    uint64_t address;
    char task[48]; /* an id, or empty */
    const char *text;
};

struct ca_group_info {
    const char *verdict, *rule, *proof, *pattern, *confidence;
    size_t count;
    const size_t *members; /* task indexes, ascending */
    const char *reason;
    struct ca_frame_info site; /* function NULL: not known */
    struct ca_site_info created;
    char created_by[48]; /* of the first member */
    const char *known_from;
    const struct ca_evidence_info *evidence;
    size_t evidence_count;
    int64_t stack_bytes, heap_bytes; /* what would come back; CA_UNKNOWN without a heap walk */
    int64_t oldest_ns;
    const char *advice;
};
/* Worst verdict first, then largest. frames, waiting_for: those of members[0]. */
size_t ca_session_group_count(const struct ca_session *session);
bool ca_session_group(const struct ca_session *session, size_t i, struct ca_group_info *ret);

/* Why a task has its verdict: evidence for a leaked one, else the path from a root. */
struct ca_path_info {
    const char *kind; /* root, edge */
    uint64_t address;
    const char *name, *type;
    int64_t offset;
    const char *function;
    int64_t line;
};
struct ca_explanation {
    const struct ca_evidence_info *evidence;
    size_t evidence_count;
    const struct ca_path_info *path;
    size_t path_count;
};
struct ca_error *ca_session_explain(struct ca_session *session, size_t i,
                                    struct ca_explanation *ret);

struct ca_thread_info {
    int64_t tid;
    char name[16];
    char task[48]; /* the task that it runs, or empty */
    uint64_t pc;
    int signal;
};
size_t ca_session_thread_count(const struct ca_session *session);
bool ca_session_thread(const struct ca_session *session, size_t i, struct ca_thread_info *ret);

/* The registers of one frame of a parked task: pc and sp always, what else is known. Frame 0 is the
 * innermost; an inlined frame has those of the frame it lies in. For a debugger that unwinds on
 * from there. CA_ERROR_NOT_FOUND: no such frame. */
struct ca_error *ca_session_frame_regs(struct ca_session *session, size_t i, size_t frame,
                                       struct ca_regs *ret);

/* A local variable or argument of a frame, read by the debug information. */
struct ca_local_info {
    const char *name, *type; /* type NULL: not known */
    const char *value;       /* NULL: not there, see why */
    const char *why;         /* "optimised out", "not readable"; NULL with a value */
    bool argument;
};
/* In the order of their declaration; borrowed until the next call. CA_ERROR_NOT_FOUND: no such
 * frame; CA_ERROR_UNSUPPORTED: no debug information there, and what would help. */
struct ca_error *ca_session_locals(struct ca_session *session, size_t i, size_t frame,
                                   const struct ca_local_info **ret, size_t *count);

/* Writes a core in which every parked task is a thread of its own, for any debugger. */
struct ca_export_options {
    size_t size;         /* sizeof(struct ca_export_options) */
    const char *verdict; /* comma-separated verdicts to export; NULL: all */
    const char *group;   /* an id: only the tasks of its group; NULL: all */
    bool overwrite;      /* an existing file; the input never is */
};
/* *count: tasks written as threads. out appears whole or not at all. */
struct ca_error *ca_session_export_core(struct ca_session *session, const char *out,
                                        const struct ca_export_options *options, size_t *count);

struct ca_memory_info {
    int64_t heap_in_use, stacks_in_use, last_gc_ns; /* last_gc_ns: time passed since */
    int64_t procs, cpus;
};
void ca_session_memory(const struct ca_session *session, struct ca_memory_info *ret);

/* ---- the processes of this machine -------------------------------------------------------- */

struct ca_processes;

/* A process in which a known runtime lives, or most likely lives. */
struct ca_process_info {
    int64_t pid;
    const char *program;                    /* name of its file; NULL: not known */
    const struct ca_runtime_info *runtimes; /* tasks CA_UNKNOWN where it could not be read */
    size_t runtime_count;
    int stripped; /* 1: its executable carries no symbol table, 0: it does, -1: not known */
    int64_t threads;
    bool readable;
    const char *why; /* not readable: why, and what to do; else NULL, or what is missing */
};

/* Looks at every process but the caller's own, and stops none: the counts of tasks may be torn.
 * Of the options those that decide what is found are used: runtime_files, sysroot, progress. A
 * process that may not be read is listed when its command line names a file of a known runtime.
 * Errors: no memory, no /proc, cancelled. */
struct ca_error *ca_processes_create(const struct ca_options *options, struct ca_processes **ret);
/* NULL is allowed. */
void ca_processes_destroy(struct ca_processes *processes);

/* In the order of their pids; what is given lives as long as processes. */
size_t ca_processes_count(const struct ca_processes *processes);
bool ca_processes_get(const struct ca_processes *processes, size_t i, struct ca_process_info *ret);

/* ---- documents ------------------------------------------------------------------------------ */

/* One command with its options, as all doors understand it. */
struct ca_request {
    const char *command;  /* leaks, tasks, task, explain, info */
    const char *argument; /* an id, where the command takes one */
    bool json;
    const char *sort;    /* count, age, retained; NULL: the command's own order */
    const char *verdict; /* comma-separated verdicts to show; NULL: all */
    int64_t limit;       /* CA_UNKNOWN: the format's own choice; 0: no limit */
    bool group, full, locals, fail_on_suspect, strict;
    bool colour;
    int width;                /* of the terminal; 0: 100 */
    const char *target_words; /* how the user named the target: for the "Next:" line */
    bool debugger;            /* the Next line names debugger commands */
    const char *group_of;     /* --group=ID, of export-core; NULL: all */
};

/* Receives a piece of the document; returning false stops the writing. */
typedef bool ca_sink_fn(void *arg, const char *text, size_t size);

/* Writes the document for one request. *status is the exit status of the contract (0 or 1). */
struct ca_error *ca_session_write(struct ca_session *session, const struct ca_request *request,
                                  ca_sink_fn *sink, void *arg, int *status);

/* The `ps` document. Of the request only json counts. */
struct ca_error *ca_processes_write(const struct ca_processes *processes,
                                    const struct ca_request *request, ca_sink_fn *sink, void *arg);

/* ---- words ---------------------------------------------------------------------------------- */

/* Who asks: a shell's words name a target, a debugger's do not. */
enum ca_door { CA_DOOR_COMMAND, CA_DOOR_DEBUGGER };

/* The words of one call, understood: "[COMMAND] [ARGUMENT] [TARGET] [OPTIONS]". */
struct ca_command_line {
    struct ca_request request;
    struct ca_options options;
    const char *target; /* path of a core file; NULL: none was named */
    int64_t pid;        /* of -p; CA_UNKNOWN: none was named */
    const char *check;  /* of describe --check */
    bool help, version; /* asked for; with help, request.command names the command, or is NULL */
};

/* Parses the words behind the program's name (or behind `leaks` in a debugger). Everything in *ret
 * is its own copy. CA_ERROR_INVALID: the call is wrong, and how; CA_ERROR_UNSUPPORTED: a command of
 * the contract that this build does not have. Uses getopt, so not in two threads at once. */
struct ca_error *ca_request_parse(int argc, const char *const *argv, enum ca_door door,
                                  struct ca_command_line **ret);
/* NULL is allowed. */
void ca_command_line_destroy(struct ca_command_line *line);

/* Help with a worked example; NULL for the whole program. NULL is returned for no such command. */
const char *ca_command_help(const char *command);

/* For completion: the i-th command, the i-th option with its dashes; NULL behind the last. */
const char *ca_command_name(size_t i);
const char *ca_option_name(size_t i);

/* What is to be known of an option; the strings live as long as the library. */
struct ca_option_info {
    const char *name;     /* with its dashes */
    const char *argument; /* "FILE", "N"; NULL: it takes none */
    const char *values;   /* "text|json": what its argument may be; NULL: anything */
    const char *commands; /* where it means something: "leaks tasks"; words with blanks between */
    bool debugger;        /* it means something in a debugger, which has its own target */
};
/* false behind the last. */
bool ca_option(size_t i, struct ca_option_info *ret);

#ifdef __cplusplus
}
#endif

#endif
