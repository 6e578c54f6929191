#include "unwind/demangle.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct out {
    char *text;
    size_t size, len;
    size_t last; /* where the last component began */
};

static bool add(struct out *out, const char *text, size_t size)
{
    if (size + 1 > out->size - out->len)
        return false;
    memcpy(out->text + out->len, text, size);
    out->len += size;
    out->text[out->len] = 0;
    return true;
}

static bool component(struct out *out, const char *text, size_t size)
{
    if (out->len && !add(out, "::", 2))
        return false;
    out->last = out->len;
    if (size > 10 && strncmp(text, "_GLOBAL__N", 10) == 0)
        return add(out, "(anonymous namespace)", 21);
    return add(out, text, size);
}

/* <length><text> */
static bool source_name(const char **at, struct out *out)
{
    size_t size = 0;
    while (isdigit((unsigned char)**at) && size < 1000)
        size = size * 10 + (size_t)(*(*at)++ - '0');
    if (!size || strnlen(*at, size) < size)
        return false;
    bool ok = component(out, *at, size);
    *at += size;
    return ok;
}

/* Past I ... E: nested template arguments, names by their lengths so that an E inside is not
 * taken for the end. */
static bool skip_arguments(const char **at)
{
    int depth = 0;
    do {
        char c = **at;
        if (!c)
            return false;
        if (isdigit((unsigned char)c)) {
            size_t size = 0;
            while (isdigit((unsigned char)**at) && size < 1000)
                size = size * 10 + (size_t)(*(*at)++ - '0');
            if (strnlen(*at, size) < size)
                return false;
            *at += size;
            continue;
        }
        if (c == 'L')
            return false; /* a literal: its digits are no length */
        if (c == 'S') {
            ++*at; /* a substitution: St, Sa, S_, S0_ */
            if (**at == 0)
                return false;
            if (isdigit((unsigned char)**at) || isupper((unsigned char)**at))
                while (**at && **at != '_')
                    ++*at;
            if (**at)
                ++*at;
            continue;
        }
        if (strchr("INXJF", c))
            depth++;
        else if (c == 'E')
            depth--;
        ++*at;
    } while (depth > 0);
    return true;
}

static bool last_again(struct out *out, const char *before)
{
    char name[128];
    size_t size = out->len - out->last;
    if (size >= sizeof(name))
        return false;
    memcpy(name, out->text + out->last, size);
    const char *angle = memchr(name, '<', size);
    if (angle)
        size = (size_t)(angle - name);
    char whole[160];
    int n = snprintf(whole, sizeof(whole), "%s%.*s", before, (int)size, name);
    return component(out, whole, (size_t)n);
}

static bool nested(const char **at, struct out *out)
{
    while (**at == 'r' || **at == 'V' || **at == 'K' || **at == 'R' || **at == 'O')
        ++*at;
    while (**at && **at != 'E') {
        if (isdigit((unsigned char)**at)) {
            if (!source_name(at, out))
                return false;
        } else if (strncmp(*at, "St", 2) == 0 && !out->len) {
            *at += 2;
            if (!component(out, "std", 3))
                return false;
        } else if ((**at == 'C' || **at == 'D') && isdigit((unsigned char)(*at)[1]) && out->len) {
            if (!last_again(out, **at == 'D' ? "~" : ""))
                return false;
            *at += 2;
        } else if (**at == 'I' && out->len) {
            if (!skip_arguments(at) || !add(out, "<...>", 5))
                return false;
        } else if (strncmp(*at, "cl", 2) == 0) {
            *at += 2;
            if (!component(out, "operator()", 10))
                return false;
        } else {
            return false;
        }
    }
    return **at == 'E';
}

bool ca_demangle(const char *name, char *text, size_t size)
{
    struct out out = {.text = text, .size = size};
    if (strncmp(name, "_Z", 2) != 0 || !size)
        return false;
    const char *at = name + 2;
    text[0] = 0;
    if (*at == 'N') {
        at++;
        return nested(&at, &out);
    }
    if (strncmp(at, "St", 2) == 0) {
        at += 2;
        if (!component(&out, "std", 3))
            return false;
    }
    return source_name(&at, &out) && (*at != 'I' || add(&out, "<...>", 5));
}
