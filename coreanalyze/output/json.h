/* The JSON documents of the contract, one function for each command. */
#ifndef CA_OUTPUT_JSON_H
#define CA_OUTPUT_JSON_H

#include "output/output.h"

struct ca_error *ca_json_leaks(struct ca_output *output); /* and tasks --group */
struct ca_error *ca_json_tasks(struct ca_output *output);
struct ca_error *ca_json_task(struct ca_output *output);
struct ca_error *ca_json_explain(struct ca_output *output);
struct ca_error *ca_json_describe(struct ca_output *output);
struct ca_error *ca_json_info(struct ca_output *output);

#endif
