#include "output/json.h"
#include "output/text.h"

struct ca_error *ca_text_leaks(struct ca_output *output)
{
    return ca_json_leaks(output);
}
