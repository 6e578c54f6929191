"""One stopped instant, seven ways in: the command, gdb and lldb on the core and on the process, and
gdb through gdbserver. Always the same JSON."""

import pytest

import build
import csamples
import doors
import toolchains

pytestmark = pytest.mark.skipif(doors.SANITIZED, reason="the debuggers are not sanitised")


@pytest.fixture(scope="module", params=["go", "go-stripped", "c", "c-stripped"])
def frozen(request, full, tmp_path_factory):
    if request.param in ("go-stripped", "c") and not full:
        pytest.skip("one of each with --full")
    if request.param.startswith("go"):
        shape = "stripped" if request.param.endswith("stripped") else "plain"
        binary, arguments = build.build(toolchains.find(toolchains.wanted(False)[-1]), "shapes", shape), []
    else:
        csamples.make()
        suffix = ".stripped" if request.param.endswith("stripped") else ""
        binary, arguments = csamples.OUT / "c" / f"forgotten_sender{suffix}", ["leak"]
    with doors.frozen(binary, arguments, tmp_path_factory.mktemp("frozen")) as found:
        yield found


# Vector registers are roots of the heap for who reads the core or the process; no debugger's
# adapter gives them, so what a group holds may differ by the objects that only they point to.
def comparable(document):
    document = doors.without_clocks(document)
    document.get("summary", {}).pop("retained_bytes", None)
    for group in document.get("groups", ()):
        group["retained"].pop("heap_bytes")
    return document


@pytest.mark.parametrize("words", ["tasks", "leaks"])
@pytest.mark.parametrize("door", ["live", "gdb-core", "gdb-live", "gdbserver", "lldb-core",
                                  "lldb-live"])
def test_same_json(frozen, words, door):
    words = [words]
    wanted = comparable(frozen.by_command(words, False))
    assert wanted.get("tasks") or wanted.get("groups")
    if door == "live":
        got = frozen.by_command(words, True)
    elif door == "gdb-core":
        got = frozen.by_gdb(words, frozen.in_core())
    elif door == "gdb-live":
        got = frozen.by_gdb(words, frozen.attached())
    elif door == "gdbserver":
        if not doors.GDBSERVER:
            pytest.skip("gdbserver is not installed")
        with frozen.served() as setup:
            got = frozen.by_gdb(words, setup)
    else:
        if not doors.LLDB:
            pytest.skip("lldb is not installed")
        setup = frozen.lldb_core() if door == "lldb-core" else frozen.lldb_attached()
        got = frozen.by_lldb(words, setup)
    assert comparable(got) == wanted
