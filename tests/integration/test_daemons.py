"""Real programs that nobody here built: daemons of Debian, stripped, started and loaded a little;
every goroutine as Go itself prints it, and the same read from the live process."""

import os
import resource
import signal
import subprocess
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
