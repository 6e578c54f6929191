/* A module's symbols by name. Use ca_module_symbol of modules.h. */
#ifndef CA_SYMBOLS_SYMBOLS_H
#define CA_SYMBOLS_SYMBOLS_H

#include "symbols/modules.h"

struct ca_symbols;

/* NULL is allowed. */
void ca_symbols_destroy(struct ca_symbols *symbols);

#endif
