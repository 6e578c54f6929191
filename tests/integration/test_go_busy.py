"""A Go program all of whose goroutines run, stopped at random moments: wherever a thread is caught,
its goroutine's stack is whole."""

import random
import shutil
import subprocess
import time

import pytest

import goforms
import toolchains

# Version, flags, cgo, whether only the long run has it.
FORMS = {
    "plain": ("own", ["-ldflags=-s -w"], False, False),
    "cgo": ("own", [], True, False),
    "race": ("own", ["-race"], True, True),
    "old": ("1.19.13", [], False, True),
    "old-cgo-pie": ("1.20.14", ["-buildmode=pie", "-ldflags=-linkmode=external"], True, True),
    "1.22": ("1.22.12", ["-gcflags=all=-N -l"], False, True),
    "1.24": ("1.24.11", ["-ldflags=-s -w"], True, True),
    "1.27": ("1.27.4", [], False, True),
}


@pytest.fixture(params=FORMS)
def busy(request, full, tmp_path):
    """The process id of the program, running."""
    name, flags, cgo, only_full = FORMS[request.param]
    if only_full and not full:
        pytest.skip("with --full")
    if cgo and not shutil.which("gcc"):
        pytest.skip("cgo needs gcc")
    toolchain = toolchains.need(name)
    binary = goforms.build(toolchain, "gobusy", tmp_path / "gobusy", *flags, cgo=cgo)
    process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process.pid
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def _ends_well(task):
    """At the function that the go statement called; one that has just returned from that is about
    to end."""
    functions = [frame["function"] for frame in task["frames"]]
    if functions and functions[-1] == "runtime.goexit":
        functions.pop()
    return functions and functions[-1] in (task["entry"]["function"], "runtime.goexit1")


def test_caught_anywhere(coreanalyze, busy, full, record):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    running = 0
    for _ in range(500 if full else 40):
        time.sleep(chance.uniform(0, 0.02))
        document = coreanalyze.json("tasks", "-p", busy, "--no-proof")
        assert document["gaps"] == []
        runtime, = document["runtimes"]
        # One that is being made, or has just ended, counts but is nothing yet, or no more.
        assert 0 <= runtime["counted"] - runtime["tasks"] <= 8
        for task in document["tasks"]:
            assert _ends_well(task), task
            running += task["state"] == "running"
    assert running
    record.lines.append(f"busy Go: the stacks of {running} running goroutines, all whole")
