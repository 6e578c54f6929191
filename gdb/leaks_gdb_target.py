"""The target that gdb has in its hands, as the engine wants it: a process or a remote target.

Cores are read by the engine itself; see leaks.py.
"""

import os
import re
import struct

import gdb

import coreanalyze
import leaks_commands as shared
import leaks_target

FULL = 2**64 - 1


_CORE_LINE = re.compile(r"^Local core dump file:\s*`(.*)', file type", re.M)


def core_path():
    """The core that gdb has open, or None."""
    match = _CORE_LINE.search(gdb.execute("info files", to_string=True))
    return os.path.expanduser(match.group(1)) if match else None


def arch():
    """amd64 or arm64, of the selected thread's program."""
    name = _architecture_name()
    if name.startswith("i386:x86-64"):
        return "amd64"
    if name.startswith("aarch64"):
        return "arm64"
    raise shared.Failed(f"Programs for {name} are not known; amd64 and arm64 are.")


def _architecture_name():
    thread = gdb.selected_thread()
    if thread is not None and thread.is_valid():
        try:
            return gdb.newest_frame().architecture().name()
        except gdb.error:
            pass
    return gdb.selected_inferior().architecture().name()


def number(frame, register):
    """A register as an unsigned number, or None."""
    try:
        value = frame.read_register(register)
        return None if value.is_optimized_out else int(value) & FULL
    except (gdb.error, ValueError):
        return None


class Adapter(coreanalyze.Adapter):
    """clocks: CLOCK_MONOTONIC and CLOCK_REALTIME of when it stopped; local: it is a process of this
    machine, which gdb traces itself; unmoved(): a context in which threads may be switched."""

    def __init__(self, inferior, local, clocks, unmoved):
        self.arch = arch()
        self.inferior = inferior
        self.unmoved = unmoved
        self.pid = inferior.pid or None
        self.executable = gdb.current_progspace().filename
        self.process = leaks_target.Process.open(self.pid) if local else None
        if local:
            self.now_ns, self.wall_ns = clocks

    def close(self):
        if self.process is not None:
            self.process.close()
            self.process = None

    def read(self, address, size):
        if self.process is not None:
            return self.process.read(address, size)
        try:
            return self.inferior.read_memory(address, size)
        except (gdb.error, OverflowError):
            return None

    def mappings(self):
        if self.process is not None:
            return self.process.mappings()
        try:
            found = list(_gdb_maps(gdb.execute("info proc mappings", to_string=True)))
        except gdb.error:
            found = []
        return found or list(_section_maps())

    def threads(self):
        known = [thread for thread in self.inferior.threads()
                 if thread.is_valid() and not thread.is_running()]
        if self.process is not None:
            try:
                return sorted(leaks_target.traced_thread(
                    self.arch, thread.ptid[1], self.process.name_of(thread.ptid[1]))
                    for thread in known)
            except (OSError, struct.error, IndexError):
                pass  # then as gdb has them
        return sorted(self._by_gdb(known))

    def _by_gdb(self, threads):
        known = leaks_target.ARCHES[self.arch]
        with self.unmoved():
            for thread in threads:
                thread.switch()
                frame = gdb.newest_frame()
                found = {n: number(frame, name) for n, name in enumerate(known.names)}
                registers = {n: value for n, value in found.items() if value is not None}
                yield coreanalyze.Thread(
                    thread.ptid[1] or thread.ptid[0], registers, number(frame, known.tls) or 0,
                    thread.name or "", _raw_registers())


_RAW = re.compile(r"\s0x([0-9a-f]+)\s*$", re.M)


def _raw_registers():
    """All registers of the selected thread as gdb keeps them: the words that vectors hold, too."""
    try:
        text = gdb.execute("maintenance print raw-registers", to_string=True)
    except gdb.error:
        return b""
    # gdb prints a number, most significant digit first; words lie in memory the other way round.
    return b"".join(_word_padded(bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))[::-1])
                    for digits in _RAW.findall(text))


def _word_padded(data):
    return data + bytes(-len(data) % 8)


_GDB_MAP = re.compile(r"\s*(0x[0-9a-f]+)\s+(0x[0-9a-f]+)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+)"
                      r"(?:\s+([r-][w-][x-][ps-]))?\s*(.*)$")


def _gdb_maps(text):
    for line in text.splitlines():
        match = _GDB_MAP.match(line)
        if match:
            start, end, offset, flags, path = match.groups()
            yield coreanalyze.Mapping(int(start, 16), int(end, 16), int(offset, 16),
                                      leaks_target.flags(flags) if flags else 7,
                                      path.strip() or None)


def _section_maps():
    """A stub that knows no mappings: one for each loadable segment of what gdb has loaded."""
    for objfile in gdb.objfiles():
        if objfile.filename and os.path.isfile(objfile.filename):
            yield from _segments(objfile.filename, _load_bias(objfile))


def _load_bias(objfile):
    """Where gdb has the file, relative to its own addresses."""
    text = gdb.execute("info files", to_string=True)
    with open(objfile.filename, "rb") as file:
        entry = struct.unpack_from("<Q", file.read(64), 24)[0]
    if objfile.filename == gdb.current_progspace().filename:
        match = re.search(r"Entry point: (0x[0-9a-f]+)", text)
        return int(match.group(1), 16) - entry if match else 0
    return 0


def _segments(path, bias):
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return
        offset, size, count = (struct.unpack_from("<Q", head, 32)[0],
                               *struct.unpack_from("<HH", head, 54))
        file.seek(offset)
        table = file.read(size * count)
    for i in range(count):
        kind, flags, at, address, _, _, length, _ = struct.unpack_from("<IIQQQQQQ", table, i * size)
        if kind == 1:
            low = (address + bias) & ~0xfff
            high = (address + bias + length + 0xfff) & ~0xfff
            yield coreanalyze.Mapping(low, high, at & ~0xfff, flags, path)
