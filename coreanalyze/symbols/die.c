#include "symbols/die.h"

#include <dwarf.h>

enum { LAYERS_MAX = 64 };

bool ca_die_next(Dwarf_Die *die)
{
    Dwarf_Off here = dwarf_dieoffset(die);
    return dwarf_siblingof(die, die) == 0 && dwarf_dieoffset(die) > here;
}

bool ca_die_type(Dwarf_Die *die, Dwarf_Die *ret)
{
    Dwarf_Attribute attr;
    return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, ret);
}

bool ca_die_peel(Dwarf_Die *die, Dwarf_Die *ret)
{
    *ret = *die;
    for (int i = 0; i < LAYERS_MAX; i++) {
        switch (dwarf_tag(ret)) {
        case DW_TAG_typedef:
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_restrict_type:
        case DW_TAG_atomic_type: {
            Dwarf_Die next;
            if (!ca_die_type(ret, &next))
                return false;
            *ret = next;
            break;
        }
        default:
            return true;
        }
    }
    return false;
}

bool ca_die_flag(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute attr;
    bool flag;
    return dwarf_attr(die, attribute, &attr) && dwarf_formflag(&attr, &flag) == 0 && flag;
}

bool ca_die_number(Dwarf_Die *die, unsigned attribute, Dwarf_Word *ret)
{
    Dwarf_Attribute attr;
    return dwarf_attr(die, attribute, &attr) && dwarf_formudata(&attr, ret) == 0;
}
