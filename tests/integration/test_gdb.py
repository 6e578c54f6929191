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


def test_arguments_are_those_of_gdb(parked):
    """In every frame, as far as gdb knows them by itself: some are in rbx, which calls keep."""
    said = doors.gdb(*parked.in_core(), f"leaks select {parked.id}", "echo A\\n",
                     "frame function work", "info args", "echo B\\n", f"leaks locals {parked.id}")
    wanted = re.search(r"^answer = (0x[0-9a-f]+)$", said.split("A\n")[1], re.M)[1]
    assert re.search(rf"^answer \(void \*\) = {wanted}$", said.split("B\n")[1], re.M), said


@pytest.mark.parametrize("name", ["pth/server", "state-threads/server", "boost-fiber/server"])
def test_numbers_and_pointers_are_those_of_gdb(name, tmp_path):
    """In every frame of some tasks, where both have a value."""
    if not csamples.available(name.split("/")[0]):
        pytest.skip(f"the library of {name} is not installed")
    csamples.make()
    with doors.frozen(csamples.OUT / name, ["leak", "100"], tmp_path) as found:
        tasks = {}
        for task in found.by_command(["tasks"], False)["tasks"]:
            if task["state"] == "waiting":
                tasks.setdefault(str([frame["pc"] for frame in task["frames"]]), task)
        commands, compared = [], 0
        for task in tasks.values():
            commands += [f"leaks select {task['id']}"]
            for number in range(min(len(task["frames"]), 6)):
                commands += ["echo F\\n", f"frame {number + 1}", "info args", "info locals",
                             "echo L\\n", f"leaks locals {task['id']} {number}"]
        said = doors.gdb(*found.in_core(), "set print symbol off", *commands)
        for text in said.split("F\n")[1:]:
            gdbs, ours = text.split("L\n")[:2]
            gdbs = dict(re.findall(r"^(\w+) = (?:\(.*\) )?(-?\d+|0x[0-9a-f]+)$", gdbs, re.M))
            for variable, value in re.findall(r"^(\w+) \(.*\) = (-?\d+|0x[0-9a-f]+)$", ours, re.M):
                if variable in gdbs:
                    assert int(value, 0) == int(gdbs[variable], 0), (variable, text)
                    compared += 1
    assert compared >= 2


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
