"""The C samples: what their first comments expect, building and running them, and reading the
account that they print (samples/c/account.h says how it looks)."""

import contextlib
import fcntl
import os
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import crash

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "build" / "samples"
COLUMNS = ["id", "entry", "state", "reason", "object", "site", "creator", "created", "name"]
SHARED = {"account", "coro", "coro_describe", "coro_wait", "sample"}
LIBRARIES = {"state-threads": "st.h", "pth": "pth.h", "boost-fiber": "boost/fiber/all.hpp"}


class Sample:
    """A sample's source, its name (KIND/NAME), and what its first comment says:
    `expects`, a list of dicts with the keys of the comment, and `account`, a dict from the
    argument (leak, repaired, many) to the number of tasks. Counts may be in terms of N."""

    def __init__(self, source):
        self.source = source
        self.name = f"{source.parent.name}/{source.stem}"
        self.expects, self.account = _expectations(source)

    def binary(self, stripped=False):
        return OUT / (self.name + (".stripped" if stripped else ""))


def _expectations(source):
    head = []
    for line in source.read_text().splitlines():
        if not line.startswith("//"):
            break
        head.append(line[2:].strip())
    expects, account = [], {}
    for kind, text in re.findall(r"\b(expect|account):(.*?)(?=\bexpect:|\baccount:|$)", " ".join(head)):
        pairs = dict(word.split("=", 1) for word in shlex.split(text))
        if kind == "expect":
            expects.append(pairs)
        else:
            account = pairs
    return expects, account


def count(text, n=None):
    """A count of a comment: a number, or N with one of /K and +K."""
    match = re.fullmatch(r"N(?:/(\d+))?(?:\+(\d+))?|(\d+)", text)
    if not match:
        raise ValueError(f"not a count: {text!r}")
    if match[3]:
        return int(match[3])
    return n // int(match[1] or 1) + int(match[2] or 0)


def samples(kind="c"):
    """All samples of a kind: c, state-threads, pth, boost-fiber."""
    sources = sorted((ROOT / "samples" / kind).glob("*.c*"))
    return [Sample(path) for path in sources if kind != "c" or path.stem not in SHARED]


def available(kind):
    """Whether the library of that kind is installed here."""
    if kind == "c":
        return True
    folders = ("/usr/include", "/usr/local/include")
    return any(Path(folder, LIBRARIES[kind]).exists() for folder in folders)


def make():
    """Builds all that can be built here, once however many ask for it."""
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "-s", "samples-c"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"make samples-c:\n{done.stderr}")


def split(name):
    """The sample NAME (c/many), built as gcc -O2 does without our flag: functions in two pieces."""
    out = OUT.parent / "samples-split"
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            ["make", "-s", f"SAMPLE_OUT={out.relative_to(ROOT)}",
             "SAMPLE_CFLAGS=-std=gnu11 -O2 -g -I. -Isamples/c",
             str((out / name).relative_to(ROOT))], cwd=ROOT, check=True)
    return out / name


def parse(text):
    """The tasks of an account: a list of dicts with the keys COLUMNS, `-` as None. Raises
    ValueError where it is not an account, or is not complete."""
    lines = text.split("\n")
    if lines[0] != "#" + "\t".join(COLUMNS):
        raise ValueError(f"not the header of an account: {lines[0]!r}")
    if lines[-2:] != ["ready", ""]:
        raise ValueError(f"the account does not end with ready: {lines[-2:]}")
    tasks = []
    for line in lines[1:-2]:
        values = line.split("\t")
        if len(values) != len(COLUMNS):
            raise ValueError(f"{len(values)} columns: {line!r}")
        task = {key: None if value == "-" else value for key, value in zip(COLUMNS, values)}
        tasks.append(task)
    if len({task["id"] for task in tasks}) != len(tasks):
        raise ValueError("an id comes twice")
    return tasks


def groups(tasks):
    """How many tasks wait for each (reason, site)."""
    return Counter((task["reason"], task["site"]) for task in tasks if task["state"] == "waiting")


def die(binary, arguments, folder, env=None, writer=None):
    """Runs the sample until it aborts: a Crash, as crash.run gives it."""
    env = dict(env or {}, SAMPLE_DIE="abort")
    return crash.run(binary, list(map(str, arguments)), folder, env, writer=writer)


@contextlib.contextmanager
def waiting(binary, arguments, env=None):
    """Starts the sample, and gives (process, account) when it has printed its account and waits."""
    process = subprocess.Popen(
        [str(binary), *map(str, arguments)], env=dict(os.environ, **(env or {}), SAMPLE_DIE="wait"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "ready\n":
                break
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
