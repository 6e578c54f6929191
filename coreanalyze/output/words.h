/* Text for a person: numbers, ages, sizes, places, what a task waits for, all in words. */
#ifndef CA_OUTPUT_WORDS_H
#define CA_OUTPUT_WORDS_H

#include "base/buf.h"
#include "output/output.h"

/* Text of the target's: control bytes as \xNN, and what is not UTF-8 too. */
void ca_words_clean(struct ca_buf *buf, const char *text);

void ca_words_number(struct ca_buf *buf, int64_t n);                  /* 48,213 */
void ca_words_count(struct ca_buf *buf, int64_t n, const char *noun); /* 1 group, 2 groups */
void ca_words_age(struct ca_buf *buf, int64_t ns);                    /* 6d 3h, 12s, 40 ms */
void ca_words_size(struct ca_buf *buf, int64_t bytes);                /* 1.9 GB */

/* Without the package's path: api.(*Client).fetch; not wider than width, cut in the middle. */
void ca_words_function(struct ca_buf *buf, const char *function, int width);
/* Cut in the middle; whole when width is less than 6. */
void ca_words_cut(struct ca_buf *buf, const char *text, int width);

/* What is common to the paths shown: the build folder, found from the groups' sites. */
struct ca_paths {
    char common[1024]; /* ends in '/', or is empty */
};
void ca_paths_learn(struct ca_paths *paths, struct ca_session *session);
void ca_words_place(struct ca_buf *buf, const struct ca_paths *paths, const char *file,
                    int64_t line);

/* One line: "a receiver on chan 0xc0004a2060, unbuffered; none waits". */
void ca_words_waiting_for(struct ca_buf *buf, const struct ca_wait_info *wait, const char *noun);
void ca_words_case(struct ca_buf *buf, const struct ca_case_info *one);

/* What the session's tasks are called, singular: goroutine. */
const char *ca_words_noun(const struct ca_session *session);

/* The first frame that is not the runtime's; the first at all; NULL. */
const struct ca_frame_info *ca_words_site(const struct ca_task_info *task);

/* Two lines at the top of every document: the target; what is in it. */
void ca_words_headline(struct ca_buf *buf, const struct ca_session *session);
/* What could not be read, at the end. */
void ca_words_gaps(struct ca_buf *buf, const struct ca_session *session, bool all);

void ca_words_runtime(struct ca_buf *buf, const struct ca_runtime_info *runtime); /* Go 1.22.5 */

/* Columns there are: the terminal's, or 100. */
int ca_words_width(const struct ca_request *request);

/* Moves the text, whole lines, to the sink and empties the buffer; lines that are too long are
 * wrapped. Fails when the buffer did. */
struct ca_error *ca_words_out(struct ca_buf *buf, struct ca_output *output);

/* "  label        " of the blocks. */
void ca_words_label(struct ca_buf *buf, const char *label);

#endif
