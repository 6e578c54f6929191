#include "core_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void core_load(struct core_builder *core, uint64_t address, const void *bytes, uint64_t size,
               uint64_t memory_size, uint32_t flags)
{
    struct core_load *load = &core->loads[core->load_count++];
    load->bytes = bytes;
    load->phdr = (Elf64_Phdr){.p_type = PT_LOAD,
                              .p_vaddr = address,
                              .p_filesz = size,
                              .p_memsz = memory_size,
                              .p_flags = flags,
                              .p_align = 1};
}

void core_note(struct core_builder *core, const char *name, uint32_t type, const void *bytes,
               size_t size)
{
    static const char zeros[4];
    Elf64_Nhdr header = {(uint32_t)strlen(name) + 1, (uint32_t)size, type};
    ca_buf_add(&core->notes, (const char *)&header, sizeof(header));
    ca_buf_add(&core->notes, name, header.n_namesz);
    ca_buf_add(&core->notes, zeros, -header.n_namesz & 3);
    ca_buf_add(&core->notes, bytes, size);
    ca_buf_add(&core->notes, zeros, -size & 3);
}

void core_thread(struct core_builder *core, int tid, int signal, uint64_t base)
{
    uint8_t status[336] = {0};
    memcpy(status + 12, &signal, 2);
    memcpy(status + 32, &tid, 4);
    for (uint64_t i = 0; i < 27; i++) {
        uint64_t value = base + i;
        memcpy(status + 112 + 8 * i, &value, 8);
    }
    core_note(core, "CORE", NT_PRSTATUS, status, sizeof(status));
}

struct ca_buf core_bytes(const struct core_builder *core)
{
    struct ca_buf out = {0};
    size_t count = core->load_count + 1;
    uint64_t at = sizeof(Elf64_Ehdr) + count * sizeof(Elf64_Phdr);
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_CORE,
                         .e_machine = core->machine ? core->machine : EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_phoff = sizeof(header),
                         .e_ehsize = sizeof(header),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = (Elf64_Half)count};
    Elf64_Phdr notes = {.p_type = PT_NOTE, .p_offset = at, .p_filesz = core->notes.len};
    at += core->notes.len;
    uint64_t end = at;
    for (size_t i = 0; i < core->load_count; i++)
        end += core->loads[i].phdr.p_filesz;
    if (core->xnum) {
        header.e_phnum = PN_XNUM;
        header.e_shoff = end;
    }
    ca_buf_add(&out, (const char *)&header, sizeof(header));
    ca_buf_add(&out, (const char *)&notes, sizeof(notes));
    for (size_t i = 0; i < core->load_count; i++) {
        Elf64_Phdr phdr = core->loads[i].phdr;
        phdr.p_offset = at;
        at += phdr.p_filesz;
        ca_buf_add(&out, (const char *)&phdr, sizeof(phdr));
    }
    if (core->notes.len)
        ca_buf_add(&out, core->notes.data, core->notes.len);
    for (size_t i = 0; i < core->load_count; i++)
        ca_buf_add(&out, core->loads[i].bytes, core->loads[i].phdr.p_filesz);
    if (core->xnum) {
        Elf64_Shdr first = {.sh_info = (Elf64_Word)count};
        ca_buf_add(&out, (const char *)&first, sizeof(first));
    }
    return out;
}

void core_deinit(struct core_builder *core)
{
    ca_buf_deinit(&core->notes);
}

void core_write(char *path, const void *bytes, size_t size)
{
    snprintf(path, 64, "/tmp/core-test-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
}
