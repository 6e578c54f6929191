/* How near two words are, for "did you mean". */
#ifndef CA_BASE_DISTANCE_H
#define CA_BASE_DISTANCE_H

enum { CA_DISTANCE_FAR = 3 };

/* How many letters differ, at most CA_DISTANCE_FAR: a name in other letters is nearer than any
 * other. */
unsigned ca_distance(const char *a, const char *b);

#endif
