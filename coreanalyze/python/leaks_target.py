"""What gdb's and lldb's target adapters share: register names, and processes of this machine.

The debuggers read a process of this machine through /proc, in bulk; what is elsewhere they ask
their own debugger for. Nothing here writes.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional

import coreanalyze


class Arch(NamedTuple):
    """Registers by DWARF number, as the debuggers name them (gdb's names; lldb's differ on arm64)."""

    names: List[str]
    lldb_names: List[str]
    tls: str
    sp: int
    fp: int
    pc: int


ARCHES = {
    "amd64": Arch(
        names=("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip").split(),
        lldb_names=("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip").split(),
        tls="fs_base", sp=7, fp=6, pc=16),
    "arm64": Arch(
        names=[f"x{n}" for n in range(31)] + ["sp", "pc"],
        lldb_names=[f"x{n}" for n in range(29)] + ["fp", "lr", "sp", "pc"],
        tls="tpidr", sp=31, fp=29, pc=32),
}


class Process:
    """A process of this machine that stands still under a debugger's hand."""

    def __init__(self, pid: int):
        self.pid = pid
        self._memory: Optional[int] = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def open(cls, pid: Optional[int]) -> Optional["Process"]:
        """None where /proc does not let us: the debugger reads for us then, slower."""
        try:
            return cls(pid) if pid else None
        except OSError:
            return None

    def close(self) -> None:
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None

    def read(self, address: int, size: int) -> Optional[bytes]:
        try:
            return os.pread(self._memory, size, address)  # type: ignore[arg-type]
        except (OSError, OverflowError, TypeError):
            return None

    def mappings(self) -> List[coreanalyze.Mapping]:
        with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="surrogateescape") as text:
            return parse_maps(text)

    def name_of(self, tid: int) -> str:
        try:
            with open(f"/proc/{self.pid}/task/{tid}/comm", encoding="utf-8",
                      errors="surrogateescape") as text:
                return text.read().rstrip("\n")
        except OSError:
            return ""


_FLAGS = {"r": 4, "w": 2, "x": 1}


def flags(text: str) -> int:
    """ELF's flags of a text like r-xp."""
    return sum(bit for letter, bit in _FLAGS.items() if letter in text)


def parse_maps(lines: Iterable[str]) -> List[coreanalyze.Mapping]:
    """The lines of /proc/PID/maps."""
    return list(_maps(lines))


def _maps(lines: Iterable[str]) -> Iterator[coreanalyze.Mapping]:
    for line in lines:
        words = line.rstrip("\n").split(None, 5)
        start, _, end = words[0].partition("-")
        yield coreanalyze.Mapping(int(start, 16), int(end, 16), int(words[2], 16), flags(words[1]),
                                  words[5] if len(words) > 5 else None)


# ---- registers by ptrace, for the debugger that traces the process itself ----------------------

_GETREGSET, _PRSTATUS, _FPREGS, _XSTATE, _ARM_TLS = 0x4204, 1, 2, 0x202, 0x401

# Where struct user_regs_struct (sys/user.h) has the registers, in DWARF's order; fs_base is 21.
_AMD64_PLACES = (10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16)


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _regset(tid: int, kind: int) -> bytes:
    buffer = ctypes.create_string_buffer(16384)
    vector = _Vector(ctypes.addressof(buffer), len(buffer))
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.restype = ctypes.c_long
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if ptrace(_GETREGSET, tid, kind, ctypes.addressof(vector)):
        raise OSError(ctypes.get_errno(), f"registers of thread {tid}")
    return buffer.raw[:vector.size]


def traced_thread(arch: str, tid: int, name: str) -> coreanalyze.Thread:
    """A thread that this process traces, as the kernel has it. OSError: it does not."""
    words = _regset(tid, _PRSTATUS)
    numbers = struct.unpack(f"<{len(words) // 8}Q", words[:len(words) // 8 * 8])
    registers: Dict[int, int]
    if arch == "amd64":
        registers = {number: numbers[at] for number, at in enumerate(_AMD64_PLACES)}
        return coreanalyze.Thread(tid, registers, numbers[21], name, _regset(tid, _XSTATE))
    registers = dict(enumerate(numbers[:33]))
    tls, = struct.unpack("<Q", _regset(tid, _ARM_TLS)[:8])
    return coreanalyze.Thread(tid, registers, tls, name, _regset(tid, _FPREGS))
