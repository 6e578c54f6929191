"""Live processes through the command: what is refused and why, and that the target goes on."""

import contextlib
import ctypes
import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import goforms
import toolchains

BINARY = os.environ.get("CA_BINARY", "build/coreanalyze")
PTRACE_SEIZE = 0x4206


def analyze(*arguments, binary=BINARY, **keywords):
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, **keywords)


def state(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("State:"):
            return line.split()[1]
    return None


def wait_for_state(pid, wanted):
    for _ in range(500):
        if state(pid) in wanted:
            return state(pid)
        time.sleep(0.01)
    return state(pid)


@pytest.fixture
def ticker():
    """A process that writes a line every hundredth of a second."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c",
         "import time\nwhile True: print('tick'); time.sleep(0.01)"],
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def goes_on(process):
    """Reads what is in the pipe already, then waits for more."""
    os.set_blocking(process.stdout.fileno(), False)
    while process.stdout.read():
        pass
    for _ in range(300):
        time.sleep(0.01)
        if process.stdout.read():
            return True
    return False


def test_without_a_runtime(ticker):
    done = analyze("info", "-p", ticker.pid)
    assert done.returncode == 2
    assert "no known coroutine runtime" in done.stderr
    assert goes_on(ticker)


def test_without_stopping(ticker):
    done = analyze("info", "--no-stop", "-p", ticker.pid)
    assert done.returncode == 2
    assert "no known coroutine runtime" in done.stderr
    assert goes_on(ticker)


def test_a_stopped_one_stays_stopped(ticker):
    os.kill(ticker.pid, signal.SIGSTOP)
    assert wait_for_state(ticker.pid, "T") == "T"
    assert analyze("info", "-p", ticker.pid).returncode == 2
    time.sleep(0.1)
    assert state(ticker.pid) == "T"
    os.kill(ticker.pid, signal.SIGCONT)
    assert goes_on(ticker)


def test_no_such_process():
    process = subprocess.Popen(["true"])
    process.wait()
    done = analyze("info", "-p", process.pid)
    assert done.returncode == 2
    assert f"no process {process.pid}" in done.stderr


def test_zombie():
    process = subprocess.Popen(["true"])
    assert wait_for_state(process.pid, "Z") == "Z"
    done = analyze("info", "-p", process.pid)
    process.wait()
    assert done.returncode == 2
    assert "zombie" in done.stderr


def test_held_by_another(ticker):
    """A tracer that is there already is named."""
    read, write = os.pipe()
    tracer = os.fork()
    if not tracer:
        failed = ctypes.CDLL(None, use_errno=True).ptrace(
            PTRACE_SEIZE, ticker.pid, ctypes.c_void_p(0), ctypes.c_void_p(0))
        os.write(write, b"n" if failed else b"y")
        time.sleep(60)
        os._exit(0)
    try:
        if os.read(read, 1) != b"y":
            pytest.skip("ptrace is not allowed here")
        done = analyze("info", "-p", ticker.pid)
        assert done.returncode == 2
        name = Path(f"/proc/{tracer}/comm").read_text().strip()
        assert f"traced by process {tracer} ({name})" in done.stderr
        assert goes_on(ticker)
    finally:
        os.kill(tracer, signal.SIGKILL)
        os.waitpid(tracer, 0)
        os.close(read)
        os.close(write)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_of_another_user(ticker):
    """The message says whose it is. The command is copied to where anybody may run it."""
    nobody = pwd.getpwnam("nobody")
    folder = Path("/tmp") / f"coreanalyze-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    try:
        source = Path(BINARY).resolve()
        shutil.copy(source, folder / "coreanalyze")
        library = source.parent / "libcoreanalyze.so"
        for name in source.parent.glob("libcoreanalyze.so.*"):
            shutil.copy(library, folder / name.name)
        done = analyze("info", "-p", ticker.pid, binary=str(folder / "coreanalyze"),
                       user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 2
    assert "belongs to another user (uid 0)" in done.stderr
    assert goes_on(ticker)


def test_killed_while_it_reads(ticker):
    """When the command dies half way, the target goes on."""
    for delay in (0.001, 0.003, 0.005, 0.01):
        process = subprocess.Popen([BINARY, "info", "-p", str(ticker.pid)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        assert goes_on(ticker)


def test_kernel_thread():
    """The second process, outside of containers."""
    try:
        status = Path("/proc/2/status").read_text()
    except FileNotFoundError:
        pytest.skip("no process 2 here")
    if "VmSize" in status:
        pytest.skip("process 2 is a program here")
    done = analyze("info", "-p", 2)
    assert done.returncode == 2
    assert "thread of the kernel" in done.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="has no 32-bit programs like these")
def test_32_bit(tmp_path):
    source, program = tmp_path / "wait.s", tmp_path / "wait"
    source.write_text(".globl _start\n_start: mov $29, %eax\nint $0x80\njmp _start\n")
    subprocess.run(["as", "--32", "-o", tmp_path / "wait.o", source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-o", program, tmp_path / "wait.o"], check=True)
    try:
        process = subprocess.Popen([program])
    except OSError as error:
        pytest.skip(f"this kernel runs no 32-bit programs: {error}")
    try:
        for how in ((), ("--no-stop",)):
            done = analyze("info", "-p", process.pid, *how)
            assert done.returncode == 2
            assert "32-bit" in done.stderr
    finally:
        process.kill()
        process.wait()


def test_without_build_id(tmp_path):
    """The kernel says which file a process runs: nothing else has to."""
    goforms.build(toolchains.need("own"), "golive", tmp_path / "app", "-ldflags=-s -w -buildid=")
    process = subprocess.Popen([tmp_path / "app", "10"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        done = analyze("info", "-p", process.pid, "--format", "json")
        assert json.loads(done.stdout)["gaps"] == []
    finally:
        process.kill()
        process.communicate()


def test_ends_meanwhile():
    """Whenever the process ends, that is what is said."""
    for delay in range(0, 40, 2):
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        reader = subprocess.Popen([BINARY, "info", "-p", str(process.pid)], text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(delay / 1000)
        process.kill()
        _, said = reader.communicate(timeout=60)
        process.wait()
        assert reader.returncode == 2
        assert ("has ended" in said or "no known coroutine runtime" in said
                or "there is no process" in said), said


@contextlib.contextmanager
def container(root, program, *arguments):
    """The process id, as it is out here, of a program in namespaces of its own that has printed
    "ready"."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a container")
    (root / "srv").mkdir(parents=True)
    goforms.build(toolchains.need("own"), program, root / "srv" / "app", "-ldflags=-s -w")
    process = subprocess.Popen(
        ["unshare", "-m", "-p", "-f", "--kill-child", "chroot", root, "/srv/app", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if not process.stdout.readline():
            pytest.skip(f"no containers here: {process.stderr.read()}")
        inner, = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield inner
    finally:
        process.kill()
        process.communicate()


def test_in_another_root(tmp_path):
    """A process in a container, whose files have other names here: they are found all the same."""
    with container(tmp_path / "root", "golive", "10") as pid:
        done = analyze("info", "-p", pid, "--format", "json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["gaps"] == []
        assert document["runtimes"][0]["tasks"] > 10


def test_threads_in_a_container(tmp_path):
    """Go keeps the numbers that its threads have in there; out here they have others. Each running
    goroutine's thread is found, and so its stack."""
    running = 0
    with container(tmp_path / "root", "gobusy") as pid:
        for _ in range(10):
            done = analyze("tasks", "-p", pid, "--format", "json")
            document = json.loads(done.stdout)
            assert done.returncode == 0 and document["gaps"] == [], done.stderr
            threads = set(map(int, os.listdir(f"/proc/{pid}/task")))
            for task in document["tasks"]:
                if task["state"] == "running":
                    running += 1
                    assert task["thread"] in threads and task["frames"], task
    assert running
