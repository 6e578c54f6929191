"""Real programs that nobody here built: daemons of Debian, stripped, started and loaded a little;
every goroutine as Go itself prints it, and the same read from the live process."""

import os
import resource
import signal
import subprocess
import threading
import time

import pytest

import compare
import crash
import daemons
import gotrace

DAEMONS = {"etcd": daemons.Etcd, "node-exporter": daemons.NodeExporter}
MINOR = 19  # Debian 12 builds with Go 1.19


@pytest.fixture(params=DAEMONS)
def daemon(request, tmp_path, record):
    """A running daemon, and its process."""
    kind = DAEMONS[request.param]
    try:
        program = daemons.program(kind.package, kind.path)
    except daemons.Missing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    one = kind(tmp_path)
    one.program = program
    one.stderr = tmp_path / "stderr"
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    with open(one.stderr, "wb") as stderr:
        one.process = subprocess.Popen(
            [str(program), *one.arguments], cwd=tmp_path, env=daemons.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
        )
    try:
        daemons.wait_for(one.ready, one.process)
        one.load()
        time.sleep(0.5)
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        for core in tmp_path.glob("core*"):
            core.unlink()


def test_every_goroutine(coreanalyze, record, daemon, tmp_path):
    if not crash.kernel_writes_here():
        pytest.skip("the kernel writes cores elsewhere")
    daemon.process.send_signal(signal.SIGQUIT)
    daemon.process.wait(60)
    core, = tmp_path.glob("core*")
    printed = daemon.stderr.read_text("utf-8", "replace")
    trace = gotrace.parse(printed[printed.index("SIGQUIT: quit\n"):])  # without the daemon's log
    document = coreanalyze.json("tasks", core, "--exe", daemon.program)
    runtime, = document["runtimes"]
    assert runtime["layout"] == "built-in"
    assert runtime["version"].startswith(f"go1.{MINOR}")
    assert runtime["counted"] == len(document["tasks"]) >= 8
    result = compare.Comparison(trace, document, MINOR)
    record.crashes += 1
    record.goroutines += result.goroutines
    record.frames += result.frames
    record.rules.update(result.rules)
    assert not result.differences, "\n".join(result.differences[:40])
    assert coreanalyze.json("leaks", core)["summary"]["leaked"] == 0


def test_live(coreanalyze, daemon):
    document = coreanalyze.json("tasks", "-p", daemon.process.pid)
    runtime, = document["runtimes"]
    assert runtime["layout"] == "built-in" and runtime["counted"] == len(document["tasks"])
    assert document["target"]["stopped_ns"] > 0
    daemons.wait_for(daemon.ready, daemon.process)


def parked(task):
    """What stays the same while a goroutine does not move."""
    waits = task["waiting_for"] or {}
    return task["address"], task["reason"], waits.get("address"), str(task["frames"][:4])


def test_under_load(coreanalyze, record, daemon, full):
    """Looked at again and again while it works: what is called leaked never moves again."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            try:
                daemon.load()
            except OSError:
                pass

    workers = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    seen, looks, leaked = {}, 40 if full else 8, 0
    try:
        for look in range(looks):
            time.sleep(0.15)
            document = coreanalyze.json("tasks", "-p", daemon.process.pid)
            assert [gap for gap in document["gaps"] if gap["what"] == "proof"] == []
            tasks = {task["id"]: task for task in document["tasks"]}
            for number, before in seen.items():
                assert parked(tasks[number]) == before, f"goroutine {number}, look {look}"
                assert tasks[number]["verdict"] == "leaked"
            seen = {task["id"]: parked(task) for task in document["tasks"]
                    if task["verdict"] == "leaked"}
            leaked = max(leaked, len(seen))
    finally:
        stop.set()
    record.lines.append(f"{daemon.program.name} under load: {looks} looks, {leaked} leaked")
