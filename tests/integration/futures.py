"""Programs of random fates (fates/): what they say will happen, and what then does."""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import build
import crash
import toolchains

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent.parent / "build" / "proof"
DELAY = 1.0  # seconds until what can act does
DEBUG = ("asyncpreemptoff=1", "", "", "clobberfree=1", "", "gcstoptheworld=1")
SHAPES = ("plain", "stripped", "plain", "stripped", "noopt", "cgo-stripped", "pie", "pie-stripped")
_made = set()


def compiled(toolchain, name="fates", shape="plain", **env):
    """Builds tests/integration/NAME with TOOLCHAIN, in a shape of build.py."""
    binary = KEPT / f"{toolchain}-{name}{'' if shape == 'plain' else '-' + shape}"
    if binary in _made:
        return binary
    KEPT.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [str(toolchain.go), "build", *build.SHAPES[shape], "-o", str(binary), "."], check=True,
        cwd=HERE / name,
        env=dict(toolchain.environment(), CGO_ENABLED=str(int(shape.startswith("cgo"))), **env),
    )
    _made.add(binary)
    return binary


def chosen(toolchain, seed):
    """The program and its environment: its shape, GODEBUG, how many processors, how often the garbage
    collector runs, all by the seed."""
    debug = DEBUG[seed % len(DEBUG)]
    if 23 <= toolchain.minor <= 26:  # otherwise go.mod's version decides
        debug += f",asynctimerchan={int(seed % 3 == 1)}"
    environ = dict(os.environ, GODEBUG=debug, GOMAXPROCS=str([1, 2, 3, 4, 8][seed // 4 % 5]),
                   GOGC=["100", "10", "5", "1"][seed // 2 % 4])
    return compiled(toolchain, shape=SHAPES[seed % len(SHAPES)]), environ


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
        """Of those that say so when they do: not what they started, which has their labels too."""
        return [task for task in self.tasks if self.fate(task) == "moves"
                and task["entry"]["function"].startswith("main.begin")]


def answer(command, *arguments):
    done = subprocess.run([str(command), "tasks", *map(str, arguments), "--format", "json"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def live(command, toolchain, seed, count=40, folder=None, delay=DELAY):
    """Looks at the running program, then lets it run on."""
    binary, environ = chosen(toolchain, seed)
    process = subprocess.Popen(
        [str(binary), str(seed), str(count), f"{delay}s"], stdin=subprocess.DEVNULL, cwd=folder,
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
        try:
            document = answer(command, "-p", process.pid)
        except RuntimeError:
            if process.poll() is None or delay > 60:
                raise
            return live(command, toolchain, seed, count, folder, delay * 4)  # a busy machine
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
    binary, environ = chosen(toolchain, seed)
    run = crash.run(binary, (str(seed), str(count)), folder, environ)
    if "panic: enough" not in run.stderr:
        raise RuntimeError(f"seed {seed}: {run.stderr[-3000:]}")
    try:
        document = answer(command, run.core, "--exe", binary)
    finally:
        shutil.rmtree(folder)
    return Outcome(document["tasks"], set()), document


# ---- programs that make, end and lose goroutines all the time ----


def place(task):
    """Where it waits. The garbage collector may move a stack, but changes no return address."""
    return [frame["pc"] for frame in task["frames"]]


class Look:
    """One look at a running program, which had printed AT bytes by then."""

    def __init__(self, document, at):
        self.at, self.gaps = at, document["gaps"]
        self.tasks = {task["id"]: task for task in document["tasks"]}
        self.silent = any(gap["what"] == "proof" for gap in self.gaps)
        self.leaked = {task["id"]: task for task in document["tasks"]
                       if task["verdict"] == "leaked"}

    def lost(self):
        return [task for task in self.tasks.values() if task["labels"].get("fate") == "lost"]


class Course:
    """The looks at one program, in order, and where in its output it says that who has moved."""

    def __init__(self, looks, output):
        self.looks, self.moved, at = looks, {}, 0
        self.ended = output.endswith(b"\nend\n")  # else it died of a mistake of its own
        for line in output.split(b"\n"):
            if line.startswith(b"moved "):
                self.moved[line.split()[1].decode()] = at
            at += len(line) + 1

    def false(self):
        """Called leaked, and later it said that it moved, or was gone or elsewhere."""
        seen, wrong = {}, {}
        for look in self.looks:
            for i, task in seen.items():
                if i not in look.tasks or place(look.tasks[i]) != place(task):
                    wrong[i] = task
            seen.update(look.leaked)
            wrong.update((i, task) for i, task in look.leaked.items()
                         if self.moved.get(i, -1) >= look.at)
        return list(wrong.values())


def _stop(process):
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def churn(command, toolchain, seed, seconds, folder):
    """Looks at the program as often as it can: as it runs, or stopped."""
    binary, environ = chosen(toolchain, seed)
    output, errors, chance = folder / "output", folder / "errors", random.Random(seed)
    looks = []
    with open(output, "wb") as out, open(errors, "wb") as err:
        process = subprocess.Popen([str(binary), str(seed), "20", f"{seconds}s", "churn"],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environ)
    try:
        end = time.monotonic() + seconds
        while process.poll() is None and not output.stat().st_size:  # until it is ready
            time.sleep(0.01)
        while time.monotonic() < end:
            time.sleep(chance.random() * 0.02)
            stops = chance.random() < 0.5
            try:
                if stops:
                    _stop(process)
                looks.append(Look(answer(command, "-p", process.pid), output.stat().st_size))
            except (RuntimeError, ChildProcessError):
                if process.poll() is None:
                    raise
                break  # a busy machine was late
            process.send_signal(signal.SIGCONT)
        process.wait(120)
    finally:
        process.kill()
        process.wait()
    course = Course(looks, output.read_bytes())
    if not course.ended and "panic: " not in errors.read_text():
        raise RuntimeError(f"seed {seed}: {errors.read_text()[:3000]}")
    return course
