/* The parts of documents that are about one task. Every key is always there, in the contract's
 * order; what is not known is null. */
#ifndef CA_OUTPUT_JSON_TASK_H
#define CA_OUTPUT_JSON_TASK_H

#include "output/json_writer.h"

void ca_json_put_task(struct ca_json *json, const struct ca_task_info *task);
void ca_json_put_frames(struct ca_json *json, const struct ca_frame_info *frames, size_t count);
void ca_json_put_waiting_for(struct ca_json *json, const struct ca_wait_info *wait);

/* An object of function, file and line; null when none is known. */
void ca_json_put_site(struct ca_json *json, const char *function, const char *file, int64_t line);
void ca_json_put_created(struct ca_json *json, const struct ca_site_info *site, const char *by,
                         const char *known_from);

/* NULL and "" are null: ids and other short text in arrays. */
void ca_json_put_id(struct ca_json *json, const char *id);
void ca_json_put_optional_address(struct ca_json *json, bool known, uint64_t address);

/* Whether two keys of the target's would be one key in the document: what is not UTF-8 becomes
 * the same U+FFFD. A key may be there once only. */
bool ca_json_same_key(const char *a, const char *b);

#endif
