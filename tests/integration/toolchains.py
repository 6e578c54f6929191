"""The Go toolchains of tests/versions.txt: where they are, and which could not be had."""

import functools
import json
import os
import platform
import shutil
import stat
import subprocess
from collections import Counter
from pathlib import Path

VERSIONS = Path(__file__).resolve().parent.parent / "versions.txt"
DEBIAN = Path("/usr/lib/go-1.19/bin/go")
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


#: Those that tests needed and did not get: why, and how many tests that cost.
MISSING, SKIPPED = {}, Counter()


class Missing(Exception):
    """A toolchain that is not here and could not be fetched; the text says why."""


class Toolchain:
    """One Go toolchain: `go` is its program, `version` as 1.22.12, `minor` as 22."""

    def __init__(self, go):
        self.go = Path(go)
        version, self.root = _ask(self.go, "GOVERSION", "GOROOT")
        # Vendors and experiments add to the version, behind a space or a dash.
        self.version = version[2:].replace("-", " ").split()[0]
        self.minor = int(self.version.split(".")[1].split("rc")[0])

    def __str__(self):
        return "go" + self.version

    def environment(self):
        """The environment in which this toolchain builds, and calls in no other one."""
        env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false", GOWORK="off")
        env.pop("GOROOT", None)
        if self.minor < 21:
            # These were not made to live in the module cache: their index of it would hold
            # their own standard library too, and lead nowhere.
            env["GODEBUG"] = "goindex=0"
        return env


def _ask(go, *names):
    env = dict(os.environ, GOTOOLCHAIN="local", GOWORK="off")
    env.pop("GOROOT", None)
    done = subprocess.run(
        [str(go), "env", "-json", *names], env=env, capture_output=True, text=True, check=True
    )
    values = json.loads(done.stdout)
    return [values[name] for name in names]


def wanted(full):
    """The names in versions.txt, in order: the everyday ones, or all of them."""
    names = []
    for line in VERSIONS.read_text().splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        name, when = words
        if when not in ("everyday", "full"):
            raise ValueError(f"{VERSIONS}: {when!r} is neither everyday nor full")
        if full or when == "everyday":
            names.append(name)
    return names


@functools.lru_cache(maxsize=None)
def find(name):
    """The toolchain of that name in versions.txt. Raises Missing."""
    if name == "own":
        own = shutil.which("go")
        if own is None:
            raise Missing("there is no go on PATH")
        return Toolchain(own)
    if name == "debian":
        if not DEBIAN.exists():
            raise Missing(f"there is no {DEBIAN}: apt-get install golang-1.19-go")
        return Toolchain(DEBIAN)
    for go in _local():
        if Toolchain(go).version == name:
            return Toolchain(go)
    return Toolchain(_fetch(name))


def need(name):
    """The toolchain of that name, for a test. One that cannot be had is skipped and counted; where
    CI=true it is a failure."""
    import pytest  # the benchmarks, which use this file too, need none

    try:
        return find(name)
    except Missing as why:
        MISSING[name] = str(why)
        SKIPPED[name] += 1
        if os.environ.get("CI") == "true":
            pytest.fail(f"toolchain {name}: {why}")
        pytest.skip(f"toolchain {name}: {why}")


def newest():
    """The newest of the everyday ones that can be had here, for a test."""
    names = list(reversed(wanted(False)))
    for name in names[:-1]:
        try:
            return find(name)
        except Missing:
            pass
    return need(names[-1])


def _local():
    return [go for go in (shutil.which("go"), DEBIAN) if go and Path(go).exists()]


def _fetch(version):
    """The program `go` of a release, downloaded as a module unless it is there already."""
    go = next(iter(_local()), None)
    if go is None:
        raise Missing("fetching it needs a go, and there is none")
    module = f"golang.org/toolchain@v0.0.1-go{version}.linux-{ARCH}"
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod", GOWORK="off")
    try:
        done = subprocess.run(
            [str(go), "mod", "download", "-json", module],
            env=env, cwd="/", capture_output=True, text=True, timeout=600,
        )
        answer = json.loads(done.stdout or "{}")
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise Missing(f"go mod download {module}: {error}") from None
    if "Dir" not in answer:
        raise Missing(f"go mod download {module}: {answer.get('Error', done.stderr).strip()}")
    root = Path(answer["Dir"])
    _make_usable(root)
    return root / "bin" / "go"


def _make_usable(root):
    """A module's zip knows no executables and no go.mod of its own: as cmd/go does it itself
    (cmd/go/internal/toolchain/select.go), give both back."""
    for folder in (root / "bin", root / "pkg" / "tool"):
        for path in folder.rglob("*"):
            if path.is_file() and not path.stat().st_mode & stat.S_IXUSR:
                path.chmod(path.stat().st_mode | 0o111)
    hidden, there = root / "src" / "_go.mod", root / "src" / "go.mod"
    if hidden.exists() and not there.exists():
        mode = there.parent.stat().st_mode
        there.parent.chmod(mode | stat.S_IWUSR)
        partial = there.with_name(f"go.mod.{os.getpid()}")
        partial.write_bytes(hidden.read_bytes())
        partial.rename(there)
        there.parent.chmod(mode)
