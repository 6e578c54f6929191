"""The registers of a stopped program's threads as the kernel has them, past every debugger: by ptrace,
amd64 only."""

import contextlib
import ctypes
import os
import signal
import subprocess
from pathlib import Path

import instant

INTERRUPT, GETREGSET, SETREGSET = 0x4207, 0x4204, 0x4205
PRSTATUS, XSTATE = 1, 0x202
BITMAP = 512  # of the components that are not in their first state (Intel's manual, XSAVE)
# AVX-512: mask registers, upper halves of zmm0-15, zmm16-31.
COMPONENTS = (5, 6, 7)

_LAYOUT = """
#include <cpuid.h>
#include <stdio.h>
int main(void)
{
    for (unsigned i = 5; i < 8; i++) {
        unsigned size, offset, c, d;
        __cpuid_count(0xd, i, size, offset, c, d);
        printf("%u %u\\n", offset, size);
    }
}
"""


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _regset(request, tid, kind, data=None):
    buffer = ctypes.create_string_buffer(data or bytes(1 << 14), len(data) if data else 1 << 14)
    vector = _Vector(ctypes.addressof(buffer), len(buffer))
    if instant.LIBC.ptrace(request, tid, kind, ctypes.addressof(vector)) < 0:
        raise OSError(ctypes.get_errno(), "registers")
    return buffer.raw[:vector.size]


@contextlib.contextmanager
def _traced(tid):
    instant.ptrace(instant.SEIZE, tid)
    try:
        instant.ptrace(INTERRUPT, tid)
        os.waitpid(tid, instant.WALL)
        yield
    finally:
        instant.ptrace(instant.DETACH, tid)


def _threads(pid):
    return sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())


def read(pid):
    """{tid: (general registers, all others)}, as bytes."""
    found = {}
    for tid in _threads(pid):
        with _traced(tid):
            found[tid] = _regset(GETREGSET, tid, PRSTATUS), _regset(GETREGSET, tid, XSTATE)
    os.kill(pid, signal.SIGSTOP)
    return found


def has_avx512():
    return instant.HERE and "avx512f" in Path("/proc/cpuinfo").read_text()


def fill_avx512(pid, folder):
    """Gives every thread AVX-512 registers that are all different."""
    source = Path(folder) / "layout.c"
    source.write_text(_LAYOUT)
    subprocess.run(["gcc", "-o", source.with_suffix(""), source], check=True)
    said = subprocess.run([source.with_suffix("")], stdout=subprocess.PIPE, text=True, check=True)
    places = [tuple(map(int, line.split())) for line in said.stdout.splitlines()]
    for tid in _threads(pid):
        with _traced(tid):
            state = bytearray(_regset(GETREGSET, tid, XSTATE))
            for component, (offset, size) in zip(COMPONENTS, places):
                state[BITMAP] |= 1 << component
                for i in range(0, size, 2):
                    state[offset + i:offset + i + 2] = (tid * 31 + offset + i).to_bytes(8, "big")[-2:]
            _regset(SETREGSET, tid, XSTATE, bytes(state))
    os.kill(pid, signal.SIGSTOP)
