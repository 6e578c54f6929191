"""A Go program that works and watches itself, attached to again and again: it is unharmed."""

import os
import random
import re
import statistics
import subprocess
import time

import pytest

import goforms
import toolchains

class Live:
    """The running program; ask() is what it says of itself."""

    def __init__(self, binary, goroutines):
        self.process = subprocess.Popen([str(binary), str(goroutines)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def ask(self, line=""):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        words = re.findall(r"(\w+)=(\d+)", self.process.stdout.readline())
        return {key: int(value) for key, value in words}

    def threads(self):
        """(TracerPid, state letter) of each thread."""
        found = []
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{tid}/status") as status:
                    fields = dict(line.rstrip("\n").split(":\t", 1) for line in status)
            except FileNotFoundError:
                continue
            found.append((int(fields["TracerPid"]), fields["State"][0]))
        return found


@pytest.fixture(scope="module")
def sizes(full):
    """Attaches, kills, goroutines."""
    return (1000, 100, 100_000) if full else (10, 10, 5000)


@pytest.fixture
def live(sizes, tmp_path):
    own = toolchains.need("own")
    binary = goforms.build(own, "golive", tmp_path / "golive", "-ldflags=-s -w")
    one = Live(binary, sizes[2])
    yield one
    one.process.kill()
    one.process.wait()


def _unharmed(live, before):
    """It goes on, complains of nothing, and nobody holds it."""
    for _ in range(50):
        threads = live.threads()
        if all(tracer == 0 and state not in "tT" for tracer, state in threads):
            break
        time.sleep(0.02)
    assert threads and all(tracer == 0 for tracer, _ in threads), threads
    assert all(state not in "tT" for _, state in threads), threads
    first = live.ask()
    time.sleep(0.3)
    second = live.ask()
    assert second["work"] > first["work"] > before["work"]
    assert second["errors"] == 0


def _milliseconds(values):
    return f"{statistics.median(values):.1f} ms (median), {max(values):.1f} ms at most"


def test_attaches(coreanalyze, live, sizes, record):
    """Each picture is whole: the goroutines that the runtime itself counts, and no gap."""
    attaches, _, goroutines = sizes
    before, stalls = live.ask(), []
    stops = {"--no-proof": [], "proof": []}
    for i in range(attaches):
        how = "proof" if i % 10 == 9 else "--no-proof"
        document = coreanalyze.json("info", "-p", live.pid, *([how] if how != "proof" else []))
        runtime, = document["runtimes"]
        # One that is being made, or has just ended, counts but is nothing yet, or no more.
        assert 0 <= runtime["counted"] - runtime["tasks"] <= 8 and runtime["tasks"] > goroutines
        assert sum(document["counts"]["states"].values()) == runtime["tasks"]
        assert document["gaps"] == []
        stops[how].append(document["target"]["stopped_ns"] / 1e6)
        said = live.ask()
        assert said["errors"] == 0
        stalls.append(said["stall_us"] / 1e3)
    _unharmed(live, before)
    record.lines.append(f"live Go: {attaches} attaches to {goroutines} goroutines under load:")
    for how, times in stops.items():
        record.lines.append(f"  {how}: it stood still for {_milliseconds(times)}")
    record.lines.append(f"  its own longest stall each time: {_milliseconds(stalls)}")
    own = [live.ask("profile") for _ in range(5)]
    for debug, key in enumerate(("profile_us", "text_us", "traces_us")):
        times = [one[key] / 1e3 for one in own]
        record.lines.append(f"  its own goroutine profile, debug={debug}: {_milliseconds(times)}")


def test_list_of_all(coreanalyze, live, sizes):
    document = coreanalyze.json("tasks", "-p", live.pid)
    assert 0 <= document["runtimes"][0]["counted"] - len(document["tasks"]) <= 8
    assert len(document["tasks"]) > sizes[2]
    assert len({task["id"] for task in document["tasks"]}) == len(document["tasks"])
    senders = [task for task in document["tasks"] if task["reason"] == "chan send"]
    assert len(senders) >= sizes[2]
    assert all(task["frames"] for task in senders)


def _wait_for_tracer(live, process):
    while process.poll() is None:
        with open(f"/proc/{live.pid}/status") as status:
            if f"TracerPid:\t{process.pid}\n" in status.read():
                return


def test_killed(coreanalyze, live, sizes):
    """kill -9 of coreanalyze at random moments of an attach."""
    _, kills, _ = sizes
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    before = live.ask()
    start = time.monotonic()
    held = coreanalyze.json("info", "-p", live.pid)["target"]["stopped_ns"] / 1e9
    whole = time.monotonic() - start
    for i in range(kills):
        process = subprocess.Popen([str(coreanalyze.path), "info", "-p", str(live.pid)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if i % 2:  # while it holds the target, which is the smaller part of the time
            _wait_for_tracer(live, process)
            time.sleep(chance.uniform(0, held))
        else:
            time.sleep(chance.uniform(0, whole))
        process.kill()
        process.wait()
        _unharmed(live, before)


def test_no_stop(coreanalyze, live, sizes):
    document = coreanalyze.json("info", "-p", live.pid, "--no-stop")
    assert document["target"]["stopped_ns"] in (0, None)
    assert document["runtimes"][0]["tasks"] > sizes[2] * 0.9
    assert any("not stopped" in gap["why"] for gap in document["gaps"]), document["gaps"]


def test_copy_limit(coreanalyze, live, sizes):
    """What may not be copied is not proved, and said."""
    whole = coreanalyze.json("leaks", "-p", live.pid)
    assert whole["gaps"] == [] and whole["summary"]["leaked"] >= sizes[2]
    document = coreanalyze.json("leaks", "-p", live.pid, "--copy-limit", "1")
    assert any("--copy-limit" in gap["why"] for gap in document["gaps"]), document["gaps"]
    assert document["summary"]["leaked"] == 0
