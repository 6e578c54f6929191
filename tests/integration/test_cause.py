"""What a program died of stands in the first line, in the words that the runtime printed; nothing
where it printed no text."""

import re

import pytest

import crash
import csamples
import doors
import goforms
import toolchains

WAYS = ("string", "lines", "error", "int", "index", "again", "struct", "pointer", "slice", "name",
        "small", "yes", "false", "unlock", "asleep", "overflow")


def printed(stderr):
    """The last of the runtime's own lines that say why."""
    lines = re.findall(r"(?m)^\s*((?:panic|fatal error): .*)$", stderr)
    return re.sub(r" \[recovered.*\]$", "", lines[-1])


def said(coreanalyze, core, binary):
    text = coreanalyze.run("leaks", core, "--exe", binary).stdout.decode()
    head = re.split(r"\n\d+ goroutines", text)[0]
    return re.sub(r"\s+", " ", head).partition("died of SIGABRT")[2]


def test_words_of_the_runtime(coreanalyze, toolchain, tmp_path):
    binary = goforms.build(toolchain, "godying", tmp_path / "godying")
    bare = goforms.strip(binary, tmp_path / "bare")
    for way in WAYS:
        result = crash.run(binary, [way], tmp_path / way)
        expected = ": " + printed(result.stderr)
        for program in (binary, bare):
            assert said(coreanalyze, result.core, program) == expected, (way, program)
        result.core.unlink()


def test_a_program_that_was_killed_says_nothing(coreanalyze, crashed):
    core = crashed(toolchains.need("own"), "all", die="abort")
    assert said(coreanalyze, core.core, core.binary) == ""


def test_a_copy_of_a_running_process_has_not_died(coreanalyze, tmp_path):
    """gcore notes the signal by which the process stood still."""
    if not doors.GDB:
        pytest.skip("gdb is not installed")
    csamples.make()
    core = tmp_path / "core"
    with csamples.waiting(csamples.OUT / "c" / "forgotten_sender", ["leak"]) as (process, _):
        doors.run([doors.GDB, "-nx", "-batch", "-ex", f"attach {process.pid}", "-ex",
                   f"gcore {core}"])
    assert coreanalyze.json("info", core)["target"]["signal"] == "SIGSTOP"
    words = coreanalyze.run("info", core).stdout.decode()
    assert f"; process {process.pid}" in words.splitlines()[0] and "died of" not in words
