"""docs/tutorial-runtime.md, step by step: every file is written as it stands there, every command
is run, and everything that it prints is what the page says, but for addresses."""

import os
import re
import shutil
import subprocess

import pytest

import crash
import csamples

TUTORIAL = csamples.ROOT / "docs" / "tutorial-runtime.md"
TINY = csamples.ROOT / "samples" / "tutorial"
#: Where the page was made.
THERE = "/tmp/tut"


def blocks():
    """(language, text) of each fenced block, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S)


def steps(text):
    """(command, what it prints) of a block."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def words(text, folder):
    text = text.replace(str(folder), THERE)
    return re.sub(r"0x[0-9a-f]{5,}", "0xADDRESS", text).split()


def run(command, folder, env):
    if "./tiny" in command:
        before = command.partition("./tiny")[0].replace("ulimit -c unlimited; ", "")
        subprocess.run(before or ":", shell=True, check=True, cwd=folder, env=env)
        one = folder / "run"
        shutil.rmtree(one, ignore_errors=True)
        died = crash.run(folder / "tiny", [], one)
        assert died.core, died.stderr
        died.core.rename(folder / "core")
        return None
    done = subprocess.run(command, shell=True, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def keep(language, text, folder):
    if language == "c" and text.startswith("#include"):
        (folder / "describe_tiny.c").write_text(text)
    elif language == "yaml" and text.startswith("name:"):
        (folder / "tiny.yaml").write_text(text)
    elif language == "yaml":
        with open(folder / "tiny.yaml", "a", encoding="utf-8") as file:
            file.write(text)


def test_every_step(coreanalyze, tmp_path):
    shutil.copy(TINY / "tiny.c", tmp_path)
    env = dict(os.environ, C_INCLUDE_PATH=str(csamples.ROOT), COLUMNS="100",
               PATH=f"{coreanalyze.path.parent}:{os.environ['PATH']}")
    ran = 0
    for language, text in blocks():
        keep(language, text, tmp_path)
        for command, told in steps(text) if not language else ():
            got = run(command, tmp_path, env)
            ran += 1
            if got is not None:
                assert words(got, tmp_path) == words(told, tmp_path), f"{command}\n{got}"
    assert ran >= 15


def test_quotes_what_is_there():
    """The description and the code that the page shows are those of samples/tutorial."""
    shown = [text for language, text in blocks()]
    assert (TINY / "tiny.yaml").read_text() in shown
    source = (TINY / "tiny.c").read_text()
    code = next(x for language, x in blocks() if language == "c" and "struct job {" in x)
    for piece in code.strip().split("\n\n"):
        assert piece in source, piece


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run(["gcc", "-g", "-O1", "-o", folder / "tiny", TINY / "tiny.c"], check=True)
    return crash.run(folder / "tiny", [], folder / "run")


def test_labels(coreanalyze, tiny, tmp_path):
    path = tmp_path / "tiny.yaml"
    text = (TINY / "tiny.yaml").read_text()
    path.write_text(text.replace("  id: .number\n", "  id: .number\n  labels: {now: .status}\n"))
    document = coreanalyze.json("tasks", tiny.core, "--runtime-file", path)
    assert {x["labels"]["now"] for x in document["tasks"]} == {"WAITING"}
