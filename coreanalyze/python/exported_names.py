"""The names of the threads of an exported core, from the note that export-core leaves in it."""

import struct

_NOTE_NAME, _NOTE_TYPE = b"COREANALYZE\0", 1


def read(path):
    """(tid, name) of each exported task: the lines "TID NAME" of the note. Raises OSError,
    struct.error."""
    with open(path, "rb") as file:
        head = file.read(64)
        offset, size, count = (struct.unpack_from("<Q", head, 32)[0],
                               *struct.unpack_from("<HH", head, 54))
        file.seek(offset)
        table = file.read(size * count)
        for i in range(count):
            kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", table, i * size)
            if kind == 4:
                file.seek(at)
                yield from _names(file.read(length))


def _names(notes):
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12:at + 12 + name_size]
        data = at + 12 + (name_size + 3 & ~3)
        if name == _NOTE_NAME and kind == _NOTE_TYPE:
            for line in notes[data:data + size].decode("utf-8", "replace").splitlines():
                tid, _, text = line.partition(" ")
                yield int(tid), text
        at = data + (size + 3 & ~3)
