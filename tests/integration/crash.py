"""Runs a program until it dies, and keeps its core and what it printed."""

import os
import resource
import shlex
import signal
import subprocess
from pathlib import Path

import build
import toolchains

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


class Crash:
    """What a program left: `core` (a path, or None), `stderr`, `stdout`, `status`, `writer`
    (kernel or gcore). again() lets it crash once more, in a folder inside this one."""

    again = None

    def __init__(self, binary, core, stdout, stderr, status, writer):
        self.binary, self.core = binary, core
        self.stdout, self.stderr, self.status, self.writer = stdout, stderr, status, writer


def kernel_writes_here():
    """Whether the kernel writes a core beside the program. A pipe or a folder of its own in
    core_pattern takes it elsewhere; then gcore, of gdb, must do."""
    return CORE_PATTERN.read_text().strip()[:1] not in ("|", "/", "")


def of_own(folder, program, *arguments, **env):
    """Build a Go program of samples/go with the toolchain that is on PATH, and let it crash in
    FOLDER, which is made."""
    result = run(build.build(toolchains.need("own"), program), arguments, folder, env)
    assert result.core, result.stderr[-500:]
    return result


def run(binary, arguments=(), folder=".", env=None, timeout=120, writer=None):
    """Run BINARY in the empty FOLDER until it dies. WRITER `gcore` asks for a core by gdb's gcore
    even where the kernel would write one."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOTRACEBACK": "crash", **(env or {})}

    def again():
        return run(binary, arguments, folder / "again", env, timeout, writer)

    if writer is None:
        writer = "kernel" if kernel_writes_here() else "gcore"
    if writer == "gcore":
        result = _run_in_gdb(binary, arguments, folder, env, timeout)
        result.again = again
        return result
    out, err = folder / "stdout", folder / "stderr"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        process = subprocess.Popen(
            [str(binary), *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, preexec_fn=_unlimited_core,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    cores = [path for path in folder.iterdir() if path.name.split(".")[0] == "core"]
    if len(cores) > 1:
        raise RuntimeError(f"{folder} holds several cores: it was not fresh")
    result = Crash(binary, cores[0] if cores else None, *_texts(out, err), status, "kernel")
    result.again = again
    return result


def _unlimited_core():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def _run_in_gdb(binary, arguments, folder, env, timeout):
    """The same under gdb, which stops the program at its last SIGABRT and writes the core."""
    out, err, raw = folder / "stdout", folder / "stderr", folder / "core.raw"
    command = [
        "gdb", "-nx", "-batch",
        "-ex", "set startup-with-shell on",
        "-ex", "handle all nostop noprint pass",
        "-ex", "handle SIGABRT stop print pass",
        "-ex", f"run {shlex.join(arguments)} >{shlex.quote(str(out))} 2>{shlex.quote(str(err))}",
    ]
    if env.get("SAMPLE_DIE") == "abort":
        # The first SIGABRT is the one that makes the runtime print and abort.
        command += ["-ex", "continue"]
    command += ["-ex", f"gcore {raw}", "-ex", "kill", str(binary)]
    env = dict(env, SHELL="/bin/sh")
    subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )
    # gdb writes out what the program has only reserved, more than a GB: without the holes it is
    # a few MB.
    core = folder / "core"
    if raw.exists():
        subprocess.run(["cp", "--sparse=always", str(raw), str(core)], check=True)
        raw.unlink()
    texts = _texts(out, err) if out.exists() and err.exists() else ("", "")
    return Crash(binary, core if core.exists() else None, *texts, -signal.SIGABRT, "gcore")


def _texts(out, err):
    return out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace")
