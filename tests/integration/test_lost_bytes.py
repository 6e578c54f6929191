"""A core or an executable that is cut while it is read: an answer, or a message and status 2, never
a SIGBUS; not in the command, and not in a process that has the library inside."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest

import crash
import doors
import strictjson

SLOW = os.environ.get("CA_SANITIZED", "") != ""
MODULE = doors.ROOT / "coreanalyze" / "python"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A Go program with some thousand goroutines, and its core."""
    return crash.of_own(tmp_path_factory.mktemp("many") / "run", "many", "3000", SAMPLE_DIE="panic")


def normal_time(words):
    start = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return time.monotonic() - start


@pytest.mark.parametrize("which", ["core", "executable"])
def test_cut_while_it_is_read(coreanalyze, sample, full, tmp_path, record, which):
    random.seed(which)
    fates = {"whole": 0, "told": 0, "refused": 0}
    core, exe = tmp_path / "core", tmp_path / "exe"
    victim, original = (core, sample.core) if which == "core" else (exe, sample.binary)
    shutil.copy(sample.core, core)
    shutil.copy(sample.binary, exe)
    command = [coreanalyze.path, "leaks", core, "--exe", exe, "--format", "json"]
    usual = normal_time(command)
    for _ in range(300 if full else 40):
        shutil.copyfile(original, victim)
        size = random.choice((0, random.randrange(1 << 16), random.randrange(victim.stat().st_size)))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(random.random() * usual)
        os.truncate(victim, size)
        out, said = process.communicate(timeout=60)
        assert process.returncode in (0, 1, 2), (process.returncode, size, said)
        if process.returncode == 2:
            assert said.strip(), size
            fates["told" if b"while it was being read" in said else "refused"] += 1
        else:
            strictjson.loads(out)
            fates["whole"] += 1
    assert fates["told"], fates
    record.lines.append(f"{which} cut while `leaks` reads it: {fates}")


HOST = """
import ctypes, faulthandler, os, signal, sys, threading, time, random
try:
    faulthandler.enable()
except Exception:
    pass  # a debugger's stderr has no descriptor
import coreanalyze
core, exe, original, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
random.seed(4)

def handlers():
    action = ctypes.create_string_buffer(512)
    assert ctypes.CDLL(None).sigaction(signal.SIGBUS, None, action) == 0
    return action.raw[:8]

def restore():
    with open(original, "rb") as source, open(core, "wb") as out:
        while piece := source.read(1 << 20):
            out.write(piece)

def cut(after, size):
    time.sleep(after)
    os.truncate(core, size)

before, told, whole = handlers(), 0, 0
start = time.monotonic()
coreanalyze.open_core(core, exe=exe).close()
usual = time.monotonic() - start
for _ in range(rounds):
    restore()
    thread = threading.Thread(target=cut, args=(random.random() * usual, random.choice((0, 70000))))
    thread.start()
    try:
        session = coreanalyze.open_core(core, exe=exe)
        thread.join()
        # What was cut after it was opened is found out by the next question.
        try:
            session.tasks()
            session.leaks()
            whole += 1
        finally:
            session.close()
    except coreanalyze.CoreanalyzeError as error:
        told += "while it was being read" in str(error)
    thread.join()
    assert handlers() == before, (before, handlers())
print("told", told, "whole", whole)
"""


HOSTS = {
    "python": [sys.executable],
    "gdb": [doors.GDB, "-nx", "-batch", "-x"],
    "lldb": [doors.LLDB, "-b", "-x", "-o"],
}


@pytest.mark.skipif(SLOW, reason="the hosts are not sanitised")
@pytest.mark.parametrize("host", HOSTS)
def test_cut_in_a_host(sample, full, tmp_path, record, host):
    """Processes with their own SIGBUS handler: they go on living, and keep it."""
    if not HOSTS[host][0]:
        pytest.skip(f"no {host}")
    core, script = tmp_path / "core", tmp_path / "host.py"
    shutil.copy(sample.core, core)
    arguments = ["", core, sample.binary, sample.core, 100 if full else 15]
    script.write_text(f"import sys\nsys.argv = {list(map(str, arguments))}\n"
                      f"sys.path.insert(0, {str(MODULE)!r})\n{HOST}")
    last = f"command script import {script}" if host == "lldb" else script
    done = doors.run([*HOSTS[host], last], timeout=600)
    found = re.search(r"^told (\d+) whole (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and found, (done.returncode, done.stdout, done.stderr[-3000:])
    assert int(found[1]), done.stdout
    record.lines.append(f"core cut while {host} reads it: {found[0]}")


def test_a_core_that_grows(coreanalyze, sample, tmp_path):
    """Whoever writes it is not done: an answer, and a word that there will be more."""
    core = tmp_path / "core"
    data = sample.core.read_bytes()
    stop = threading.Event()
    core.write_bytes(data[: len(data) * 9 // 10])

    def write():
        with open(core, "ab") as file:
            at = len(data) * 9 // 10
            while not stop.is_set():
                file.write(data[at : at + 64] or b"\\0")
                file.flush()
                at += 64
    thread = threading.Thread(target=write)
    thread.start()
    try:
        done = coreanalyze.run("leaks", core, "--exe", sample.binary, "--format", "json")
    finally:
        stop.set()
        thread.join()
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["target"]["complete"] is False
    assert any("written to while it was being read" in gap["why"] for gap in document["gaps"])
