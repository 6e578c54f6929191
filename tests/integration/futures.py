"""Programs of random fates (fates/): what they say will happen, and what then does."""

import json
import os
import select
import shutil
import subprocess
from pathlib import Path

import crash
import toolchains

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent.parent / "build" / "proof"
DELAY = 1.0  # seconds until what can act does
_made = set()


def compiled(toolchain, name="fates", **env):
    """Builds tests/integration/NAME with TOOLCHAIN."""
    binary = KEPT / f"{toolchain}-{name}"
    if binary in _made:
        return binary
    KEPT.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [str(toolchain.go), "build", "-o", str(binary), "."], cwd=HERE / name, check=True,
        env=dict(toolchain.environment(), CGO_ENABLED="0", **env),
    )
    _made.add(binary)
    return binary


def environment(seed, minor):
    """GODEBUG and the number of processors change with the seed."""
    debug = ["asyncpreemptoff=1", "asynctimerchan=1", ""][seed % 3]
    if "timer" in debug and not 23 <= minor <= 26:
        debug = ""
    return dict(os.environ, GODEBUG=debug, GOMAXPROCS=str([1, 2, 4, 8][seed // 4 % 4]))


class Outcome:
    """What was said of a run's goroutines, and which of them moved later."""

    def __init__(self, tasks, moved):
        self.tasks, self.moved = tasks, moved

    def fate(self, task):
        return task["labels"].get("fate")

    def false(self):
        """Called leaked, and it moved, or is certain to."""
        return [task for task in self.tasks if task["verdict"] == "leaked"
                and (task["id"] in self.moved or self.fate(task) == "moves")]

    def lost(self):
        return [task for task in self.tasks if self.fate(task) == "lost"]

    def found(self):
        return [task for task in self.lost() if task["verdict"] == "leaked"]

    def bound_to_move(self):
        return [task for task in self.tasks if self.fate(task) == "moves"]


def _document(command, *arguments):
    done = subprocess.run([str(command), "tasks", *map(str, arguments), "--format", "json"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def live(command, toolchain, seed, count=40, folder=None):
    """Looks at the running program, then lets it run on."""
    binary, environ = compiled(toolchain), environment(seed, toolchain.minor)
    process = subprocess.Popen(
        [str(binary), str(seed), str(count), f"{DELAY}s"], stdin=subprocess.DEVNULL, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
    )
    try:
        text = b""
        while b"ready\n" not in text:
            if not select.select([process.stdout], [], [], 60)[0]:
                raise RuntimeError(f"seed {seed}: it does not get ready")
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                raise RuntimeError(f"seed {seed}: {process.stderr.read()[-3000:]}")
            text += more
        document = _document(command, "-p", process.pid)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    lines = (text + out).decode().split("\n")
    if "end" not in lines:
        raise RuntimeError(f"seed {seed}: {err[-3000:]}")
    moved = {line.split()[1] for line in lines if line.startswith("moved ")}
    return Outcome(document["tasks"], moved), document


def dead(command, toolchain, seed, count, folder):
    """Looks at the program's core."""
    binary, environ = compiled(toolchain), environment(seed, toolchain.minor)
    keys = {name: environ[name] for name in ("GODEBUG", "GOMAXPROCS")}
    run = crash.run(binary, (str(seed), str(count)), folder, keys)
    if "panic: enough" not in run.stderr:
        raise RuntimeError(f"seed {seed}: {run.stderr[-3000:]}")
    try:
        document = _document(command, run.core, "--exe", binary)
    finally:
        shutil.rmtree(folder)
    return Outcome(document["tasks"], set()), document
