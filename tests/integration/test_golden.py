"""What the command prints of samples/go/all, line by line, with what differs from run to run
replaced by a word. After a wanted change: python3 tests/integration/test_golden.py --write, and
look at the difference before it is committed."""

import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import build
import crash
import toolchains

FOLDER = build.ROOT / "tests" / "golden"
# The text of stacks and reasons is Go's: one release, and one that Debian has.
TOOLCHAIN = "debian"
OWN = "leaked,suspect"
# A task of each of these samples is shown in full.
SHOWN = ("ncast", "contextleak", "mutex", "waitgroup", "deferloop")

RULES = [
    (r"0x[0-9a-f]+", "ADDRESS"),
    (r"(Next: coreanalyze \w+) \d+ .*", r"\1 ID CORE"),
    (r"\bgoroutine \d+(, \d+)*", "goroutine ID"),
    (r"(others there \d+:)[ \d,]*\d", r"\1 ID"),
    (r"\d+(\.\d+)? ([kMGT]?B)\b", "SIZE"),
    # Whether groups share bytes hangs on where they happened to lie.
    (r"(?m)^ +[\d,]+ more bytes come back .*\n", ""),
    (r", (up to|for) (\d+ ms|\d+[smhd]( \d+[smh])?)", ""),
    (r"\d+ ms|\b\d+[smhd]( \d+[smh])? ago", "AGE"),
    (r"(?m)^  (core|executable)  .*", r"  \1 PATH"),
    (r"(?m)^  (pid|procs|cpus|build id) .*", r"  \1 N"),
    (r"[\d,]+ goroutines, as its own", "N goroutines, as its own"),
    (r"(?m)^(\d+ goroutines;)", "N goroutines;"),
    (r"(?m)^The others: .*", "The others: N"),
]
# Of the runtime itself: how many there are depends on the machine.
DROPPED = re.compile(
    r" \d+  (GC |force gc|finalizer wait|cleanup wait|waiting$|run|syscall)|^ {9,}\d+$")


def normal(text, command):
    for pattern, by in RULES:
        text = re.sub(pattern, by, text)
    if command == "leaks":
        # Groups of one size come in the order of their ids, which differs.
        blocks = text.split("\n\n")
        text = "\n\n".join(blocks[:1] + sorted(blocks[1:]))
    lines = text.splitlines()
    if command == "tasks":
        lines = lines[:1] + sorted(re.sub(r"^ *\d+ ", "ID ", line) for line in lines[1:])
        # How much of a function's name there is room for depends on the widest id.
        lines = [re.sub(r"\S+ (\S+\.go:\d+)", r"F \1", line) for line in lines]
        lines = [re.sub(r"  +", "  ", line.strip()) for line in lines]
    if command == "info":
        lines = [line for line in lines if not DROPPED.search(line) and "threads" not in line]
        lines = [re.sub(r"^  reasons ", "          ", line) for line in lines]
    return "\n".join(lines) + "\n"


def calls(program, core):
    """Name of the golden file, command, and words."""
    yield "leaks", "leaks", ["--limit", "0"]
    yield "tasks", "tasks", ["--limit", "0", "--verdict", OWN]
    yield "info", "info", []
    tasks = program(["tasks", core, "--verdict", OWN, "--format", "json"], True)["tasks"]
    for sample in SHOWN:
        one = next(task["id"] for task in tasks
                   if any((frame["function"] or "").startswith(f"samples/{sample}.")
                          for frame in task["frames"]))
        yield f"task-{sample}", "task", [one]
        yield f"explain-{sample}", "explain", [one]
    yield "explain-main", "explain", ["1"]


def texts(program, core):
    """The normal text of each golden file."""
    for name, command, words in calls(program, core):
        yield name, normal(program([command, *words, core], False), command)


def die(folder, toolchain):
    result = crash.run(build.build(toolchain, "all"), (), folder,
                       {"SAMPLE_DIE": "panic", "GODEBUG": "", "GOMAXPROCS": "2"})
    assert result.core is not None, result.stderr[-2000:]
    return result.core


def test_golden(coreanalyze, record, tmp_path):
    toolchain = toolchains.need(TOOLCHAIN)

    def program(words, document):
        if document:
            return coreanalyze.json(*words[:-2])
        return coreanalyze.run(*words).stdout.decode()

    core = die(tmp_path / "run", toolchain)
    try:
        found = dict(texts(program, core))
    finally:
        core.unlink()
    kept = {path.stem: path.read_text() for path in FOLDER.glob("*.txt")}
    assert sorted(found) == sorted(kept)
    wrong = [
        line for name, text in found.items() for line in difflib.unified_diff(
            kept[name].splitlines(), text.splitlines(), f"golden/{name}.txt", "now", lineterm="")
    ]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def write():
    import json

    def program(words, document):
        binary = build.ROOT / "build" / "coreanalyze"
        done = subprocess.run([str(binary), *map(str, words)], capture_output=True, check=False)
        return json.loads(done.stdout) if document else done.stdout.decode()

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        core = die(Path(folder) / "run", toolchains.find(TOOLCHAIN))
        for name, text in texts(program, core):
            (FOLDER / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()
