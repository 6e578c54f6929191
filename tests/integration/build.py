"""Builds the Go samples with a toolchain and in a shape, and keeps what it built by content."""

import fcntl
import functools
import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "samples" / "go"
KEPT = ROOT / "build" / "samples"

# What makes a difference to a reader of the program. `cgo` only says something of programs that
# can be built without: those use the network or the user database.
SHAPES = {
    "plain": [],
    "stripped": ["-ldflags=-s -w"],
    "pie": ["-buildmode=pie"],
    "pie-stripped": ["-buildmode=pie", "-ldflags=-s -w"],
    "trimpath": ["-trimpath"],
    "noopt": ["-gcflags=all=-N -l"],
    "cgo-stripped": ["-ldflags=-s -w"],
}


@functools.lru_cache(maxsize=None)
def _sources():
    digest = hashlib.sha256()
    for path in sorted(SAMPLES.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(SAMPLES)).encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


def build(toolchain, program, shape="plain"):
    """The path of samples/go/PROGRAM, built. Raises RuntimeError with what the compiler said."""
    flags = SHAPES[shape]
    cgo = "1" if program == "cgo" or shape.startswith("cgo") else "0"
    # The folder is part of the content: the program's line tables hold it.
    facts = (_sources(), str(toolchain), str(toolchain.root), str(SAMPLES), program, shape, cgo)
    key = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
    folder = KEPT / f"{toolchain}-{program}-{shape}-{key}"
    binary = folder / program
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if binary.exists():
            return binary
        partial = folder / f".{program}.{os.getpid()}"
        env = dict(toolchain.environment(), CGO_ENABLED=cgo)
        done = subprocess.run(
            [str(toolchain.go), "build", *flags, "-o", str(partial), "./" + program],
            cwd=SAMPLES, env=env, capture_output=True, text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{toolchain} build {' '.join(flags)} ./{program}:\n{done.stderr}")
        partial.rename(binary)
    return binary
