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

    def ask(self):
        self.process.stdin.write("\n")
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
    try:
        own = toolchains.find("own")
    except toolchains.Missing as error:
        pytest.fail(str(error))
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


def test_attaches(coreanalyze, live, sizes, record):
    attaches, _, goroutines = sizes
    before, stops, stalls = live.ask(), [], []
    for _ in range(attaches):
        document = coreanalyze.json("info", "-p", live.pid, "--no-proof")
        runtime, = document["runtimes"]
        assert runtime["tasks"] == runtime["counted"] > goroutines
        assert sum(document["counts"]["states"].values()) == runtime["tasks"]
        stops.append(document["target"]["stopped_ns"] / 1e6)
        said = live.ask()
        assert said["errors"] == 0
        stalls.append(said["stall_us"] / 1e3)
    _unharmed(live, before)
    profile = statistics.median(live.ask()["profile_us"] for _ in range(5)) / 1e3
    record.lines.append(
        f"live Go: {attaches} attaches to {goroutines} goroutines under load: stopped for "
        f"{statistics.median(stops):.1f} ms (median), {max(stops):.1f} ms at most; its own longest "
        f"stall {max(stalls):.1f} ms; its own goroutine profile takes {profile:.1f} ms"
    )


def test_list_of_all(coreanalyze, live, sizes):
    document = coreanalyze.json("tasks", "-p", live.pid)
    assert len(document["tasks"]) == document["runtimes"][0]["counted"] > sizes[2]
    assert len({task["id"] for task in document["tasks"]}) == len(document["tasks"])
    senders = [task for task in document["tasks"] if task["reason"] == "chan send"]
    assert len(senders) >= sizes[2]
    assert all(task["frames"] for task in senders)


def test_killed(coreanalyze, live, sizes):
    """kill -9 of coreanalyze at random moments of an attach."""
    _, kills, _ = sizes
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    before = live.ask()
    start = time.monotonic()
    coreanalyze.json("info", "-p", live.pid)
    whole = time.monotonic() - start
    for _ in range(kills):
        process = subprocess.Popen([str(coreanalyze.path), "info", "-p", str(live.pid)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, whole))
        process.kill()
        process.wait()
        _unharmed(live, before)


def test_no_stop(coreanalyze, live, sizes):
    document = coreanalyze.json("info", "-p", live.pid, "--no-stop")
    assert document["target"]["stopped_ns"] in (0, None)
    assert document["runtimes"][0]["tasks"] > sizes[2] * 0.9
    assert any("not stopped" in gap["why"] for gap in document["gaps"]), document["gaps"]
