/* Answers about a description that is being tried. */
#include "session.h"

size_t ca_session_check_count(const struct ca_session *session)
{
    return session->checks.list.len;
}

bool ca_session_check(const struct ca_session *session, size_t i, struct ca_check_info *ret)
{
    if (i >= session->checks.list.len)
        return false;
    const struct ca_check *check = &session->checks.list.data[i];
    *ret = (struct ca_check_info){.line = check->line,
                                  .key = check->key,
                                  .ok = check->ok,
                                  .found = check->found,
                                  .why = check->why};
    return true;
}
