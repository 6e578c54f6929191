"""One stopped instant, eight ways in: the command, gdb and lldb on the core and on the process, and
both through gdbserver. Always the same JSON, of every sample, with symbols and without."""

import pytest

import build
import csamples
import doors
import toolchains
from test_samples import FOLDERS

pytestmark = pytest.mark.skipif(doors.SANITIZED, reason="the debuggers are not sanitised")

GO = [("all", name) for name in FOLDERS] + [("shapes",), ("cgo",), ("many", "300")]
C = [sample for kind in ("c", "state-threads", "pth", "boost-fiber")
     for sample in csamples.samples(kind)]
# How many tasks, where a sample wants to be told.
COUNTS = {"c/many": ["500"], "state-threads/server": ["leak", "600"], "pth/server": ["leak", "300"],
          "boost-fiber/server": ["leak", "600"]}
EVERYDAY = {"go shapes", "go all infiniteloop stripped", "c/forgotten_sender stripped", "pth/server"}


def subjects():
    for words in GO:
        for shape in ("plain", "stripped"):
            yield " ".join(["go", *words] + (["stripped"] if shape == "stripped" else [])), \
                (words, shape)
    for sample in C:
        for stripped in (False, True):
            yield sample.name + (" stripped" if stripped else ""), (sample, stripped)


SUBJECTS = dict(subjects())


def program(what, how):
    if not isinstance(what, csamples.Sample):
        chain = toolchains.newest()
        shape = {("cgo", "stripped"): "cgo-stripped"}.get((what[0], how), how)
        return build.build(chain, what[0], shape), list(what[1:])
    if not csamples.available(what.source.parent.name):
        pytest.skip(f"the library of {what.name} is not installed")
    csamples.make()
    return what.binary(how), COUNTS.get(what.name, ["leak"])


@pytest.fixture(scope="module", params=SUBJECTS)
def frozen(request, full, tmp_path_factory):
    if request.param not in EVERYDAY and not full:
        pytest.skip("the everyday ones are " + ", ".join(sorted(EVERYDAY)))
    binary, arguments = program(*SUBJECTS[request.param])
    with doors.frozen(binary, arguments, tmp_path_factory.mktemp("frozen")) as found:
        yield found


CALLS = [["tasks"], ["leaks"]]


@pytest.fixture(scope="module")
def wanted(frozen):
    found = [frozen.by_command(words, False) for words in CALLS]
    assert found[0]["tasks"] and found[1]["groups"]
    return found


def without_target(documents):
    return [doors.without_clocks(document) for document in documents]


def clocks(value, found):
    """All clocks of a document, in order."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in doors.CLOCKS:
                found.append(item)
            elif key != "target":
                clocks(item, found)
    elif isinstance(value, list):
        for item in value:
            clocks(item, found)
    return found


@pytest.mark.parametrize("door", ["gdb", "lldb"])
def test_core(frozen, wanted, door):
    """The same file: the same documents, clocks and all."""
    if door == "gdb":
        found = frozen.all_by_gdb(CALLS, frozen.in_core())
    else:
        if not doors.LLDB:
            pytest.skip("lldb is not installed")
        found = frozen.all_by_lldb(CALLS, frozen.lldb_core())
    for document in (*found, *wanted):
        assert document["target"]["kind"] == "core"
    assert [dict(document, target=None) for document in found] == \
        [dict(document, target=None) for document in wanted]


@pytest.fixture(scope="module")
def command_live(frozen):
    return [frozen.by_command(words, True) for words in CALLS]


def same_live(found, wanted, command):
    assert without_target(found) == without_target(wanted)
    # Clocks go on while it stands still: some time, and for all of them the same.
    for one, other in zip(clocks(found, []), clocks(command, [])):
        assert (one is None) == (other is None)
        assert one is None or abs(one - other) < 300 * 10**9


def test_command_live(wanted, command_live):
    same_live(command_live, wanted, command_live)


def test_gdb_live(frozen, wanted, command_live):
    same_live(frozen.all_by_gdb(CALLS, frozen.attached()), wanted, command_live)


@pytest.mark.parametrize("door", ["gdb", "lldb"])
def test_gdbserver(frozen, wanted, door):
    """A remote target has no clock of ours: what is not told by the program itself is null."""
    if not doors.GDBSERVER or not getattr(doors, door.upper()):
        pytest.skip(f"gdbserver or {door} is not installed")
    with frozen.served() as place:
        if door == "gdb":
            found = frozen.all_by_gdb(CALLS, frozen.connected(place))
        else:
            found = frozen.all_by_lldb(CALLS, frozen.lldb_connected(place), ["process detach"])
    assert without_target(found) == without_target(wanted)
    # The program's own idea of now, where it has one, is as good as a core's.
    of_go = found[0]["runtimes"][0]["name"] == "go"
    for one, core in zip(clocks(found, []), clocks(wanted, [])):
        assert one is None or (not of_go and one == core)


def test_lldb_live(frozen, wanted, command_live):
    """The last one: lldb lets a stopped process run on when it goes."""
    if not doors.LLDB:
        pytest.skip("lldb is not installed")
    same_live(frozen.all_by_lldb(CALLS, frozen.lldb_attached()), wanted, command_live)
