#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SLOTS = 64,
    FAULTS_PER_STEP = 64,
    STEPS_MAX = 24,
    FDS_MAX = 64, /* a host needs some of its descriptors itself */
};

enum loss { WHOLE, CUT, UNREADABLE };

/* A guarded stretch of this process. The handler reads it while other threads may fill or clear
 * another one: end is 0 while it is free, and changes last and first. Slots are never freed. */
struct slot {
    _Atomic uintptr_t start, end;
    int fd;    /* of the file; -1: not known */
    int prot;  /* what zeros are mapped with */
    pid_t tid; /* 0: a stretch; else every address that this thread reads */
    struct timespec changed;
    uint64_t size; /* of the file when it was mapped */
    unsigned faults;
    _Atomic int loss;
    _Atomic uint64_t at; /* where in the file bytes were lost first */
};

struct slots {
    struct slot slot[SLOTS];
    struct slots *_Atomic next;
};

static struct slots all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned depth;
static _Atomic bool any_lost;
static unsigned held; /* descriptors */
static struct sigaction previous;
static uintptr_t page_size;

/* ---- slots ---- */

static bool holds(const struct slot *slot, uintptr_t address)
{
    uintptr_t end = slot->end;
    return end && (!slot->tid || slot->tid == gettid()) && slot->start <= address &&
           address < end && slot->end == end;
}

/* The slot with this start, or of this thread (start 0). Its owner is the caller, so it stays. */
static struct slot *find(const void *start)
{
    pid_t tid = start ? 0 : gettid();
    for (struct slots *some = &all; some; some = some->next)
        for (size_t i = 0; i < SLOTS; i++)
            if (some->slot[i].end && some->slot[i].start == (uintptr_t)start &&
                some->slot[i].tid == tid)
                return &some->slot[i];
    return NULL;
}

static struct slot *free_slot(void)
{
    for (struct slots *some = &all;; some = some->next) {
        for (size_t i = 0; i < SLOTS; i++)
            if (!some->slot[i].end)
                return &some->slot[i];
        if (!some->next) {
            struct slots *more = calloc(1, sizeof(*more));
            if (!more)
                return NULL;
            some->next = more;
        }
    }
}

/* Keeps a descriptor of its own of fd (-1: none), without which it only knows less of what
 * happened. NULL: no memory. */
static struct slot *claim(const void *start, uintptr_t end, int fd, int prot)
{
    pthread_mutex_lock(&lock);
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct slot *slot = free_slot();
    if (slot) {
        slot->start = (uintptr_t)start;
        slot->fd = fd >= 0 && held < FDS_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
        held += slot->fd >= 0;
        slot->prot = prot;
        slot->tid = start ? 0 : gettid();
        slot->faults = 0;
        slot->loss = WHOLE;
        slot->end = end;
    }
    pthread_mutex_unlock(&lock);
    return slot;
}

static enum loss drop(struct slot *slot)
{
    pthread_mutex_lock(&lock);
    int fd = slot->fd;
    held -= fd >= 0;
    slot->fd = -1;
    slot->end = 0;
    pthread_mutex_unlock(&lock);
    if (fd >= 0)
        close(fd);
    return slot->loss;
}

/* ---- the signal ---- */

/* Puts zeros where the bytes are gone. One page for each fault would be too many mappings: all that
 * was cut goes at once, and around more and more bad places more and more is given up. */
static bool give_up(struct slot *slot, uintptr_t address)
{
    struct stat st;
    uintptr_t page = address & ~(page_size - 1), first = slot->start, end = slot->end;
    unsigned step = slot->faults++ / FAULTS_PER_STEP;
    uint64_t room = (end - page + page_size - 1) & ~(uint64_t)(page_size - 1);
    uint64_t span = (uint64_t)page_size << (step < STEPS_MAX ? step : STEPS_MAX);
    int loss = UNREADABLE;
    uint64_t at = page - first;
    if (slot->fd >= 0 && !fstat(slot->fd, &st) && (uint64_t)st.st_size <= at) {
        loss = CUT;
        at = (uint64_t)st.st_size;
        page = first + ((at + page_size - 1) & ~(uint64_t)(page_size - 1));
        span = room = (end - page + page_size - 1) & ~(uint64_t)(page_size - 1);
    }
    if (slot->tid)
        span = page_size;
    if (mmap((void *)page, span < room ? span : room, slot->prot,
             MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        return false;
    if (slot->loss == WHOLE || at < slot->at)
        slot->at = at;
    slot->loss = loss;
    any_lost = true;
    return true;
}

static void hand_on(int number, siginfo_t *info, void *context)
{
    bool fault = info->si_code > 0;
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler == SIG_DFL || (previous.sa_handler == SIG_IGN && fault)) {
        /* Whoever faulted does it again when this returns; what was sent is sent again. */
        signal(number, SIG_DFL);
        if (!fault)
            raise(number);
    } else if (previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    }
}

static void on_bus(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    bool done = false;
    uintptr_t address = (uintptr_t)info->si_addr;
    if (info->si_code > 0)
        for (struct slots *some = &all; some && !done; some = some->next)
            for (size_t i = 0; i < SLOTS && !done; i++)
                done = holds(&some->slot[i], address) && give_up(&some->slot[i], address);
    if (!done)
        hand_on(number, info, context);
    errno = saved;
}

static bool is_ours(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_bus;
}

void ca_mapped_enter(void)
{
    pthread_mutex_lock(&lock);
    struct sigaction before;
    if (!depth++ && !sigaction(SIGBUS, NULL, &before) && !is_ours(&before)) {
        struct sigaction ours = before;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
        ours.sa_sigaction = on_bus;
        previous = before;
        sigaction(SIGBUS, &ours, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void ca_mapped_leave(int *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    struct sigaction now;
    /* A handler that came in the meantime is not taken away. */
    if (!--depth && !sigaction(SIGBUS, NULL, &now) && is_ours(&now))
        sigaction(SIGBUS, &previous, NULL);
    pthread_mutex_unlock(&lock);
}

/* ---- mappings ---- */

void *ca_mapped_create(int fd, size_t size, bool writable)
{
    struct stat st;
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    if (fstat(fd, &st))
        return NULL;
    void *bytes = mmap(NULL, size, prot, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    struct slot *slot = claim(bytes, (uintptr_t)bytes + size, fd, prot);
    if (!slot) {
        munmap(bytes, size);
        errno = ENOMEM;
        return NULL;
    }
    slot->size = (uint64_t)st.st_size;
    slot->changed = st.st_mtim;
    return bytes;
}

void ca_mapped_destroy(const void *bytes, size_t size)
{
    if (!bytes)
        return;
    ca_mapped_unwatch(bytes);
    munmap((void *)(uintptr_t)bytes, size);
}

bool ca_mapped_watch(const void *bytes, size_t size)
{
    return claim(bytes, (uintptr_t)bytes + size, -1, PROT_READ | PROT_WRITE) != NULL;
}

void ca_mapped_unwatch(const void *bytes)
{
    struct slot *slot = bytes ? find(bytes) : NULL;
    if (slot)
        drop(slot);
}

bool ca_mapped_watch_thread(void)
{
    return claim(NULL, UINTPTR_MAX, -1, PROT_READ | PROT_WRITE) != NULL;
}

bool ca_mapped_unwatch_thread(void)
{
    struct slot *slot = find(NULL);
    return slot && drop(slot) != WHOLE;
}

void ca_mapped_data(const void *bytes, uint64_t at, uint64_t *start, uint64_t *end)
{
    const struct slot *slot = bytes ? find(bytes) : NULL;
    *start = at;
    *end = SIZE_MAX;
    if (!slot || slot->fd < 0)
        return;
    off_t data = lseek(slot->fd, (off_t)at, SEEK_DATA);
    off_t hole = data < 0 ? -1 : lseek(slot->fd, data, SEEK_HOLE);
    if (data < 0 && errno == ENXIO)
        *start = SIZE_MAX;
    else if (hole > data)
        *start = (uint64_t)data, *end = (uint64_t)hole;
}

bool ca_mapped_any_lost(void)
{
    return any_lost;
}

struct ca_error *ca_mapped_check(const void *bytes, const char *name)
{
    const struct slot *slot = bytes ? find(bytes) : NULL;
    int loss = slot ? slot->loss : WHOLE;
    unsigned long long at = slot ? slot->at : 0;
    if (loss == CUT)
        return ca_error_create(CA_ERROR_IO,
                               "%s was cut to %llu bytes while it was being read: ask again for "
                               "what is left of it",
                               name, at);
    if (loss == UNREADABLE)
        return ca_error_create(CA_ERROR_IO,
                               "%s cannot be read at byte %llu: its disk or file system fails, or "
                               "it was replaced; copy what can be read of it elsewhere",
                               name, at);
    return NULL;
}

bool ca_mapped_changed(const void *bytes, uint64_t *size)
{
    struct stat st;
    const struct slot *slot = bytes ? find(bytes) : NULL;
    if (!slot || slot->fd < 0 || fstat(slot->fd, &st))
        return false;
    *size = (uint64_t)st.st_size;
    return *size != slot->size || st.st_mtim.tv_sec != slot->changed.tv_sec ||
           st.st_mtim.tv_nsec != slot->changed.tv_nsec;
}
