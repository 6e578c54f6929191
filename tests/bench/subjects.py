"""The cores that the benchmarks read: made once, kept under build/bench."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "build" / "bench"
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import build  # noqa: E402
import crash  # noqa: E402
import toolchains  # noqa: E402


class Subject:
    """A program and its core: `binary`, `core`, `tasks` (how many it was asked to make)."""

    def __init__(self, binary, core, tasks):
        self.binary, self.core, self.tasks = binary, core, tasks


def toolchain():
    """The newest Go at hand: the one on PATH, else Debian's. Raises toolchains.Missing."""
    try:
        return toolchains.find("own")
    except toolchains.Missing:
        return toolchains.find("debian")


def go(chain, count, shape="plain"):
    """samples/go/many with COUNT goroutines."""
    return _make(build.build(chain, "many", shape), f"go-{count}-{shape}", count)


def described(count):
    """samples/c/many with COUNT tasks: a runtime that a description explains."""
    subprocess.run(["make", "-s", "build/samples/c/many"], cwd=ROOT, check=True)
    return _make(ROOT / "build" / "samples" / "c" / "many", f"c-{count}", count)


def leaked(chain, shape, count):
    """chain/ with COUNT leaked goroutines, "daisy" or "apart"."""
    binary = leaking(chain)
    return _make(binary, f"go-{shape}-{count}", count, [shape, str(count)])


def leaking(chain):
    """The program of chain/, built with Go's own leak detector where the toolchain has one."""
    binary = KEPT / "bin" / f"chain-{chain}"
    if not binary.exists():
        more = {"GOEXPERIMENT": "goroutineleakprofile"} if chain.minor == 26 else {}
        _build(chain, binary, "chain", **more)
    return binary


def heap(chain, gigabytes):
    """heap/ with so many GB of small objects: large, so whoever asks gives it to drop()."""
    binary = KEPT / "bin" / f"heap-{chain}"
    if not binary.exists():
        _build(chain, binary, "heap")
    return _make(binary, f"go-heap-{gigabytes:g}", 0, [str(gigabytes)])


def drop(subject):
    shutil.rmtree(subject.core.parent)


def _build(chain, binary, folder, **more):
    binary.parent.mkdir(parents=True, exist_ok=True)
    env = dict(chain.environment(), CGO_ENABLED="0", GO111MODULE="off", **more)
    subprocess.run([str(chain.go), "build", "-o", str(binary), "."], check=True, env=env,
                   cwd=ROOT / "tests" / "bench" / folder)


def _make(binary, name, count, arguments=None):
    key = hashlib.sha256(Path(binary).read_bytes()).hexdigest()[:12]
    folder = KEPT / f"{name}-{key}"
    core = folder / "core"
    if core.exists():
        return Subject(binary, core, count)
    for old in KEPT.glob(f"{name}-*"):
        shutil.rmtree(old)
    folder.mkdir(parents=True)
    print(f"making a core ({name})", file=sys.stderr, flush=True)
    left = _die(binary, arguments or [str(count)], folder)
    left.rename(core)
    return Subject(binary, core, count)


def _die(binary, arguments, folder):
    """Go prints every goroutine before it dies: that is thrown away."""
    if not crash.kernel_writes_here():
        return crash.run(binary, arguments, folder / "run", timeout=1800).core
    env = dict(os.environ, GOTRACEBACK="crash")
    subprocess.run(
        [str(binary), *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_unlimited, timeout=1800,
    )
    cores = list(folder.glob("core*"))
    if len(cores) != 1:
        raise RuntimeError(f"{binary} left {len(cores)} cores in {folder}")
    return cores[0]


def _unlimited():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
