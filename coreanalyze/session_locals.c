/* Variables of a frame, by the debug information. */
#include "session.h"

struct ca_error *ca_session_locals(struct ca_session *session, size_t i, size_t frame,
                                   const struct ca_local_info **ret, size_t *count)
{
    (void)session, (void)i, (void)frame;
    *ret = NULL;
    *count = 0;
    return ca_error_create(CA_ERROR_UNSUPPORTED, "this build does not read variables yet");
}
