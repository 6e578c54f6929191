#include "account.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A hash table with open addressing and a list in order of arrival, in one mapping that is dropped
 * at the end: a pointer to an object that survived here would count as a use of it. */
struct entry {
    struct account_note note;
    unsigned long order; /* 0: empty. */
    int gone;
};

static struct entry *entries;
static size_t capacity;
static size_t used;
static unsigned long last_order;
static const char *id_format = "%lu";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void account_ids(const char *format)
{
    id_format = format;
}

static struct entry *find(unsigned long id)
{
    size_t i = (id * 0x9e3779b97f4a7c15ul) >> 20;

    while (entries[i & (capacity - 1)].order && entries[i & (capacity - 1)].note.id != id)
        i++;
    return &entries[i & (capacity - 1)];
}

static void grow(void)
{
    struct entry *old = entries;
    size_t old_capacity = capacity;

    capacity = capacity ? capacity * 2 : 4096;
    entries = mmap(NULL, capacity * sizeof(*entries), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entries == MAP_FAILED)
        abort();
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].order)
            *find(old[i].note.id) = old[i];
    }
    if (old)
        munmap(old, old_capacity * sizeof(*old));
}

static struct entry *find_or_add(unsigned long id)
{
    if (used * 2 >= capacity)
        grow();
    struct entry *entry = find(id);
    if (!entry->order)
        used++;
    entry->order = ++last_order;
    return entry;
}

void account_note(const struct account_note *note)
{
    pthread_mutex_lock(&lock);
    struct entry *entry = find_or_add(note->id);
    entry->note = *note;
    entry->gone = 0;
    pthread_mutex_unlock(&lock);
}

void account_remove(unsigned long id)
{
    pthread_mutex_lock(&lock);
    struct entry *entry = find_or_add(id);
    entry->note.id = id;
    entry->gone = 1;
    pthread_mutex_unlock(&lock);
}

static int by_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static void print(const struct account_note *n)
{
    printf(id_format, n->id);
    printf("\t%s\t%s\t%s\t", n->entry, n->state, or_dash(n->reason));
    if (n->fd)
        printf("fd:%d\t", n->fd);
    else if (n->object)
        printf("%p\t", n->object);
    else
        printf("-\t");
    printf("%s\t", n->site ? n->site : "-");
    if (n->creator < 0)
        printf("-\t");
    else
        printf(id_format, (unsigned long)n->creator), printf("\t");
    printf("%s\t%s\n", or_dash(n->created), or_dash(n->name));
}

void account_end(void)
{
    static char buffer[1 << 16]; /* stdio's own would be on the heap, and stay there */
    const char *die = getenv("SAMPLE_DIE");

    pthread_mutex_lock(&lock);
    setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    printf("#id\tentry\tstate\treason\tobject\tsite\tcreator\tcreated\tname\n");
    qsort(entries, capacity, sizeof(*entries), by_order);
    for (size_t i = 0; i < capacity; i++) {
        if (entries[i].order && !entries[i].gone)
            print(&entries[i].note);
    }
    printf("ready\n");
    fflush(stdout);
    munmap(entries, capacity * sizeof(*entries));
    entries = NULL;
    memset(buffer, 0, sizeof(buffer));
    if (die && strcmp(die, "wait") == 0) {
        for (;;)
            pause();
    }
    abort();
}
