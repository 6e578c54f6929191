#include "output/json_runtime.h"

void ca_json_put_runtime(struct ca_json *json, const struct ca_runtime_info *runtime)
{
    ca_json_object(json);
    ca_json_key(json, "name");
    ca_json_string(json, runtime->name);
    ca_json_key(json, "version");
    ca_json_string(json, runtime->version);
    ca_json_key(json, "layout");
    ca_json_string(json, runtime->layout);
    ca_json_key(json, "tasks");
    ca_json_int(json, runtime->tasks);
    ca_json_key(json, "counted");
    ca_json_int(json, runtime->counted);
    ca_json_end(json);
}
