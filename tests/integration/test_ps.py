"""`ps`: the processes of this machine in which a known runtime lives."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

import build
import strictjson
import toolchains

PTRACE_SEIZE = 0x4206


@pytest.fixture
def own():
    return toolchains.need("own")


@pytest.fixture
def running(tmp_path):
    """A function that starts a sample which comes to rest and stays."""
    started = []

    def one(binary, **options):
        process = subprocess.Popen(
            [str(binary)], env=dict(os.environ, SAMPLE_DIE="wait"), stdout=subprocess.PIPE,
            cwd=tmp_path, **options,
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield one
    for process in started:
        # Not process.kill(): of a process that this one traces, Popen takes a stop for the end.
        os.kill(process.pid, signal.SIGKILL)
        try:
            while not os.WIFSIGNALED(os.waitpid(process.pid, 0)[1]):
                pass
        except ChildProcessError:
            pass  # Popen has waited for it
        process.returncode = -signal.SIGKILL


def _of(document, pid):
    return [process for process in document["processes"] if process["pid"] == pid]


def _status(pid):
    with open(f"/proc/{pid}/status") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status)


@pytest.mark.parametrize("shape", ["plain", "stripped"])
def test_listed(coreanalyze, own, running, shape):
    process = running(build.build(own, "all", shape))
    document = coreanalyze.json("ps")
    assert list(document) == ["schema", "target", "runtimes", "gaps", "processes"]
    found, = _of(document, process.pid)
    assert list(found) == ["pid", "program", "runtimes", "threads", "readable", "why"]
    assert found["program"] == "all" and found["readable"] and found["why"] is None
    assert found["threads"] == int(_status(process.pid)["Threads"])
    runtime, = found["runtimes"]
    truth = coreanalyze.json("tasks", "-p", process.pid)
    assert runtime["version"] == f"go{own.version}"
    assert runtime["tasks"] == len(truth["tasks"])
    assert _of(document, os.getpid()) == []
    pids = [process["pid"] for process in document["processes"]]
    assert pids == sorted(pids)


def test_text(coreanalyze, own, running):
    process = running(build.build(own, "all", "stripped"))
    done = coreanalyze.run("ps")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["PID", "PROGRAM", "RUNTIME", "TASKS", "THREADS"]
    line, = [line for line in lines if line.split()[0] == str(process.pid)]
    assert f"Go {own.version}, stripped" in line


def test_stops_nobody(coreanalyze, own, running):
    """A process that another tracer holds cannot be stopped by a second one: it is read."""
    process = running(build.build(own, "all"))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    assert libc.ptrace(PTRACE_SEIZE, process.pid, None, None) == 0, ctypes.get_errno()
    assert _status(process.pid)["TracerPid"] == str(os.getpid())
    found, = _of(coreanalyze.json("ps"), process.pid)
    assert found["readable"] and found["runtimes"][0]["tasks"] > 0


@pytest.fixture
def open_folder():
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="ca-ps-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_another_users(coreanalyze, own, running, open_folder):
    """What may not be read is listed all the same, with the reason and the remedy."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root's rights to become another user")
    for path in coreanalyze.path.parent.glob("libcoreanalyze.so.?"):
        shutil.copy(path, open_folder)
    command = shutil.copy(coreanalyze.path, open_folder)
    binary = shutil.copy(build.build(own, "all", "stripped"), open_folder / "another")
    process = running(binary)
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", command, "ps",
         "--format", "json"], capture_output=True)
    assert done.returncode == 0, done.stderr
    found, = _of(strictjson.loads(done.stdout), process.pid)
    assert found["program"] == "another" and not found["readable"]
    assert found["runtimes"][0]["version"] == f"go{own.version}"
    assert found["runtimes"][0]["tasks"] is None
    assert "sudo" in found["why"] or "root" in found["why"], found["why"]
