#include "output/duration.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ms", 1000000},        {"s", 1000000000},       {"m", 60000000000},
    {"h", 3600000000000ll}, {"d", 86400000000000ll},
};

static bool parse_unit(const char **text, int64_t *ns)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t size = strlen(units[i].name);
        if (!strncmp(*text, units[i].name, size)) {
            *text += size;
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

bool ca_duration_parse(const char *text, int64_t *ns)
{
    *ns = 0;
    if (!*text)
        return false;
    while (*text) {
        int64_t number = 0, unit, part;
        if (*text < '0' || *text > '9')
            return false;
        for (; *text >= '0' && *text <= '9'; text++)
            if (__builtin_mul_overflow(number, 10, &number) ||
                __builtin_add_overflow(number, *text - '0', &number))
                return false;
        if (!parse_unit(&text, &unit) || __builtin_mul_overflow(number, unit, &part) ||
            __builtin_add_overflow(*ns, part, ns))
            return false;
    }
    return true;
}
