#include "symbols/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapped.h"

/* Enough for any real file; a claim beyond it is not believed. */
enum { PHDRS_MAX = 1024, NOTES_MAX = 1 << 20, GO_NOTE_BUILD_ID = 4 };

static struct ca_error *map_fd(int fd, const char *path, struct ca_file *ret)
{
    struct stat st;
    if (fstat(fd, &st))
        return ca_error_create(CA_ERROR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ca_error_create(CA_ERROR_FORMAT, "%s is not a regular file", path);
    if (!st.st_size)
        return NULL;
    /* Writable, but private: libelf marks what it has decompressed in the section headers. */
    void *bytes = ca_mapped_create(fd, (size_t)st.st_size, true);
    if (!bytes)
        return ca_error_create(CA_ERROR_IO, "%s cannot be mapped: %s", path, strerror(errno));
    *ret = (struct ca_file){bytes, (size_t)st.st_size};
    return NULL;
}

struct ca_error *ca_file_map(const char *path, struct ca_file *ret)
{
    *ret = (struct ca_file){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return ca_error_create(errno == EACCES ? CA_ERROR_PERMISSION : CA_ERROR_IO, "%s: %s", path,
                               strerror(errno));
    struct ca_error *error = map_fd(fd, path, ret);
    close(fd);
    return error;
}

void ca_file_unmap(struct ca_file *file)
{
    ca_mapped_destroy(file->bytes, file->size);
    *file = (struct ca_file){0};
}

void ca_image_deinit(struct ca_image *image)
{
    ca_vec_deinit(&image->phdrs);
}

static bool is_elf64(const Elf64_Ehdr *header)
{
    return !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_ident[EI_DATA] == ELFDATA2LSB;
}

static void take_note(struct ca_ids *ids, const Elf64_Nhdr *note, const uint8_t *name,
                      const uint8_t *desc)
{
    if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(name, "GNU", 4)) {
        if (!ids->gnu_size && note->n_descsz <= sizeof(ids->gnu)) {
            memcpy(ids->gnu, desc, note->n_descsz);
            ids->gnu_size = note->n_descsz;
        }
    } else if (note->n_type == GO_NOTE_BUILD_ID && note->n_namesz == 4 &&
               !memcmp(name, "Go\0", 4)) {
        if (!ids->go[0] && note->n_descsz <= CA_GO_ID_MAX) {
            memcpy(ids->go, desc, note->n_descsz);
            ids->go[note->n_descsz] = 0;
        }
    }
}

static void read_notes(struct ca_ids *ids, const uint8_t *bytes, uint64_t size)
{
    uint64_t at = 0;
    while (at <= size && size - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, bytes + at, sizeof(note));
        uint64_t name = at + sizeof(note);
        uint64_t desc = name + (((uint64_t)note.n_namesz + 3) & ~3ull);
        if (desc > size || note.n_descsz > size - desc)
            return;
        take_note(ids, &note, bytes + name, bytes + desc);
        at = desc + (((uint64_t)note.n_descsz + 3) & ~3ull);
    }
}

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_X86_64:
        return "amd64";
    case EM_AARCH64:
        return "arm64";
    default:
        return "another machine";
    }
}

static struct ca_error *check_header(const Elf64_Ehdr *header, const char *path, enum ca_arch arch)
{
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return ca_error_create(CA_ERROR_FORMAT, "%s is %s, not an executable or library", path,
                               header->e_type == ET_CORE ? "a core" : "an object file");
    unsigned want = arch == CA_ARCH_AMD64 ? EM_X86_64 : EM_AARCH64;
    if (arch != CA_ARCH_UNKNOWN && header->e_machine != want)
        return ca_error_create(CA_ERROR_MISMATCH, "%s is of %s, the target is of %s", path,
                               machine_name(header->e_machine), ca_arch_name(arch));
    return NULL;
}

struct ca_error *ca_image_read_file(struct ca_image *image, const char *path,
                                    const struct ca_file *file, enum ca_arch arch)
{
    memset(image, 0, sizeof(*image));
    if (file->size < sizeof(image->header) || memcmp(file->bytes, ELFMAG, SELFMAG))
        return ca_error_create(CA_ERROR_FORMAT, "%s is not an ELF file", path);
    memcpy(&image->header, file->bytes, sizeof(image->header));
    if (!is_elf64(&image->header))
        return ca_error_create(CA_ERROR_MISMATCH,
                               "%s is of a 32-bit or big-endian machine, the target is not", path);
    struct ca_error *error = check_header(&image->header, path, arch);
    if (error)
        return error;
    uint64_t at = image->header.e_phoff, count = image->header.e_phnum;
    if (!count || count > PHDRS_MAX || image->header.e_phentsize != sizeof(Elf64_Phdr) ||
        at > file->size || count * sizeof(Elf64_Phdr) > file->size - at)
        return ca_error_create(CA_ERROR_FORMAT, "%s has damaged program headers", path);
    if (!ca_vec_reserve(&image->phdrs, count))
        return &ca_error_nomem;
    memcpy(image->phdrs.data, file->bytes + at, count * sizeof(Elf64_Phdr));
    image->phdrs.len = count;
    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *phdr = &image->phdrs.data[i];
        if (phdr->p_type == PT_NOTE && phdr->p_offset <= file->size &&
            phdr->p_filesz <= file->size - phdr->p_offset && phdr->p_filesz <= NOTES_MAX)
            read_notes(&image->ids, file->bytes + phdr->p_offset, phdr->p_filesz);
    }
    return NULL;
}

static void read_target_notes(struct ca_image *image, struct ca_target *target, uint64_t bias)
{
    for (size_t i = 0; i < image->phdrs.len; i++) {
        const Elf64_Phdr *phdr = &image->phdrs.data[i];
        if (phdr->p_type != PT_NOTE || phdr->p_filesz > NOTES_MAX)
            continue;
        void *scratch = malloc(phdr->p_filesz + 1);
        const void *bytes =
            scratch ? ca_target_peek(target, phdr->p_vaddr + bias, scratch, phdr->p_filesz) : NULL;
        if (bytes)
            read_notes(&image->ids, bytes, phdr->p_filesz);
        free(scratch);
    }
}

bool ca_image_read_target(struct ca_image *image, struct ca_target *target, uint64_t start)
{
    memset(image, 0, sizeof(*image));
    Elf64_Ehdr *header = &image->header;
    if (!ca_target_read(target, start, header, sizeof(*header)) || !is_elf64(header))
        return false;
    size_t count = header->e_phnum;
    if (!count || count > PHDRS_MAX || header->e_phentsize != sizeof(Elf64_Phdr) ||
        !ca_vec_reserve(&image->phdrs, count + 1))
        return false;
    if (!ca_target_read(target, start + header->e_phoff, image->phdrs.data,
                        count * sizeof(Elf64_Phdr)))
        return false;
    image->phdrs.len = count;
    read_target_notes(image, target, ca_image_bias(image, start));
    return true;
}

uint64_t ca_image_bias(const struct ca_image *image, uint64_t start)
{
    for (size_t i = 0; i < image->phdrs.len; i++)
        if (image->phdrs.data[i].p_type == PT_LOAD)
            return start - (image->phdrs.data[i].p_vaddr - image->phdrs.data[i].p_offset);
    return image->header.e_type == ET_EXEC ? 0 : start;
}

bool ca_image_range(const struct ca_image *image, uint64_t *start, uint64_t *end)
{
    bool any = false;
    for (size_t i = 0; i < image->phdrs.len; i++) {
        const Elf64_Phdr *phdr = &image->phdrs.data[i];
        uint64_t stop;
        if (phdr->p_type != PT_LOAD || __builtin_add_overflow(phdr->p_vaddr, phdr->p_memsz, &stop))
            continue;
        uint64_t low = phdr->p_vaddr & ~0xfffull;
        if (!any || low < *start)
            *start = low;
        if (!any || stop > *end)
            *end = stop;
        any = true;
    }
    return any;
}
