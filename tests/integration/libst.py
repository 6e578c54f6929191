"""State Threads 1.9 and GNU Pth 2.0.7 with debug information: Debian's own source packages, fetched
by their names with apt and built under build/. Debian's libraries are stripped, and its archive has
no packages with the debug symbols that could be assumed to be there.

    optimised()  as Debian builds it, plus -g: the same structures
    debugging()  by State Threads' own linux-debug: with -DDEBUG, which adds the list of all threads
    pth()        GNU Pth, as Debian builds it, plus -g

Each gives the folder to put into LD_LIBRARY_PATH; the soname is Debian's, so the samples run on it.
Raises Missing, with the reason, where the source cannot be had.
"""

import fcntl
import functools
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "build" / "libst"
PACKAGE = "libst1"
DEFAULT = (
    "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    "http://deb.debian.org/debian bookworm main\n"
)


class Missing(Exception):
    pass


def _run(command, cwd):
    try:
        done = subprocess.run(
            list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode:
        raise Missing(f"{' '.join(map(str, command))}:\n{done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


def _sources(folder):
    """This machine's own Debian mirror, as a source of source packages. The machine's own lists
    need not have them, and are not touched."""
    deb822 = Path("/etc/apt/sources.list.d/debian.sources")
    if deb822.exists():
        path = folder / "debian.sources"
        path.write_text(re.sub(r"(?m)^Types:.*$", "Types: deb-src", deb822.read_text()))
        return path
    one_line = Path("/etc/apt/sources.list")
    lines = re.findall(r"(?m)^deb\s.*$", one_line.read_text()) if one_line.exists() else []
    path = folder / "debian.list"
    path.write_text("".join(re.sub(r"^deb", "deb-src", x) + "\n" for x in lines) or DEFAULT)
    return path


@functools.lru_cache(maxsize=None)
def source(package=PACKAGE, folder="source"):
    """The unpacked source package, with Debian's patches."""
    tree = OUT / folder
    if tree.exists():
        return tree
    apt = OUT / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    for needed in ("lists/partial", "cache/archives/partial", "fetched"):
        (apt / needed).mkdir(parents=True)
    options = [
        "-q", "-o", f"Dir::Etc::sourcelist={_sources(apt)}", "-o", "Dir::Etc::sourceparts=/dev/null",
        "-o", f"Dir::State::lists={apt / 'lists'}", "-o", f"Dir::Cache={apt / 'cache'}",
        "-o", "APT::Sandbox::User=",
    ]
    _run(["apt-get", *options, "update"], apt)
    _run(["apt-get", *options, "source", "--download-only", package], apt / "fetched")
    found = list((apt / "fetched").glob("*.dsc"))
    if len(found) != 1:
        raise Missing(f"apt-get source {package} left {[x.name for x in found]}")
    partial = OUT / "unpacking"
    shutil.rmtree(partial, ignore_errors=True)
    _run(["dpkg-source", "-x", found[0], partial], apt)
    partial.rename(tree)
    shutil.rmtree(apt)
    return tree


def _build(name, target, flags, compiler):
    OUT.mkdir(parents=True, exist_ok=True)
    folder = OUT / name
    with open(OUT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = OUT / f"{name}.work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(source(), work)
            _run(["make", target, f"CC={compiler}", f"EXTRA_CFLAGS={flags}"], work)
            built = [path.parent for path in work.glob("LINUX*/libst.so.1")]
            if len(built) != 1:
                raise Missing(f"make {target} left no libst.so.1")
            # The sources stay where the debug information says that they are.
            folder.symlink_to(built[0].relative_to(OUT))
    return folder


def optimised():
    return _build("optimised", "linux-optimized", "-O2 -g", "gcc")


def debugging():
    return _build("debugging", "linux-debug", "", "gcc")


def pth():
    OUT.mkdir(parents=True, exist_ok=True)
    folder = OUT / "pth"
    with open(OUT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = OUT / "pth.work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(source("libpth20", "pth-source"), work)
            _run(["./configure", "--disable-static"], work)
            _run(["make", "CFLAGS=-g -O2", "libpth.la"], work)
            if not (work / ".libs" / "libpth.so.20").exists():
                raise Missing("make libpth.la left no libpth.so.20")
            folder.symlink_to("pth.work/.libs")
    return folder
