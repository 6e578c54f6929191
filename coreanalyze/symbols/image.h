/* An ELF image: the program headers and the build ids, of a file or of a target's memory. */
#ifndef CA_SYMBOLS_IMAGE_H
#define CA_SYMBOLS_IMAGE_H

#include <elf.h>

#include "target/target.h"

enum { CA_GO_ID_MAX = 256 };

struct ca_ids {
    uint8_t gnu[64];
    size_t gnu_size;           /* 0: none */
    char go[CA_GO_ID_MAX + 1]; /* Go's own, "" for none */
};

struct ca_image {
    Elf64_Ehdr header;
    CA_VEC(Elf64_Phdr) phdrs;
    struct ca_ids ids;
};

/* A regular file, mapped. Everything else (directories, FIFOs, devices) is refused, and opening
 * does not wait. bytes is NULL when the file is empty. */
struct ca_file {
    const uint8_t *bytes;
    size_t size;
};
struct ca_error *ca_file_map(const char *path, struct ca_file *ret);
void ca_file_unmap(struct ca_file *file);

/* Reads an ELF file for a target of this architecture (CA_ARCH_UNKNOWN: any). Errors:
 * CA_ERROR_FORMAT, CA_ERROR_MISMATCH for another architecture; the messages start with path. */
struct ca_error *ca_image_read_file(struct ca_image *image, const char *path,
                                    const struct ca_file *file, enum ca_arch arch);

/* Reads what is loaded at start, where the first page of an ELF file must be. False: it is not
 * there, or not ELF. The ids may be missing although the header is there. */
bool ca_image_read_target(struct ca_image *image, struct ca_target *target, uint64_t start);

void ca_image_deinit(struct ca_image *image);

/* Address in the target minus address in the file, when the first byte of the file is at start. */
uint64_t ca_image_bias(const struct ca_image *image, uint64_t start);

/* Where its segments begin and end, in the file's addresses. False: it has none. */
bool ca_image_range(const struct ca_image *image, uint64_t *start, uint64_t *end);

#endif
