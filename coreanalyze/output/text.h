/* The text documents, one function for each command. */
#ifndef CA_OUTPUT_TEXT_H
#define CA_OUTPUT_TEXT_H

#include "output/output.h"

struct ca_error *ca_text_leaks(struct ca_output *output); /* and tasks --group */
struct ca_error *ca_text_tasks(struct ca_output *output);
struct ca_error *ca_text_task(struct ca_output *output);
struct ca_error *ca_text_explain(struct ca_output *output);
struct ca_error *ca_text_describe(struct ca_output *output);
struct ca_error *ca_text_info(struct ca_output *output);

#endif
