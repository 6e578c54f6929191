/* A runtime as an object of a document: the same in every document. */
#ifndef CA_OUTPUT_JSON_RUNTIME_H
#define CA_OUTPUT_JSON_RUNTIME_H

#include "output/json_writer.h"

void ca_json_put_runtime(struct ca_json *json, const struct ca_runtime_info *runtime);

#endif
