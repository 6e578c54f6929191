"""The doors to one stopped instant: the command, gdb and lldb, on a core and on the process."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GDB, LLDB = shutil.which("gdb"), shutil.which("lldb-19") or shutil.which("lldb")
# Beside what the machine has: the library as run-integration gives it, else the checkout's.
os.environ.setdefault("CA_LIBRARY", str(ROOT / "build" / "libcoreanalyze.so"))
os.environ.setdefault("CA_BINARY", str(ROOT / "build" / "coreanalyze"))
GDBSERVER = shutil.which("gdbserver")
# A sanitised library cannot be loaded into a program that is not.
SANITIZED = os.environ.get("CA_SANITIZED") == "1"


def environment():
    env = dict(os.environ, COREANALYZE_LIB=os.environ["CA_LIBRARY"], NO_COLOR="1",
               DEBUGINFOD_URLS="")
    return env


def run(words, timeout=120, stderr=subprocess.PIPE, **more):
    return subprocess.run([str(word) for word in words], env=environment(), stdout=subprocess.PIPE,
                          stderr=stderr, text=True, errors="replace", timeout=timeout,
                          stdin=subprocess.DEVNULL, **more)


def gdb(*commands, timeout=120):
    """What gdb prints; every command is run, in order, after leaks.py was loaded."""
    words = [GDB, "-nx", "-batch", "-ex", "set auto-load off", "-ex", "set width 0",
             "-ex", f"source {ROOT}/gdb/leaks.py"]
    for command in commands:
        words += ["-ex", command]
    done = run(words, timeout, stderr=subprocess.STDOUT)
    assert "Fatal signal" not in done.stdout, done.stdout
    assert "internal-error" not in done.stdout, done.stdout
    return done.stdout


def lldb(*commands, timeout=120):
    """The same in lldb. From a file, since it ends at the first error of a command line's."""
    with tempfile.NamedTemporaryFile("w", suffix=".lldb") as script:
        script.write("\n".join([f"command script import {ROOT}/lldb/leaks.py", *map(str, commands)]))
        script.write("\n")
        script.flush()
        done = run([LLDB, "-b", "-x", "-o", f"command source -e false -c false {script.name}"],
                   timeout, stderr=subprocess.STDOUT)
    assert done.returncode >= 0, done.stdout
    return done.stdout


def json_in(text, start):
    """The document that follows the line with `start`."""
    at = text.rindex(start)
    return json.JSONDecoder().raw_decode(text, text.index("{", at))[0]


class Frozen:
    """A process that stands still under a tracer of nobody's: SIGSTOP. `core` is its core."""

    def __init__(self, process, binary, folder):
        self.process, self.binary, self.folder = process, Path(binary), Path(folder)
        self.pid = process.pid
        self.core = self.folder / "core"

    def by_command(self, words, live):
        target = ["-p", self.pid] if live else [self.core]
        done = run([os.environ["CA_BINARY"], *words, *target, "--format", "json"])
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def by_gdb(self, words, setup):
        return self.all_by_gdb([words], setup)[0]

    def all_by_gdb(self, calls, setup):
        """The documents of several calls, of one gdb."""
        outs = [self.folder / f"gdb{i}.json" for i in range(len(calls))]
        said = gdb(*setup, *(f"pipe leaks {' '.join(words)} --format json | cat >{out}"
                             for words, out in zip(calls, outs)))
        for out in outs:
            assert out.exists() and out.read_text(), said
        return [json.loads(out.read_text()) for out in outs]

    def in_core(self):
        return [f"file {self.binary}", f"core-file {self.core}"]

    def attached(self):
        return [f"file {self.binary}", f"attach {self.pid}"]

    def by_lldb(self, words, setup):
        return self.all_by_lldb([words], setup)[0]

    @staticmethod
    def all_by_lldb(calls, setup, after=()):
        lines = [f"leaks {' '.join(words)} --format json" for words in calls]
        said = lldb(*setup, *lines, *after)
        return [json_in(said, "(lldb) " + line) for line in lines]

    def lldb_core(self):
        return [f"target create {self.binary} -c {self.core}"]

    def lldb_attached(self):
        return [f"target create {self.binary}", f"process attach -p {self.pid}"]

    def connected(self, place):
        return [f"file {self.binary}", f"target remote {place}"]

    def lldb_connected(self, place):
        return [f"target create {self.binary}", f"gdb-remote {place}"]

    @contextlib.contextmanager
    def served(self):
        """gdbserver on the process; gives the place to connect to."""
        server = subprocess.Popen(
            [GDBSERVER, "--once", "--attach", "127.0.0.1:0", str(self.pid)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        port = None
        for line in server.stderr:
            found = re.search(r"Listening on port (\d+)", line)
            if found:
                port = found.group(1)
                break
        assert port
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()
            os.kill(self.pid, signal.SIGSTOP)


# The kernel writes the processor's number into a thread's restartable sequence each time that the
# thread comes back from a stop elsewhere (rseq(2)): not what a test of unchanged memory is after.
WITHOUT_RSEQ = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}


@contextlib.contextmanager
def frozen(binary, arguments, folder, env=None):
    """Starts a sample that says "ready", freezes it, takes its core."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [str(binary), *arguments], cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=dict(os.environ, SAMPLE_DIE="wait", **(env or {})), text=True)
    try:
        while "ready" not in (line := process.stdout.readline()):
            assert line, "the sample ended before it was ready"
        _wait_asleep(process.pid)
        Path(f"/proc/{process.pid}/coredump_filter").write_text("0x7f")
        os.kill(process.pid, signal.SIGSTOP)
        _wait_stopped(process.pid)
        found = Frozen(process, binary, folder)
        said = run([GDB, "-nx", "-batch", "-ex", "set auto-load off", "-ex",
                    f"attach {process.pid}", "-ex", f"gcore {found.core}", binary])
        assert found.core.exists(), said.stdout + said.stderr
        # gdb writes out what Go has only reserved: more than a GB of zeros.
        subprocess.run(["fallocate", "--dig-holes", str(found.core)], check=False)
        yield found
    finally:
        (folder / "core").unlink(missing_ok=True)
        process.kill()
        process.wait()
        process.stdout.close()


def _wait_asleep(pid):
    """It says "ready" a moment before it waits. A sample that never sleeps gets a second."""
    quiet = 0
    for _ in range(50):
        states = {
            (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        }
        quiet = quiet + 1 if states == {"S"} else 0
        if quiet == 5:
            return
        time.sleep(0.02)


def _wait_stopped(pid):
    for _ in range(500):
        states = [
            (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        if all(state in "Tt" for state in states):
            return
        time.sleep(0.01)
    raise TimeoutError("the process does not stop")


CLOCKS = {"since_ns", "deadline_ns", "oldest_ns", "last_gc_ns", "stopped_ns"}


def without_clocks(value, also=("target",)):
    """A document without what differs between two looks: clocks, and the target itself."""
    if isinstance(value, dict):
        return {k: without_clocks(v, ()) for k, v in value.items() if k not in CLOCKS | set(also)}
    if isinstance(value, list):
        return [without_clocks(item, ()) for item in value]
    return value
