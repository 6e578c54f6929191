#include "target/export.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A core that is being copied: everything stays where it was, the new notes and a new table of
 * program headers come behind, and the header points there. So a file system that can shares all
 * of the old. */
struct copy {
    const struct ca_export *export;
    int in, out;
    uint64_t size; /* of the input */
    Elf64_Ehdr header;
    Elf64_Phdr *table;
    size_t count;
};

enum { PIECE = 16 << 20 };

static struct ca_error *copy_bytes(struct copy *copy, uint64_t at, uint64_t end)
{
    while (at < end) {
        size_t want = end - at < PIECE ? (size_t)(end - at) : PIECE;
        off_t from = (off_t)at, to = (off_t)at;
        ssize_t done = copy_file_range(copy->in, &from, copy->out, &to, want, 0);
        if (done < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                         errno == EOPNOTSUPP || errno == EPERM)) {
            static const size_t BUFFER = 1 << 20;
            char *buffer = malloc(BUFFER);
            if (!buffer)
                return &ca_error_nomem;
            done = pread(copy->in, buffer, want < BUFFER ? want : BUFFER, (off_t)at);
            struct ca_error *error =
                done > 0 ? ca_export_put(copy->out, buffer, (size_t)done, at) : NULL;
            free(buffer);
            if (error)
                return error;
        }
        if (done < 0)
            return ca_error_create(CA_ERROR_IO, "copying the core: %s", strerror(errno));
        if (!done)
            return ca_error_create(CA_ERROR_IO, "the core was cut while it was copied");
        at += (uint64_t)done;
        struct ca_error *error = ca_export_poll(copy->export, at, copy->size);
        if (error)
            return error;
    }
    return NULL;
}

static struct ca_error *copy_extents(struct copy *copy)
{
    if (ioctl(copy->out, FICLONE, copy->in) == 0)
        return NULL;
    uint64_t at = 0;
    while (at < copy->size) {
        off_t data = lseek(copy->in, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* a hole to the end */
        off_t hole = data < 0 ? -1 : lseek(copy->in, data, SEEK_HOLE);
        if (data < 0 || hole < 0) {
            data = (off_t)at; /* a file system without holes */
            hole = (off_t)copy->size;
        }
        uint64_t end = (uint64_t)hole < copy->size ? (uint64_t)hole : copy->size;
        struct ca_error *error = copy_bytes(copy, (uint64_t)data, end);
        if (error)
            return error;
        at = end;
    }
    if (ftruncate(copy->out, (off_t)copy->size))
        return ca_error_create(CA_ERROR_IO, "the new core: %s", strerror(errno));
    return NULL;
}

static struct ca_error *damaged(const char *what)
{
    return ca_error_create(CA_ERROR_FORMAT, "the core cannot be exported: %s", what);
}

static bool get(int fd, void *bytes, size_t size, uint64_t at)
{
    return pread(fd, bytes, size, (off_t)at) == (ssize_t)size;
}

static struct ca_error *read_table(struct copy *copy)
{
    Elf64_Ehdr *header = &copy->header;
    if (!get(copy->in, header, sizeof(*header), 0) || header->e_phentsize != sizeof(Elf64_Phdr))
        return damaged("its header is damaged");
    copy->count = header->e_phnum;
    Elf64_Shdr first;
    if (copy->count == PN_XNUM) {
        if (!get(copy->in, &first, sizeof(first), header->e_shoff))
            return damaged("its number of segments is lost");
        copy->count = first.sh_info;
    }
    if (!copy->count || copy->count > copy->size / sizeof(Elf64_Phdr))
        return damaged("its table of segments is damaged");
    copy->table = malloc(copy->count * sizeof(Elf64_Phdr));
    if (!copy->table)
        return &ca_error_nomem;
    if (!get(copy->in, copy->table, copy->count * sizeof(Elf64_Phdr), header->e_phoff))
        return damaged("its table of segments is cut");
    return NULL;
}

/* What the file has of a segment. Behind its old end there will be other bytes now. */
static void clip(struct copy *copy)
{
    for (size_t i = 0; i < copy->count; i++) {
        Elf64_Phdr *segment = &copy->table[i];
        uint64_t there = segment->p_offset < copy->size ? copy->size - segment->p_offset : 0;
        if (segment->p_filesz > there)
            segment->p_filesz = there;
    }
}

static struct ca_error *put_notes(struct copy *copy)
{
    size_t at = 0;
    while (at < copy->count && copy->table[at].p_type != PT_NOTE)
        at++;
    if (at == copy->count)
        return damaged("it has no notes, and so no threads");
    Elf64_Phdr *notes = &copy->table[at];
    uint8_t *own = malloc(notes->p_filesz + 1);
    if (!own)
        return &ca_error_nomem;
    struct ca_buf buf = {0};
    struct ca_error *error = NULL;
    if (!get(copy->in, own, notes->p_filesz, notes->p_offset))
        error = damaged("its notes are cut");
    if (!error)
        ca_export_notes(copy->export, own, notes->p_filesz, &buf);
    free(own);
    if (!error && buf.failed)
        error = &ca_error_nomem;
    uint64_t place = (copy->size + 4095) & ~4095ull;
    if (!error) {
        notes->p_offset = place;
        notes->p_filesz = buf.len;
        error = ca_export_put(copy->out, buf.data, buf.len, place);
    }
    copy->header.e_phoff = (place + buf.len + 7) & ~7ull;
    ca_buf_deinit(&buf);
    return error;
}

static struct ca_error *run(struct copy *copy)
{
    struct ca_error *error = read_table(copy);
    if (!error)
        clip(copy);
    if (!error)
        error = copy_extents(copy);
    if (!error)
        error = put_notes(copy);
    if (!error)
        error = ca_export_put(copy->out, copy->table, copy->count * sizeof(Elf64_Phdr),
                              copy->header.e_phoff);
    if (!error)
        error = ca_export_put(copy->out, &copy->header, sizeof(copy->header), 0);
    return error;
}

struct ca_error *ca_export_copy(const struct ca_export *export, int fd)
{
    struct copy copy = {.export = export, .out = fd};
    struct stat st;
    copy.in = open(export->target->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (copy.in < 0 || fstat(copy.in, &st) || !S_ISREG(st.st_mode)) {
        int why = errno;
        if (copy.in >= 0)
            close(copy.in);
        return ca_error_create(CA_ERROR_IO, "%s: %s", export->target->path, strerror(why));
    }
    copy.size = (uint64_t)st.st_size;
    struct ca_error *error = run(&copy);
    /* Ages are counted from a core's time. */
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (!error)
        futimens(fd, times);
    free(copy.table);
    close(copy.in);
    return error;
}
