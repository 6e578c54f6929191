/* Finding the file of a module, and telling whether it is the one that the target has loaded. */
#ifndef CA_SYMBOLS_MATCH_H
#define CA_SYMBOLS_MATCH_H

#include "symbols/image.h"
#include "symbols/modules.h"

/* A module while it is looked for. */
struct ca_match {
    struct ca_target *target;
    const struct ca_options *options;
    struct ca_gaps *gaps;
    struct ca_module *module;
    bool deleted;     /* the file was deleted under the process */
    bool header_seen; /* the first page is in the target's memory: loaded is filled */
    struct ca_image loaded;
};

/* Opens the module's file, checks it, lends its read-only bytes. Not finding one is a gap, or
 * module->why. Errors: see ca_modules_open. */
struct ca_error *ca_match_file(struct ca_match *match);

#endif
