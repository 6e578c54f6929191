"""The tools that people use today, on the same core. One that is missing says why in a line."""

import os
import re
import shutil
import subprocess

from measure import Broken
from subjects import KEPT

DELVE = "github.com/go-delve/delve/cmd/dlv@latest"
DELVE_NEEDS = 25  # the minor version of Go that builds it


class Absent(Exception):
    """A peer that is not there; the text says why."""


def delve(chain):
    """The path of dlv: the one built for the bench, or on PATH, else built now."""
    built = KEPT / "bin" / "dlv"
    if built.exists():
        return built
    if shutil.which("dlv"):
        return shutil.which("dlv")
    if chain.minor < DELVE_NEEDS:
        raise Absent(f"Delve: no dlv on PATH, and {chain} is too old to build it")
    env = dict(chain.environment(), GOBIN=str(built.parent))
    try:
        done = subprocess.run(
            [str(chain.go), "install", DELVE], cwd="/", env=env, capture_output=True, text=True,
            timeout=900,
        )
    except subprocess.TimeoutExpired:
        raise Absent("Delve: go install did not end within 15 minutes") from None
    if done.returncode:
        raise Absent(f"Delve: go install {DELVE}: {done.stderr.strip().splitlines()[-1]}")
    return built


def delve_command(dlv, subject, words):
    """A dlv that runs one command on the core, and ends."""
    script = KEPT / "delve.commands"
    script.write_text(f"{words}\nexit\n")
    return [dlv, "core", subject.binary, subject.core, "--check-go-version=false",
            "--allow-non-terminal-interactive=true", "--init", script]


def gdb_command(chain, subject):
    gdb = shutil.which("gdb")
    script = f"{chain.root}/src/runtime/runtime-gdb.py"
    if not gdb:
        raise Absent("gdb: not on PATH")
    if not os.path.exists(script):
        raise Absent(f"gdb: {script} is not there")
    return [gdb, "-nx", "-batch", subject.binary, subject.core, "-ex", f"source {script}",
            "-ex", "info goroutines"]


def viewcore_command(subject):
    viewcore = shutil.which("viewcore")
    if not viewcore:
        raise Absent("viewcore: not on PATH")
    return [viewcore, subject.core, "--exe", subject.binary, "goroutines"]


def count_lines(result, pattern):
    """How many lines of what a tool printed match: a peer that gave up early is no peer."""
    regex = re.compile(pattern)
    with open(result.output, encoding="utf-8", errors="replace") as text:
        return sum(1 for line in text if regex.search(line))


def count_totals(result):
    """Delve's groups name five members each, and how many there are."""
    return sum(map(int, re.findall(r"^\s*Total: (\d+)$",
                                   result.output.read_text("utf-8", "replace"), re.M)))


def expect(found, least, name):
    if found < least:
        raise Broken(f"{name}: {found:,} goroutines in its output, {least:,} are there")


_OFFSETS = """python
g = gdb.lookup_type("runtime.g")
def at(path):
    kind, sum = g, 0
    for name in path.split("."):
        field = [f for f in kind.strip_typedefs().fields() if f.name == name][0]
        kind, sum = field.type, sum + field.bitpos // 8
    return sum
print("layout", g.sizeof, *map(at, ("atomicstatus", "sched.sp", "sched.pc", "sched.bp", "gopc")))
print("allgs", gdb.lookup_global_symbol("runtime.allgs").value().address)
"""


def floor_command(subject):
    """floor.c, built, and told by gdb where the fields lie."""
    source = os.path.join(os.path.dirname(__file__), "floor.c")
    program = KEPT / "floor"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), source],
                   check=True)
    script = KEPT / "layout.gdb"
    script.write_text(_OFFSETS + "end\n")
    done = subprocess.run(["gdb", "-nx", "-batch", str(subject.binary), "-x", str(script)],
                          capture_output=True, text=True)
    layout = re.search(r"^layout (.*)$", done.stdout, re.M)
    allgs = re.search(r"^allgs .*?(0x[0-9a-f]+)", done.stdout, re.M)
    if not layout or not allgs:
        raise Absent(f"floor: gdb does not know the layout: {done.stderr.strip()[-300:]}")
    return [program, subject.core, allgs.group(1), *layout.group(1).split()]
