/* Durations as a person types them. */
#ifndef CA_OUTPUT_DURATION_H
#define CA_OUTPUT_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* "90s", "5m", "2h", "3d", "250ms", also one behind the other ("1h30m"); false when it is none,
 * or too long for a number of nanoseconds. */
bool ca_duration_parse(const char *text, int64_t *ns);

#endif
