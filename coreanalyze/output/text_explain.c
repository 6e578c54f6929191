#include "output/json.h"
#include "output/text.h"

struct ca_error *ca_text_explain(struct ca_output *output)
{
    return ca_json_explain(output);
}
