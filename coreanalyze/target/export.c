#include "target/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ca_error *ca_export_put(int fd, const void *bytes, size_t size, uint64_t at)
{
    const char *from = bytes;
    while (size) {
        ssize_t done = pwrite(fd, from, size, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return ca_error_create(CA_ERROR_IO, "the new core: %s", strerror(errno));
        from += done;
        at += (uint64_t)done;
        size -= (size_t)done;
    }
    return NULL;
}

struct ca_error *ca_export_poll(const struct ca_export *export, uint64_t done, uint64_t total)
{
    if (!export->progress ||
        export->progress(export->progress_arg, "writing the core", done, total))
        return NULL;
    return ca_error_create(CA_ERROR_CANCELLED, "cancelled; nothing was written");
}

static struct ca_error *check_out(const struct ca_target *target, const char *out, bool overwrite)
{
    struct stat there, input;
    if (stat(out, &there))
        return NULL; /* new, or creating it will say why not */
    if (target->path && !stat(target->path, &input) && input.st_dev == there.st_dev &&
        input.st_ino == there.st_ino)
        return ca_error_create(CA_ERROR_INVALID,
                               "%s is the core that is read: it is never written over", out);
    if (!S_ISREG(there.st_mode))
        return ca_error_create(CA_ERROR_INVALID, "%s is not a regular file", out);
    if (!overwrite)
        return ca_error_create(CA_ERROR_INVALID, "%s exists; --force replaces it", out);
    return NULL;
}

/* Names the finished file. Without overwrite a file that came up meanwhile is left alone. */
static struct ca_error *put_in_place(const char *partial, const char *out, bool overwrite)
{
    if (overwrite ? rename(partial, out) == 0 : link(partial, out) == 0)
        return NULL;
    /* Some file systems have no hard links. */
    if (!overwrite && (errno == EPERM || errno == EOPNOTSUPP) && access(out, F_OK) &&
        rename(partial, out) == 0)
        return NULL;
    return ca_error_create(CA_ERROR_IO, "%s: %s", out, strerror(errno));
}

struct ca_error *ca_export_write(const struct ca_export *export, const char *out, bool overwrite)
{
    struct ca_error *error = check_out(export->target, out, overwrite);
    if (error)
        return error;
    struct ca_buf partial = {0};
    ca_buf_printf(&partial, "%s.%ld.partial", out, (long)getpid());
    if (partial.failed) {
        ca_buf_deinit(&partial);
        return &ca_error_nomem;
    }
    /* A core holds all that the program knew: for its owner only. */
    int fd = open(partial.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        error = ca_error_create(CA_ERROR_IO, "%s: %s", partial.data, strerror(errno));
    if (!error) {
        error = export->target->kind == CA_TARGET_CORE ? ca_export_copy(export, fd)
                                                       : ca_export_dump(export, fd);
        if (close(fd) && !error)
            error = ca_error_create(CA_ERROR_IO, "%s: %s", out, strerror(errno));
        if (!error)
            error = put_in_place(partial.data, out, overwrite);
        unlink(partial.data);
    }
    ca_buf_deinit(&partial);
    return error;
}
