"""`leaks` inside gdb and lldb, from the command to its last line, beside Go's own script for gdb."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from measure import Broken
from peers import Absent
from subjects import KEPT

ROOT = Path(__file__).resolve().parent.parent.parent
LEAST, MOST = 50, 2  # times faster than Go's script; lldb against gdb

# The core and the symbols are there before the clock starts; every line has been written when it
# ends. A debugger of its own for each run, so that nothing is kept from the one before.
_GDB = """python
import sys, time
def timed(command):
    sys.stdout.flush()
    begin = time.perf_counter()
    gdb.execute(command)
    gdb.flush()
    print("seconds", time.perf_counter() - begin)
timed({command!r})
end
"""
_LLDB = """import lldb, sys, time
def timed(debugger, command, result, context):
    inner = lldb.SBCommandReturnObject()
    begin = time.perf_counter()
    debugger.GetCommandInterpreter().HandleCommand(command, inner)
    text = inner.GetOutput()
    sys.stdout.write(text)
    sys.stdout.flush()
    print("seconds", time.perf_counter() - begin)
def __lldb_init_module(debugger, _):
    debugger.HandleCommand("command script add -f timed.timed timed")
"""


class Timed:
    """What measure.Result is for whole programs, of one command in a debugger."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.cpu = self.private = self.rss = None


def _run(words, program):
    env = dict(os.environ, COREANALYZE_LIB=str(Path(program).parent / "libcoreanalyze.so"),
               NO_COLOR="1", DEBUGINFOD_URLS="")
    done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, timeout=900)
    found = re.search(r"^seconds ([0-9.e-]+)$", done.stdout, re.M)
    if not found:
        raise Broken(f"{words[0]}: {(done.stderr or done.stdout)[-400:]}")
    return Timed(float(found[1])), done.stdout


def gdb(program, subject, command, source):
    path = shutil.which("gdb")
    if not path:
        raise Absent("gdb: not on PATH")
    script = KEPT / "timed.gdb"
    script.write_text(_GDB.format(command=command))
    return _run([path, "-nx", "-batch", subject.binary, subject.core, "-ex", "set width 0",
                 "-ex", f"source {source}", "-x", script], program)


def lldb(program, subject, command):
    path = shutil.which("lldb-19") or shutil.which("lldb")
    if not path:
        raise Absent("lldb: not on PATH")
    script = KEPT / "timed.py"
    script.write_text(_LLDB)
    return _run([path, "-x", "-b", "-o", f"target create {subject.binary} -c {subject.core}",
                 "-o", f"command script import {ROOT}/lldb/leaks.py",
                 "-o", f"command script import {script}", "-o", f"timed {command}"], program)


def _best(call, count, times=3):
    runs = []
    for _ in range(times):
        timed, said = call()
        found = re.search(r"^([0-9,]+) goroutines", said, re.M)
        if not found or int(found[1].replace(",", "")) < count:
            raise Broken(f"`leaks` in a debugger does not tell of {count:,} goroutines: {said[-300:]}")
        runs.append(timed)
    return min(runs, key=lambda run: run.seconds)


def rows(bench):
    """The rows and thresholds of the debuggers, for run."""
    table, subject, program = bench.table, bench.subject, bench.program
    ours = _best(lambda: gdb(program, subject, "leaks", ROOT / "gdb" / "leaks.py"), subject.tasks)
    table.row("gdb, leaks.py", "leaks, inside gdb", ours, bench.leaks)
    own = f"{bench.chain.root}/src/runtime/runtime-gdb.py"
    if os.path.exists(own):
        theirs, said = gdb(program, subject, "info goroutines", own)
        found = len(re.findall(r"^[* ]\s*\d+ \w+", said, re.M))
        if found < subject.tasks:
            raise Broken(f"info goroutines: {found:,} of {subject.tasks:,} goroutines")
        table.row("gdb, Go's script", "info goroutines, inside gdb", theirs, bench.leaks)
        table.check("leaks in gdb against Go's info goroutines", theirs.seconds / ours.seconds,
                    LEAST)
    lldbs = _best(lambda: lldb(program, subject, "leaks"), subject.tasks)
    table.row("lldb, leaks.py", "leaks, inside lldb", lldbs, bench.leaks)
    table.check("leaks in lldb against gdb", lldbs.seconds / ours.seconds, MOST, False)
