#include "output/json.h"
#include "output/text.h"

struct ca_error *ca_text_info(struct ca_output *output)
{
    return ca_json_info(output);
}
