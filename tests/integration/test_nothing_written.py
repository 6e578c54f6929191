"""Registers and memory of a process, past the debuggers, before and after they showed its tasks: the
halves of vector registers that lldb does not know as well."""

import pytest

import csamples
import doors
import kernelregs
from test_select import memory

pytestmark = pytest.mark.skipif(doors.SANITIZED or not kernelregs.instant.HERE,
                                reason="needs the debuggers unsanitised, and amd64")


@pytest.fixture(scope="module")
def parked(tmp_path_factory):
    csamples.make()
    folder = tmp_path_factory.mktemp("written")
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"], folder,
                      doors.WITHOUT_RSEQ) as found:
        found.ids = [task["id"] for task in found.by_command(["tasks"], False)["tasks"]
                     if task["state"] == "waiting"]
        if kernelregs.has_avx512():
            kernelregs.fill_avx512(found.pid, folder)
        yield found


@pytest.mark.parametrize("door", ["command", "gdb", "lldb"])
def test_all_registers_stay(parked, door):
    first, second = parked.ids[:2]
    before = kernelregs.read(parked.pid), memory(parked.pid)
    general, others = before[0][parked.pid]
    assert any(general) and any(others)
    if kernelregs.has_avx512():
        assert others[kernelregs.BITMAP] >> 5 & 7 == 7
    if door == "command":
        assert parked.by_command(["leaks"], True)["groups"]
        assert parked.by_command(["task", first, "--locals"], True)["task"]
    elif door == "gdb":
        said = doors.gdb(*parked.attached(), "info all-registers", f"leaks select {first}", "bt",
                         "up", "info locals", "info all-registers", f"leaks select {second}",
                         "bt full", f"leaks apply {first} {second} bt", "leaks tasks",
                         "leaks select", "bt")
        assert "work" in said
    else:
        if not doors.LLDB:
            pytest.skip("lldb is not installed")
        said = doors.lldb(*parked.lldb_attached(), "register read --all", f"leaks select {first}",
                          "bt", "up", "frame variable", "register read --all",
                          f"leaks threads {first} {second}", "thread list",
                          f"leaks apply {first} {second} bt", "leaks tasks", "leaks select", "bt",
                          "process detach --keep-stopped true")
        assert "`work(" in said
    after = kernelregs.read(parked.pid), memory(parked.pid)
    changed = [span for span in before[1] if after[1].get(span) != before[1][span]]
    assert after[0] == before[0]
    assert not changed and len(after[1]) == len(before[1])
