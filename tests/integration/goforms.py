"""Changes finished Go programs into what one meets in production, and builds the programs of
tests/programs."""

import struct
import subprocess
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
PT_NOTE, PT_NULL = 4, 0


def strip(binary, output):
    """BINARY without symbols and debug information: the same code at the same addresses."""
    subprocess.run(["objcopy", "--strip-all", str(binary), str(output)], check=True)
    output.chmod(0o755)
    return output


def behead(binary, output, build_info=False):
    """A stripped BINARY without section headers and notes, and without build info unless
    BUILD_INFO: packers leave programs so."""
    data = bytearray(strip(binary, output).read_bytes())
    assert data[:4] == b"\x7fELF" and data[4] == 2
    phoff, = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    for i in range(phnum):
        at = phoff + i * phentsize
        kind, = struct.unpack_from("<I", data, at)
        if kind == PT_NOTE:
            offset, _, _, size = struct.unpack_from("<QQQQ", data, at + 8)
            data[offset:offset + size] = bytes(size)
            struct.pack_into("<I", data, at, PT_NULL)
    if not build_info:
        magic = b"\xff Go buildinf:"
        found = data.find(magic)
        assert found >= 0, "no build info to take away"
        while found >= 0:
            data[found:found + 32] = bytes(32)
            found = data.find(magic)
    # The table itself, then what names it: e_shoff; e_shnum and e_shstrndx.
    shoff, = struct.unpack_from("<Q", data, 40)
    del data[shoff:]
    struct.pack_into("<Q", data, 40, 0)
    struct.pack_into("<HH", data, 60, 0, 0)
    output.write_bytes(data)
    return output


def rename_version(binary, output, old, new):
    """BINARY with the version OLD replaced by NEW, of the same length, wherever it is written."""
    assert len(old) == len(new)
    data = Path(binary).read_bytes()
    assert old in data
    output.write_bytes(data.replace(old, new))
    output.chmod(0o755)
    return output


def build(toolchain, program, output, *flags, cgo=False, env=None, package="."):
    """tests/programs/PROGRAM, built."""
    environment = dict(toolchain.environment(), CGO_ENABLED="1" if cgo else "0", **(env or {}))
    done = subprocess.run(
        [str(toolchain.go), "build", *flags, "-o", str(output), package],
        cwd=PROGRAMS / program, env=environment, capture_output=True, text=True,
    )
    assert not done.returncode, f"{toolchain} build {program}:\n{done.stderr}"
    return output
