"""Cores taken apart and put together again, for the tests of odd and hostile ones."""

import struct

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
SHDR = struct.Struct("<IIQQQQIIQQ")
PT_LOAD, PT_NOTE, PN_XNUM, NT_FILE = 1, 4, 0xFFFF, 0x46494C45
E_TYPE, E_MACHINE, E_PHOFF, E_SHOFF, E_SHENTSIZE, E_PHNUM = 1, 2, 5, 6, 11, 10


class Core:
    """The bytes of a core, with its header and its program headers as lists of numbers."""

    def __init__(self, path):
        self.data = bytearray(path.read_bytes())
        self.header = list(HEADER.unpack_from(self.data))
        self.phdrs = [list(PHDR.unpack_from(self.data, self.header[E_PHOFF] + i * PHDR.size))
                      for i in range(self.header[E_PHNUM])]

    def notes(self):
        """(name, type, content) of each note."""
        _, _, at, _, _, size, _, _ = next(p for p in self.phdrs if p[0] == PT_NOTE)
        end = at + size
        while at < end:
            name_size, size, kind = struct.unpack_from("<III", self.data, at)
            at += 12
            name = bytes(self.data[at : at + name_size])
            at += (name_size + 3) & ~3
            yield name, kind, bytes(self.data[at : at + size])
            at += (size + 3) & ~3

    def set_notes(self, notes):
        """Other notes, behind everything else."""
        parts = []
        for name, kind, note in notes:
            parts += [struct.pack("<III", len(name), len(note), kind), name, bytes(-len(name) % 4),
                      note, bytes(-len(note) % 4)]
        content = b"".join(parts)
        phdr = next(p for p in self.phdrs if p[0] == PT_NOTE)
        phdr[2], phdr[5] = self.append(content), len(content)

    def append(self, content):
        self.data += bytes(-len(self.data) % 8)
        at = len(self.data)
        self.data += content
        return at

    def write(self, path, xnum=False):
        """The program headers go where they were, else (there are more, or XNUM) to the end."""
        if xnum or len(self.phdrs) > self.header[E_PHNUM]:
            self.header[E_PHOFF] = self.append(b"".join(PHDR.pack(*p) for p in self.phdrs))
        if xnum:
            first = SHDR.pack(0, 0, 0, 0, 0, 0, 0, len(self.phdrs), 0, 0)
            self.header[E_SHOFF] = self.append(first)
        self.header[E_PHNUM] = PN_XNUM if xnum else len(self.phdrs)
        for i, phdr in enumerate(self.phdrs):
            PHDR.pack_into(self.data, self.header[E_PHOFF] + i * PHDR.size, *phdr)
        HEADER.pack_into(self.data, 0, *self.header)
        path.write_bytes(self.data)


def parse_files(note):
    """NT_FILE: the page size, and a list of [start, end, page offset, path]."""
    count, page = struct.unpack_from("<QQ", note)
    names = note[16 + 24 * count :].split(b"\0")
    return page, [[*struct.unpack_from("<QQQ", note, 16 + 24 * i), names[i]] for i in range(count)]


def make_files(page, files):
    out = struct.pack("<QQ", len(files), page)
    out += b"".join(struct.pack("<QQQ", *file[:3]) for file in files)
    return out + b"".join(file[3] + b"\0" for file in files)
