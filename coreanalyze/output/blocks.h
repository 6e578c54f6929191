/* The labelled lines that leaks, task and explain have in common. */
#ifndef CA_OUTPUT_BLOCKS_H
#define CA_OUTPUT_BLOCKS_H

#include "output/words.h"

/* "function      folder/file.go:12", the files in one column where there is room. */
void ca_block_place(struct ca_buf *buf, const struct ca_paths *paths, const char *function,
                    const char *file, int64_t line, int width);

/* "  label        text"; nothing for NULL. */
void ca_block_line(struct ca_buf *buf, const char *label, const char *text);

/* "because      ...", a line each. */
void ca_block_evidence(struct ca_buf *buf, const struct ca_output *output,
                       const struct ca_evidence_info *list, size_t count);

/* What it waits for, the cases of a select below; proof: the task's, or NULL when
 * evidence below says it. */
void ca_block_waiting_for(struct ca_buf *buf, const struct ca_output *output,
                          const struct ca_wait_info *wait, const char *proof, size_t cases);

/* How many frames at either end of a stack are shown; the others are counted. */
struct ca_shown_frames {
    size_t inner, outer;
};

/* The user's frames, or with full all of them. */
void ca_block_stack(struct ca_buf *buf, const struct ca_paths *paths,
                    const struct ca_task_info *task, bool full, struct ca_shown_frames limit,
                    int width);

/* "Next: coreanalyze explain ID TARGET", in the words of the door that asks. */
void ca_block_next(struct ca_buf *buf, const struct ca_request *request, const char *command,
                   const char *id);

#endif
