#include "output/json.h"
#include "output/text.h"

struct ca_error *ca_text_task(struct ca_output *output)
{
    return ca_json_task(output);
}
