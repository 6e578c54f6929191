#include "sample.h"

#include <stdio.h>
#include <string.h>

void sample_about_to(const char *entry, const char *reason, const void *object, const char *site)
{
    const struct co_task *self = co_self();

    account_note(&(struct account_note){
        .id = self->id,
        .entry = entry,
        .state = reason ? "waiting" : "running",
        .reason = reason,
        .object = object,
        .site = site,
        .creator = (long)self->created_by,
        .created = self->created_at,
        .name = self->name,
    });
}

void sample_done(void)
{
    account_remove(co_self()->id);
}

void sample_settle(void)
{
    /* Each of them may need several turns; and some sleep for a few milliseconds. */
    for (int i = 0; i < 5; i++)
        co_sleep(4 * MS);
}

static void (*chosen)(void);

static void sample_task(void *argument)
{
    (void)argument;
    chosen();
    sample_settle();
    ABOUT_TO(sample_task, NULL, NULL);
    account_end();
}

int sample_main(int argc, char **argv, void (*leak)(void), void (*repaired)(void))
{
    if (argc == 2 && strcmp(argv[1], "leak") == 0)
        chosen = leak;
    else if (argc == 2 && strcmp(argv[1], "repaired") == 0)
        chosen = repaired;
    if (!chosen) {
        fprintf(stderr, "usage: %s leak|repaired\n", argv[0]);
        return 2;
    }
    co_run(sample_task, NULL);
    return 2;
}
