"""The leaks commands in gdb: selecting tasks, variables, help, messages, a debugger that lives."""

import re

import pytest

import csamples
import doors

pytestmark = pytest.mark.skipif(doors.SANITIZED or not doors.GDB, reason="needs gdb, unsanitised")


@pytest.fixture(scope="module")
def parked(tmp_path_factory):
    """A C sample whose tasks are parked in work(), which keeps `value` 42."""
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("parked")) as found:
        ids = [task["id"] for task in found.by_command(["tasks"], False)["tasks"]
               if any(frame["function"] == "work" for frame in task["frames"])]
        found.id = ids[0]
        yield found


def functions(text):
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?([\w.]+)", text, re.M)


@pytest.mark.parametrize("live", [False, True])
def test_select_shows_what_bt_shows(parked, live):
    setup = parked.attached() if live else parked.in_core()
    said = doors.gdb(*setup, "echo A\\n", "info registers", "echo B\\n", f"leaks bt {parked.id}",
                     "echo C\\n", f"leaks select {parked.id}", "echo D\\n", "bt", "echo E\\n",
                     "frame function work", "info locals", "leaks select", "echo F\\n",
                     "info registers", "echo G\\n", "bt 1")
    parts = re.split(r"^([A-G])$\n?", said, flags=re.M)
    part = dict(zip(parts[1::2], parts[2::2]))
    assert "work" in functions(part["B"])
    assert functions(part["D"]) == functions(part["B"])
    assert "value = 42" in part["E"]
    assert part["F"] == part["A"], "registers changed"
    assert "work" not in part["G"]


def test_locals(parked):
    said = doors.gdb(*parked.in_core(), f"leaks locals {parked.id}")
    assert "value (int) = 42" in said


def test_thread_names_of_an_exported_core(parked, tmp_path):
    out = tmp_path / "out.core"
    doors.gdb(*parked.in_core(), f"leaks export-core {out}")
    said = doors.gdb(f"file {parked.binary}", f"core-file {out}", "leaks info", "info threads")
    assert f'"{parked.id}"' in said


@pytest.mark.parametrize("name", ["", "tasks", "task", "explain", "info", "bt", "locals", "select",
                                  "apply", "export-core"])
def test_help_has_an_example(name):
    said = doors.gdb(f"help leaks {name}")
    assert "Example" in said and f"leaks {name}".strip() in said


def test_completion(parked):
    said = doors.gdb(*parked.in_core(), "leaks tasks --limit 1", "complete leaks tasks --so",
                     f"complete leaks task {parked.id}")
    assert "leaks tasks --sort" in said and f"leaks task {parked.id}" in said


@pytest.mark.parametrize("command, word", [
    ("leaks", "nothing to look at"), ("leaks --frobnicate", "--frobnicate"),
    ("leaks nonsense", "nonsense"), ("leaks bt", "Usage"), ("leaks export-core", "Usage"),
])
def test_messages(command, word):
    said = doors.gdb(command, "echo alive\\n")
    assert word in said and "alive" in said and "Traceback" not in said


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.9])
def test_damaged_core(parked, tmp_path, cut):
    whole = parked.core.read_bytes()
    core = tmp_path / "core"
    core.write_bytes(whole[:int(len(whole) * cut)])
    said = doors.gdb(f"file {parked.binary}", f"core-file {core}", "leaks", "leaks tasks --limit 2",
                     f"leaks select {parked.id}", "bt 2", "echo alive\\n")
    assert "alive" in said and "Traceback" not in said
