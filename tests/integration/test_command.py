"""The manners of the command: exit status, what goes to which stream, JSON, colour, width."""

import os
import pty
import re
import select
import shutil
import subprocess

import pytest

import build
import contractkeys
import crash
import strictjson
import toolchains

WIDTH = 100
ESCAPE = b"\033["


def die(folder, program, *arguments):
    toolchain = toolchains.need("own")
    result = crash.run(build.build(toolchain, program), arguments, folder,
                       {"SAMPLE_DIE": "panic", "GODEBUG": ""})
    assert result.core is not None, result.stderr[-2000:]
    return result


@pytest.fixture(scope="module")
def cores(tmp_path_factory):
    """Cores by what is in them: all leaks, none, and one that only a rule finds."""
    folder = tmp_path_factory.mktemp("command")
    yield {
        "leaky": die(folder / "leaky", "all"),
        "clean": die(folder / "clean", "all", "repaired"),
        "suspect": die(folder / "suspect", "all", "deferloop"),
        "many": die(folder / "many", "many", "2000"),
        "shapes": die(folder / "shapes", "shapes"),
    }
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cut(cores, tmp_path_factory):
    """The leaky core without its last fifth."""
    path = tmp_path_factory.mktemp("cut") / "core"
    data = cores["leaky"].core.read_bytes()
    path.write_bytes(data[: len(data) * 4 // 5])
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def leaky(cores):
    return cores["leaky"].core


def some_id(coreanalyze, core):
    return coreanalyze.json("leaks", core)["groups"][0]["ids"][0]


# Exit status


@pytest.mark.parametrize("which, options, status", [
    ("leaky", [], 1),
    ("clean", [], 0),
    ("suspect", [], 0),
    ("suspect", ["--fail-on", "suspect"], 1),
    ("suspect", ["--fail-on", "leaked"], 0),
    ("clean", ["--fail-on", "suspect"], 0),
    ("clean", ["--strict"], 0),
    ("leaky", ["--strict"], 1),
    # What is shown does not change what was found.
    ("leaky", ["--verdict", "active"], 1),
    ("leaky", ["--limit", "1"], 1),
    ("leaky", ["--format", "json"], 1),
])
def test_status(coreanalyze, cores, which, options, status):
    done = coreanalyze.run("leaks", cores[which].core, *options)
    assert done.returncode == status
    assert done.stderr == b""
    assert coreanalyze.run(cores[which].core, *options).stdout == done.stdout


@pytest.mark.parametrize("command", ["tasks", "info"])
def test_only_leaks_says_1(coreanalyze, leaky, command):
    assert coreanalyze.run(command, leaky).returncode == 0


def test_cut_core(coreanalyze, cut, cores):
    """Said on stderr and under gaps; only --strict makes it a failure."""
    named = ("leaks", cut, "--exe", cores["leaky"].binary)
    done = coreanalyze.run(*named)
    assert done.returncode in (0, 1)
    assert b"partial" in done.stderr and b"is cut at" in done.stderr
    assert b"What is missing" in done.stdout
    document = coreanalyze.json(*named)
    assert document["target"]["complete"] is False
    assert any("is cut" in gap["why"] for gap in document["gaps"])
    strict = coreanalyze.run(*named, "--strict")
    assert strict.returncode == 2
    assert strict.stdout == done.stdout


# Wrong calls


@pytest.mark.parametrize("words, said", [
    (["--bogus", "CORE"], "there is no option --bogus"),
    (["frobnicate", "CORE"], 'there is no command "frobnicate"'),
    (["watch", "CORE"], "for a later version"),
    (["task", "CORE"], "`task` needs ID and a target"),
    (["task"], "`task` needs ID"),
    (["task", "999999", "CORE"], "there is no goroutine 999999"),
    (["explain", "x", "CORE"], "there is no goroutine x"),
    (["leaks"], "no target"),
    (["leaks", "CORE", "CORE"], "one word too many"),
    (["leaks", "CORE", "-p", "1"], "two targets"),
    (["leaks", "CORE", "--sort", "size"], "--sort is one of count|age|retained"),
    (["leaks", "CORE", "--verdict", "bad"], 'there is no verdict "bad"'),
    (["leaks", "CORE", "--limit", "-1"], "--limit takes a whole number"),
    (["leaks", "CORE", "--limit", "1x"], "--limit takes a whole number"),
    (["leaks", "CORE", "--format", "xml"], "--format is one of text|json"),
    (["leaks", "CORE", "--fail-on", "x"], "--fail-on is one of leaked|suspect"),
    (["leaks", "CORE", "--min-age", "soon"], "--min-age takes a duration"),
    (["leaks", "CORE", "--limit"], "--limit needs a value"),
    (["leaks", "no-such-file"], "no-such-file"),
    (["leaks", "/dev/null"], "/dev/null"),
])
def test_wrong_call(coreanalyze, leaky, words, said):
    done = coreanalyze.run(*[str(leaky) if word == "CORE" else word for word in words])
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"coreanalyze: ") and done.stderr.count(b"\n") == 1
    assert said in done.stderr.decode()


def test_no_words(coreanalyze):
    done = coreanalyze.run()
    assert done.returncode == 2 and b"TARGET is a core file" in done.stderr and not done.stdout


@pytest.mark.parametrize("words", [["--help"], ["help"], ["help", "tasks"], ["tasks", "--help"],
                                   ["--version"]])
def test_help(coreanalyze, words):
    done = coreanalyze.run(*words)
    assert done.returncode == 0 and b"coreanalyze" in done.stdout and not done.stderr
    assert all(len(line) <= WIDTH for line in done.stdout.splitlines())


# JSON


@pytest.mark.parametrize("which", ["leaky", "clean", "suspect", "many", "shapes"])
@pytest.mark.parametrize("command", contractkeys.DOCUMENTS)
def test_json(coreanalyze, cores, command, which):
    core = cores[which].core
    tasks = coreanalyze.json("tasks", core)["tasks"]
    wanted = [[]]
    if command in ("task", "explain"):
        # One of each verdict and reason.
        wanted = [[i] for i in {(t["verdict"], t["reason"]): t["id"] for t in tasks}.values()]
    for words in wanted:
        document = coreanalyze.json(command, *words, core)
        contractkeys.document(command, document)
        if words:
            assert document["task"]["id"] == words[0]
    if command == "tasks":
        ids = [int(task["id"]) for task in tasks]
        assert ids == sorted(set(ids)) and len(ids) > 1


def test_json_is_not_cut(coreanalyze, cores):
    core = cores["many"].core
    assert len(coreanalyze.json("tasks", core)["tasks"]) > 2000
    assert len(coreanalyze.json("tasks", core, "--limit", 3)["tasks"]) == 3


def test_json_of_a_cut_core(coreanalyze, cut, cores):
    done = coreanalyze.run("tasks", cut, "--exe", cores["leaky"].binary, "--format", "json")
    document = strictjson.loads(done.stdout)
    contractkeys.document("tasks", document)
    assert document["gaps"] and b"partial" in done.stderr


# What is shown


def test_verdict(coreanalyze, leaky):
    for verdicts in ("leaked", "active", "system", "leaked,suspect"):
        tasks = coreanalyze.json("tasks", leaky, "--verdict", verdicts)["tasks"]
        assert {task["verdict"] for task in tasks} == set(verdicts.split(","))
    groups = coreanalyze.json("leaks", leaky, "--verdict", "suspect")["groups"]
    assert {group["verdict"] for group in groups} == {"suspect"}


def test_order_of_groups(coreanalyze, leaky):
    ranks = ["leaked", "suspect", "waiting", "active", "system"]
    groups = coreanalyze.json("leaks", leaky)["groups"]
    keys = [(ranks.index(group["verdict"]), -group["count"]) for group in groups]
    assert keys == sorted(keys) and len(set(keys)) > 3


def test_sort(coreanalyze, leaky):
    def sizes(order):
        return [
            (group["count"], (group["retained"]["stack_bytes"] or 0)
             + (group["retained"]["heap_bytes"] or 0), group["oldest_ns"])
            for group in coreanalyze.json("leaks", leaky, "--sort", order)["groups"]
        ]

    for column, order in enumerate(("count", "retained")):
        found = [row[column] for row in sizes(order)]
        assert found == sorted(found, reverse=True) and len(set(found)) > 3
    ages = [row[2] if row[2] is not None else -1 for row in sizes("age")]
    assert ages == sorted(ages, reverse=True)


def test_limit(coreanalyze, cores):
    core = cores["many"].core
    text = coreanalyze.run("tasks", core, "--limit", "5").stdout.decode()
    total = len(coreanalyze.json("tasks", core)["tasks"])
    assert len(re.findall(r"^ *\d+  \w", text, re.M)) == 5
    assert f"{total - 5:,} more; --limit 0 shows all" in text
    text = coreanalyze.run("tasks", core, "--limit", "0").stdout.decode()
    assert len(re.findall(r"^ *\d+  \w", text, re.M)) == total
    assert " more; " not in text
    groups = coreanalyze.json("leaks", cores["leaky"].core, "--limit", "2")["groups"]
    assert len(groups) == 2


@pytest.mark.parametrize("which", ["leaky", "clean", "suspect", "many", "shapes"])
def test_width(coreanalyze, cores, which):
    core = cores[which].core
    calls = [["leaks"], ["leaks", "--limit", "0"], ["tasks"], ["tasks", "--limit", "0"],
             ["tasks", "--sort", "age"], ["tasks", "--group", "--limit", "0", "--full"],
             ["info"], ["info", "--full"]]
    reasons = {
        (task["verdict"], task["reason"]): task["id"]
        for task in coreanalyze.json("tasks", core)["tasks"]
    }
    for one in reasons.values():
        calls += [["task", one], ["task", one, "--full"], ["explain", one]]
    for words in calls:
        text = coreanalyze.run(*words, core).stdout.decode()
        assert text
        for line in text.splitlines():
            # What is to be copied stays on one line: a path, a command.
            if line.startswith(("Next: ", "  core  ", "  executable  ")):
                continue
            assert len(line) <= WIDTH, f"{words}: {len(line)}: {line}"


# Streams


def on_terminal(words, env=None, columns=None):
    """What the command writes to a terminal, and its status."""
    ours, theirs = pty.openpty()
    if columns:
        subprocess.run(["stty", "cols", str(columns)], stdin=theirs, check=True)
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | (env or {})
    process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                               stdout=theirs, stderr=subprocess.DEVNULL, env=env)
    os.close(theirs)
    text = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    return text.replace(b"\r\n", b"\n"), process.wait(60)


def test_colour(coreanalyze, leaky):
    words = [coreanalyze.path, "leaks", leaky]
    plain = coreanalyze.run("leaks", leaky).stdout
    assert ESCAPE not in plain
    coloured, status = on_terminal(words)
    assert status == 1 and ESCAPE in coloured
    without, _ = on_terminal(words, {"NO_COLOR": "1"})
    assert without == plain
    # An empty NO_COLOR is none, says its specification.
    assert ESCAPE in on_terminal(words, {"NO_COLOR": ""})[0]
    assert ESCAPE not in on_terminal([*words, "--format", "json"])[0]


@pytest.mark.parametrize("columns", [80, 120])
def test_terminal_width(coreanalyze, leaky, columns):
    for words in (["leaks", "--limit", "0"], ["tasks", "--limit", "0"]):
        text, _ = on_terminal([coreanalyze.path, *words, leaky], {"NO_COLOR": "1"}, columns)
        lines = [line for line in text.decode().splitlines() if not line.startswith("Next: ")]
        assert lines and max(map(len, lines)) <= columns


def test_reader_that_goes_away(coreanalyze, cores):
    process = subprocess.Popen(
        [str(coreanalyze.path), "tasks", str(cores["many"].core), "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert stderr == b""


@pytest.mark.parametrize("words", [["leaks"], ["tasks"], ["info", "--format", "json"]])
def test_full_disk(coreanalyze, leaky, words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(coreanalyze.path), *words, str(leaky)], stdout=full,
                              stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 2
    assert b"cannot write to standard output: No space left on device" in done.stderr


# A process


def places(coreanalyze, *target):
    """Where the program's own tasks wait, sorted; of those that a panic does not touch."""
    tasks = coreanalyze.json("tasks", *target)["tasks"]
    return sorted(
        [frame["function"] for frame in task["frames"]] for task in tasks
        if task["id"] != "1" and task["state"] == "waiting" and task["verdict"] != "system"
    )


def test_process(coreanalyze, cores):
    """Says of a process what it says of its core, and the process goes on."""
    process = subprocess.Popen(
        [str(cores["leaky"].binary)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=dict(os.environ, SAMPLE_DIE="wait", GODEBUG=""))
    try:
        while b"ready" not in (line := process.stdout.readline()):
            assert line, "the sample ended before it was ready"
        done = coreanalyze.run("-p", process.pid)
        if b"does not let us" in done.stderr:
            pytest.skip("ptrace is not allowed here")
        assert done.returncode == 1, done.stderr
        document = coreanalyze.json("leaks", "-p", process.pid)
        contractkeys.document("leaks", document)
        target = document["target"]
        assert (target["kind"], target["pid"], target["signal"]) == ("live", process.pid, None)
        assert target["stopped_ns"] > 0
        assert document["summary"]["leaked"] > 0
        # All parked at the same places; which is proved may hang on one forgotten word of a stack.
        assert places(coreanalyze, "-p", process.pid) == places(coreanalyze, cores["leaky"].core)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
