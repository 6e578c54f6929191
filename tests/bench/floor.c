/* The floor that the benchmarks compare with: reads every g of a mapped core, unwinds each stack by
 * frame pointers, groups by the stack, and nothing else: no names, no reasons, no channels, no
 * checks that a tool for real cores needs. Where the fields lie is told by the caller.
 *
 *   floor CORE ALLGS G_SIZE STATUS SCHED_SP SCHED_PC SCHED_BP GOPC
 */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAMES_MAX = 64, SLOTS = 1 << 16, DEAD = 6 };

struct segment {
    uint64_t start, end;
    const uint8_t *bytes;
};

static struct segment *segments;
static size_t segment_count, last;

static const uint8_t *view(uint64_t address, uint64_t size)
{
    const struct segment *at = &segments[last];
    if (address < at->start || address >= at->end) {
        size_t low = 0, high = segment_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (segments[middle].end <= address)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == segment_count || address < segments[low].start)
            return NULL;
        last = low;
        at = &segments[low];
    }
    return size <= at->end - address ? at->bytes + (address - at->start) : NULL;
}

static uint64_t word(uint64_t address)
{
    uint64_t value = 0;
    const uint8_t *bytes = view(address, 8);
    if (bytes)
        memcpy(&value, bytes, 8);
    return value;
}

static int compare(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void map_core(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st)) {
        perror(path);
        exit(2);
    }
    const uint8_t *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    close(fd);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(bytes + header->e_phoff);
    segments = calloc(header->e_phnum + 1u, sizeof(*segments));
    for (int i = 0; i < header->e_phnum; i++)
        if (phdr[i].p_type == PT_LOAD && phdr[i].p_filesz)
            segments[segment_count++] = (struct segment){
                phdr[i].p_vaddr, phdr[i].p_vaddr + phdr[i].p_filesz, bytes + phdr[i].p_offset};
    qsort(segments, segment_count, sizeof(*segments), compare);
}

static uint64_t hash_stack(uint64_t pc, uint64_t sp, uint64_t fp, uint64_t *frames)
{
    uint64_t hash = pc * 0xd6e8feb86659fd93ull;
    ++*frames;
    for (int i = 0; fp > sp && i < FRAMES_MAX; i++) {
        uint64_t next = word(fp), ret = word(fp + 8);
        if (!ret)
            break;
        hash = (hash ^ ret ^ hash >> 29) * 0xd6e8feb86659fd93ull;
        ++*frames;
        if (next <= fp)
            break;
        fp = next;
    }
    return hash | 1;
}

int main(int argc, char **argv)
{
    if (argc != 9)
        return 2;
    uint64_t at[7];
    for (int i = 0; i < 7; i++)
        at[i] = strtoull(argv[i + 2], NULL, 0);
    map_core(argv[1]);
    static struct {
        uint64_t hash, count;
    } groups[SLOTS];
    uint64_t array = word(at[0]), count = word(at[0] + 8), tasks = 0, frames = 0, different = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *g = view(word(array + i * 8), at[1]);
        uint32_t status;
        uint64_t sp, pc, fp, gopc;
        if (!g)
            continue;
        memcpy(&status, g + at[2], 4);
        if (!status || (status & 0xfff) == DEAD)
            continue;
        memcpy(&sp, g + at[3], 8);
        memcpy(&pc, g + at[4], 8);
        memcpy(&fp, g + at[5], 8);
        memcpy(&gopc, g + at[6], 8);
        tasks++;
        uint64_t hash = hash_stack(pc, sp, fp, &frames) ^ gopc << 1, slot = hash % SLOTS;
        while (groups[slot].hash && groups[slot].hash != hash)
            slot = (slot + 1) % SLOTS;
        different += !groups[slot].hash;
        groups[slot].hash = hash;
        groups[slot].count++;
    }
    printf("%llu goroutines, %llu frames, %llu groups\n", (unsigned long long)tasks,
           (unsigned long long)frames, (unsigned long long)different);
    return tasks ? 0 : 1;
}
