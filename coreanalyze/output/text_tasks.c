#include "output/json.h"
#include "output/text.h"

struct ca_error *ca_text_tasks(struct ca_output *output)
{
    return ca_json_tasks(output);
}
