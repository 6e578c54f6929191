/* Whether each thing that a description says stands where it has a meaning. */
#ifndef CA_DESCRIBED_PLACES_H
#define CA_DESCRIBED_PLACES_H

#include "runtimes/described/description.h"

/* NULL, or an error with the line of what would never be looked at. */
struct ca_error *ca_description_places(const struct ca_description *description);

#endif
