/*
 * A sample's own account of its tasks, against which a debugger's is checked.
 *
 * It is printed on stdout, when all tasks are parked, as tab-separated lines:
 *
 *   #id  entry  state  reason  object  site  creator  created  name
 *
 * id       the runtime's number, or the task's address where it has none
 * entry    the function that the task runs
 * state    waiting, or running (the task that prints)
 * reason   what it waits for, in the words of the runtime's description; - for nothing
 * object   address of what it waits for, 0x..., or fd:N for a descriptor; - for nothing
 * site     the function of the sample in which it waits; - where it never ran
 * creator  id of the task that created it, 0 for none; - where the runtime does not record it
 * created  file:line of its creation; - where the runtime does not record it
 * name     - for none
 *
 * in the order of parking; then one line "ready". Then the sample dies by abort(), or, with
 * SAMPLE_DIE=wait in the environment, waits to be looked at until it is killed.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Notes that the task (its id, or address) is about to wait. All strings are literals or live as
 * long as the task; created and name may be NULL. A later note on the same task replaces the
 * earlier one. The last note must come from the task that prints. */
struct account_note {
    unsigned long id;
    const char *entry;
    const char *state;
    const char *reason;
    const void *object;
    int fd; /* instead of object; 0: none */
    const char *site;
    long creator; /* -1: not recorded */
    const char *created;
    const char *name;
};
void account_note(const struct account_note *note);

/* The task has ended, or waits no longer. */
void account_remove(unsigned long id);

/* How the ids are printed: "%lu" unless set to "0x%lx". */
void account_ids(const char *format);

/* Prints the account and "ready", and forgets the account, so that no trace of it is left in a
 * core; then dies or waits. Does not return. */
void account_end(void) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#endif
