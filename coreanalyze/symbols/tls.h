/* Where a module's thread-local variables are for one thread, in a core as well: by the rules of
 * the ELF TLS ABI for the executable, through the thread's dtv for libraries. What the dynamic
 * loader knows of a library (its module id) is read with the offsets that glibc exports for
 * libthread_db as _thread_db_* symbols, so no debug information of glibc is needed.
 */
#ifndef CA_SYMBOLS_TLS_H
#define CA_SYMBOLS_TLS_H

#include "symbols/modules.h"

struct ca_tls_module {
    struct ca_module *module;
    bool known;
    uint64_t id; /* in the dtv; 0: not known */
    bool fixed;  /* the block is at thread pointer + offset */
    uint64_t offset;
};

struct ca_tls {
    struct ca_modules *modules;
    CA_VEC(struct ca_tls_module) list;
};

void ca_tls_init(struct ca_tls *tls, struct ca_modules *modules);
void ca_tls_deinit(struct ca_tls *tls);

/* thread_pointer: struct ca_thread's tls. false: the module has none, the thread has not touched
 * it yet, or it cannot be found. */
bool ca_tls_address(struct ca_tls *tls, uint64_t thread_pointer, struct ca_module *module,
                    uint64_t offset, uint64_t *ret);

#endif
