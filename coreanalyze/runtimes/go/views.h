/* Types of the program, followed from a variable to what it leads to: for explanations.
 *
 * descriptors.c  what the runtime itself keeps of a type: there in stripped programs, too
 * debug_types.c  the same from the debug information, where the runtime keeps nothing
 * views.c        which value a word of a thing belongs to, and what it points at
 * route.c        a whole way, in words
 */
#ifndef CA_RUNTIMES_GO_VIEWS_H
#define CA_RUNTIMES_GO_VIEWS_H

#include "base/buf.h"
#include "runtimes/go/heap.h"

/* internal/abi/type.go: Kind, the same 1.19 to 1.27. */
enum ca_go_kind {
    CA_GO_KIND_UNKNOWN = 0,
    CA_GO_KIND_BOOL = 1,
    CA_GO_KIND_INT = 2,
    CA_GO_KIND_INT64 = 6,
    CA_GO_KIND_UINT = 7,
    CA_GO_KIND_UINTPTR = 12,
    CA_GO_KIND_ARRAY = 17,
    CA_GO_KIND_CHAN = 18,
    CA_GO_KIND_FUNC = 19,
    CA_GO_KIND_INTERFACE = 20,
    CA_GO_KIND_MAP = 21,
    CA_GO_KIND_POINTER = 22,
    CA_GO_KIND_SLICE = 23,
    CA_GO_KIND_STRING = 24,
    CA_GO_KIND_STRUCT = 25,
    CA_GO_KIND_UNSAFE_POINTER = 26,
};

/* A type: by the runtime's descriptor, else by the debug information. */
struct ca_go_view_type {
    enum ca_go_kind kind; /* CA_GO_KIND_UNKNOWN: nothing is known */
    uint64_t descriptor;  /* 0: none */
    bool has_die;
    Dwarf_Die die; /* named as the program names it */
};

/* What a pointer leads to. */
enum ca_go_shape {
    CA_GO_SHAPE_NONE,    /* not known */
    CA_GO_SHAPE_VALUE,   /* one value of the type */
    CA_GO_SHAPE_VALUES,  /* some, one behind the other */
    CA_GO_SHAPE_BUFFER,  /* the same, in a channel */
    CA_GO_SHAPE_MAP,     /* the header of a map of this type */
    CA_GO_SHAPE_GROUPS,  /* ... its buckets or groups */
    CA_GO_SHAPE_TABLES,  /* ... pointers to its tables */
    CA_GO_SHAPE_TABLE,   /* ... one of them */
    CA_GO_SHAPE_CHANNEL, /* a channel of this type */
    CA_GO_SHAPE_CLOSURE, /* code, and the variables that it uses */
};

struct ca_go_view {
    enum ca_go_shape shape;
    struct ca_go_view_type type;
    uint64_t address; /* where it begins */
};

/* A word of what a view shows. */
struct ca_go_view_word {
    struct ca_buf name; /* "field mu.sema", "element 3", 'value of key "x"'; empty: the whole */
    struct ca_go_view_type type; /* of the value that the word belongs to */
    struct ca_go_view leads;     /* what it points at */
    bool inner;                  /* the runtime's own: nothing that a person wants to hear of */
};

/* The word at address; false: it is not known what it is (ret is then empty). The caller gives
 * ca_buf_deinit(&ret->name). */
bool ca_go_view_word(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                     struct ca_go_view_word *ret);
/* The same of an interface that lies at address, by its dynamic type. */
bool ca_go_view_dynamic(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_word *ret);
/* The lock, wait group or condition that begins at address: its name in the view, and its type. */
bool ca_go_view_lock(struct ca_go_heap *heap, const struct ca_go_view *view, uint64_t address,
                     struct ca_go_view_word *ret);

/* An integer of this kind and size at address, in decimal; false: it is none, or not there. */
enum { CA_GO_NUMBER_TEXT = 24 };
bool ca_go_view_number(struct ca_target *target, enum ca_go_kind kind, uint64_t size,
                       uint64_t address, char ret[CA_GO_NUMBER_TEXT]);

/* The text of a type, as Go prints it; NULL: not known. */
const char *ca_go_view_name(struct ca_go_heap *heap, struct ca_strings *strings,
                            const struct ca_go_view_type *type);

/* descriptors.c. All of them check what they read. */
bool ca_go_descriptor(struct ca_go_heap *heap, uint64_t address, struct ca_go_view_type *ret);
const char *ca_go_descriptor_name(struct ca_go_heap *heap, struct ca_strings *strings,
                                  uint64_t address);
/* Bytes of a value; 0: not known. */
uint64_t ca_go_descriptor_size(struct ca_go_heap *heap, uint64_t address);
/* Of a pointer, slice, array, channel, or the values of a map. */
bool ca_go_descriptor_elem(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                           struct ca_go_view_type *ret);
bool ca_go_descriptor_key(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                          struct ca_go_view_type *ret);
/* The struct of a map's buckets or groups. */
bool ca_go_descriptor_groups(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                             struct ca_go_view_type *ret);
/* The field that holds byte offset; name is cut to room. */
struct ca_go_view_field {
    char name[128];
    uint64_t offset;
    struct ca_go_view_type type;
};
bool ca_go_descriptor_field(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                            uint64_t offset, struct ca_go_view_field *ret);
/* The first field of a struct, even an empty one. */
bool ca_go_descriptor_first(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                            struct ca_go_view_field *ret);
/* Is the value of an interface with this dynamic type in the interface itself? */
bool ca_go_descriptor_direct(struct ca_go_heap *heap, uint64_t address);

/* debug_types.c. A type of the debug information; takes the runtime's descriptor where it has one.
 */
bool ca_go_debug_type(struct ca_go_heap *heap, Dwarf_Die *die, struct ca_go_view_type *ret);
uint64_t ca_go_debug_size(const struct ca_go_view_type *type);
bool ca_go_debug_elem(struct ca_go_heap *heap, const struct ca_go_view_type *type,
                      struct ca_go_view_type *ret);
bool ca_go_debug_field(struct ca_go_heap *heap, const struct ca_go_view_type *type, uint64_t offset,
                       struct ca_go_view_field *ret);

/* route.c */
void ca_go_heap_describe_route(struct ca_heap *heap, struct ca_strings *strings,
                               struct ca_hop *hops, size_t count);

#endif
