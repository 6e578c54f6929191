"""The leaks commands in lldb: tasks as threads, variables, help, messages."""

import re

import pytest

import csamples
import doors

pytestmark = pytest.mark.skipif(doors.SANITIZED or not doors.LLDB,
                                reason="needs lldb, unsanitised")


@pytest.fixture(scope="module")
def parked(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("parked")) as found:
        ids = [task["id"] for task in found.by_command(["tasks"], False)["tasks"]
               if any(frame["function"] == "work" for frame in task["frames"])]
        found.ids = ids
        yield found


@pytest.mark.parametrize("live", [False, True])
def test_select(parked, live):
    setup = parked.lldb_attached() if live else parked.lldb_core()
    said = doors.lldb(*setup, f"leaks select {parked.ids[0]}", "bt", "leaks select", "thread list")
    shown = said.split("(lldb) bt")[1].split("(lldb) leaks select")[0]
    assert "`work(" in shown and f"task {parked.ids[0]}" in shown
    assert "name = 'task" not in said.split("(lldb) thread list")[1]


def test_group_as_threads(parked):
    said = doors.lldb(*parked.lldb_core(), f"leaks threads --group {parked.ids[0]}", "thread list")
    assert len(re.findall("name = 'task", said.split("(lldb) thread list")[1])) == len(parked.ids)


def test_locals_and_apply(parked):
    first, second = parked.ids[:2]
    said = doors.lldb(*parked.lldb_core(), f"leaks locals {first}",
                      f"leaks apply {first} {second} bt")
    assert "value (int) = 42" in said
    assert said.split("leaks apply")[1].count("`work(") == 2


@pytest.mark.parametrize("name", ["tasks", "select", "apply", "threads", "locals", "export-core"])
def test_help_has_an_example(name):
    assert "Example" in doors.lldb(f"leaks help {name}")


@pytest.mark.parametrize("command, word", [
    ("leaks", "nothing to look at"), ("leaks --frobnicate", "--frobnicate"),
    ("leaks nonsense", "nonsense"), ("leaks bt", "Usage"),
])
def test_messages(command, word):
    said = doors.lldb(command, "version")
    assert word in said and "Traceback" not in said


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.9])
def test_damaged_core(parked, tmp_path, cut):
    whole = parked.core.read_bytes()
    core = tmp_path / "core"
    core.write_bytes(whole[:int(len(whole) * cut)])
    said = doors.lldb(f"target create {parked.binary} -c {core}", "leaks", "leaks tasks --limit 2",
                      "version")
    assert "Traceback" not in said and "lldb version" in said
