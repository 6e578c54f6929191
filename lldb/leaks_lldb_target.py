"""The target that lldb has in its hands, as the engine wants it: a process or a remote target.

Cores are read by the engine itself; see leaks.py.
"""

import os
import re

import lldb

import coreanalyze
import leaks_commands as shared
import leaks_target


def arch(target):
    """amd64 or arm64."""
    machine = target.GetTriple().split("-")[0]
    found = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    if machine not in found:
        raise shared.Failed(f"Programs for {machine} are not known; amd64 and arm64 are.")
    return found[machine]


def file_of(spec):
    return spec.fullpath if spec.IsValid() and spec.GetFilename() else None


def core_path(process):
    """The core that lldb has open, or None (lldb 14 does not tell)."""
    if process.GetPluginName() != "elf-core" or not hasattr(process, "GetCoreFile"):
        return None
    return file_of(process.GetCoreFile())


def _status(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as text:
        for line in text:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    return 0


def _is_local(process):
    """Whether the process is of this machine: then our own child, lldb-server, traces it."""
    if process.GetPluginName() == "elf-core":
        return False
    try:
        return _status(_status(process.GetProcessID(), "TracerPid"), "PPid") == os.getpid()
    except (OSError, ValueError):
        return False


class Adapter(coreanalyze.Adapter):
    """clocks: CLOCK_MONOTONIC and CLOCK_REALTIME of when it stopped; hidden: thread ids that are
    tasks of ours, not threads."""

    def __init__(self, process, clocks, hidden):
        self.process = process
        self.hidden = hidden
        self.arch = arch(process.GetTarget())
        self.pid = process.GetProcessID()
        self.executable = file_of(process.GetTarget().GetExecutable())
        self.local = None
        if _is_local(process):
            self.now_ns, self.wall_ns = clocks
            self.local = leaks_target.Process.open(self.pid)

    def close(self):
        if self.local is not None:
            self.local.close()
            self.local = None

    def read(self, address, size):
        if self.local is not None:
            return self.local.read(address, size)
        error = lldb.SBError()
        data = self.process.ReadMemory(address, size, error)
        return data if error.Success() else None

    def threads(self):
        found = []
        for i in range(self.process.GetNumThreads()):
            thread = self.process.GetThreadAtIndex(i)
            if thread.GetThreadID() not in self.hidden:
                found.append(self._thread(thread))
        return sorted(found)

    def _thread(self, thread):
        known = leaks_target.ARCHES[self.arch]
        frame = thread.GetFrameAtIndex(0)
        registers = {}
        for number, name in enumerate(known.lldb_names):
            value = frame.FindRegister(name)
            if value.IsValid() and value.GetError().Success():
                registers[number] = value.GetValueAsUnsigned()
        base = frame.FindRegister(known.tls)
        tid = thread.GetThreadID()
        name = self.local.name_of(tid) if self.local is not None else thread.GetName() or ""
        return coreanalyze.Thread(tid, registers,
                                  base.GetValueAsUnsigned() if base.IsValid() else 0, name,
                                  b"".join(_vectors(frame)))

    def mappings(self):
        if self.local is not None:
            return self.local.mappings()
        return list(self._regions()) or self._of_gdbserver() or list(self._sections())

    def _regions(self):
        regions, region = self.process.GetMemoryRegions(), lldb.SBMemoryRegionInfo()
        for i in range(regions.GetSize()):
            if not regions.GetMemoryRegionAtIndex(i, region) or not region.IsMapped():
                continue
            flags = 4 * region.IsReadable() + 2 * region.IsWritable() + region.IsExecutable()
            start = region.GetRegionBase()
            yield coreanalyze.Mapping(start, region.GetRegionEnd(), self._offset(start), flags,
                                      region.GetName() or self._file_at(start))

    def _file_at(self, address):
        """The regions of a core have no names; lldb's modules do."""
        module = self.process.GetTarget().ResolveLoadAddress(address).GetModule()
        return file_of(module.GetFileSpec()) if module.IsValid() else None

    def _offset(self, address):
        """lldb's regions have no file offsets; its sections do."""
        section = self.process.GetTarget().ResolveLoadAddress(address).GetSection()
        while section.IsValid() and section.GetParent().IsValid():
            section = section.GetParent()
        if not section.IsValid():
            return 0
        load = section.GetLoadAddress(self.process.GetTarget())
        return max(0, section.GetFileOffset() - (load - address))

    def _of_gdbserver(self):
        """gdbserver tells no regions, and through it lldb finds no libraries; but it reads files,
        as gdb has it do."""
        if self.process.GetPluginName() != "gdb-remote":
            return []
        text = _remote_file(self.process, f"/proc/{self.pid}/maps")
        try:
            return leaks_target.parse_maps(text.splitlines())
        except (ValueError, IndexError):
            return []

    def _sections(self):
        target = self.process.GetTarget()
        for i in range(target.GetNumModules()):
            module = target.GetModuleAtIndex(i)
            for j in range(module.GetNumSections()):
                section = module.GetSectionAtIndex(j)
                start = section.GetLoadAddress(target)
                if start != lldb.LLDB_INVALID_ADDRESS and section.GetFileByteSize():
                    yield coreanalyze.Mapping(start, start + section.GetByteSize(),
                                              section.GetFileOffset(), section.GetPermissions(),
                                              file_of(module.GetFileSpec()))


_MAPS_MAX = 64 << 20


def _packet(process, text):
    """What a stub answers to a packet of gdb's protocol; it must be one that only reads."""
    debugger, result = process.GetTarget().GetDebugger(), lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand(f"process plugin packet send {text}", result)
    return (result.GetOutput() or "").partition("response: ")[2].removesuffix("\n")


def _remote_file(process, path):
    """A file of the machine that a stub runs on, as far as it can be read (gdb's manual, Host I/O
    Packets)."""
    opened = re.match(r"F([0-9a-f]+)$", _packet(process, f"vFile:open:{path.encode().hex()},0,0"))
    found, size = [], 0
    while opened and size < _MAPS_MAX:
        answer = _packet(process, f"vFile:pread:{opened[1]},3000,{size:x}")
        read = re.match(r"F([0-9a-f]+);", answer)
        if not read or not int(read[1], 16):
            break
        size += int(read[1], 16)
        # Some bytes cannot be in a packet as they are.
        found.append(re.sub(r"\}(.)", lambda match: chr(ord(match[1]) ^ 0x20), answer[read.end():],
                            flags=re.S))
    if opened:
        _packet(process, f"vFile:close:{opened[1]}")
    return "".join(found)


def _vectors(frame):
    """The bytes of all registers but the general ones, each padded to whole words."""
    sets = frame.GetRegisters()
    for i in range(1, sets.GetSize()):
        registers = sets.GetValueAtIndex(i)
        for j in range(registers.GetNumChildren()):
            data, error = registers.GetChildAtIndex(j).GetData(), lldb.SBError()
            size = data.GetByteSize()
            found = data.ReadRawData(error, 0, size) if size >= 8 else None
            if found and error.Success():
                yield found + bytes(-len(found) % 8)
