#include "base/distance.h"

#include <string.h>
#include <strings.h>

enum { WORD = 64 };

unsigned ca_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned row[WORD + 1];
    if (!strcmp(a, b))
        return 0;
    if (!strcasecmp(a, b))
        return 1;
    if (n > WORD || m > WORD || (n > m ? n - m : m - n) >= CA_DISTANCE_FAR || n < 4)
        return CA_DISTANCE_FAR;
    /* Of a short word, two letters are too much. */
    unsigned most = n < 6 ? 1 : CA_DISTANCE_FAR - 1;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            unsigned add = row[j - 1] + 1, drop = row[j] + 1;
            row[j] = change < add ? change : add;
            row[j] = row[j] < drop ? row[j] : drop;
        }
    }
    return row[m] <= most ? row[m] : CA_DISTANCE_FAR;
}
