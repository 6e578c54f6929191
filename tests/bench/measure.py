"""Runs a program to its end: how long it took, and how much memory it had at its peak."""

import os
import subprocess
import time


class Broken(Exception):
    """A tool that did not do its work; the text says what it said."""


class Result:
    """`seconds`, `cpu` (seconds of processor time); `rss` and `private`, peaks in bytes (private: anonymous memory, what belongs to
    this process alone); `output`, the file with what it printed."""

    def __init__(self, seconds, cpu, rss, private, output):
        self.seconds, self.cpu, self.rss = seconds, cpu, rss
        self.private, self.output = private, output


def _private(pid):
    """Anonymous memory now, in bytes; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            for line in status:
                if line.startswith(b"RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def once(command, output, ok=(0,), env=None, sample=False, timeout=600, stdin=None):
    """Run COMMAND with its standard output in the file OUTPUT. SAMPLE: watch the private memory
    (which costs it a little time)."""
    private = 0
    errors = output.with_suffix(".err")
    with open(output, "wb") as out, open(errors, "wb") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], env=env, stdout=out, stderr=err,
            stdin=open(stdin, "rb") if stdin else subprocess.DEVNULL,
        )
        if sample:
            while True:
                private = max(private, _private(process.pid))
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                time.sleep(0.001)
                if time.perf_counter() - begin > timeout:
                    process.kill()
        else:
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ok:
        said = errors.read_text("utf-8", "replace").strip() or output.read_text(
            "utf-8", "replace")[-400:]
        raise Broken(f"{os.path.basename(str(command[0]))}: status {process.returncode}: {said}")
    cpu = usage.ru_utime + usage.ru_stime
    return Result(seconds, cpu, usage.ru_maxrss * 1024, private, output)


def best(command, output, times, memory=True, **options):
    """The fastest of TIMES runs after one that warms the page cache; MEMORY: the peak of private
    memory is taken in two runs of their own."""
    if times > 1:
        once(command, output, **options)
    runs = [once(command, output, **options) for _ in range(times)]
    result = min(runs, key=lambda run: run.seconds)
    if memory:
        watched = [once(command, output, sample=True, **options) for _ in range(2)]
        result.private = max(run.private for run in watched)
    return result
