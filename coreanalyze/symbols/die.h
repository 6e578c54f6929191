/* Small questions to one DIE of DWARF. Debug information that lies gets an answer of false: no walk
 * here is without a bound. */
#ifndef CA_SYMBOLS_DIE_H
#define CA_SYMBOLS_DIE_H

#include <elfutils/libdw.h>
#include <stdbool.h>

/* To its next sibling. false: it is the last, or the next is said to lie before it: a circle. */
bool ca_die_next(Dwarf_Die *die);
/* What DW_AT_type names, also where an abstract origin or a specification has it. */
bool ca_die_type(Dwarf_Die *die, Dwarf_Die *ret);
/* A type without typedef, const, volatile, restrict and atomic around it. die may be ret. */
bool ca_die_peel(Dwarf_Die *die, Dwarf_Die *ret);
bool ca_die_flag(Dwarf_Die *die, unsigned attribute);
bool ca_die_number(Dwarf_Die *die, unsigned attribute, Dwarf_Word *ret);

#endif
