"""Variables of Go's frames, of programs built plainly and without optimisation: what the source says
they are. samples/go/shapes"""

import re
import sys

import pytest

import build
import doors
import toolchains

sys.path.insert(0, str(doors.ROOT / "coreanalyze" / "python"))

pytestmark = pytest.mark.skipif(doors.SANITIZED or not doors.GDB, reason="needs gdb, unsanitised")


@pytest.fixture(scope="module", params=["plain", "noopt"])
def shapes(request, tmp_path_factory):
    import coreanalyze
    chain = toolchains.newest()
    with doors.frozen(build.build(chain, "shapes", request.param), [],
                      tmp_path_factory.mktemp("shapes")) as found:
        found.shape = request.param
        with coreanalyze.open_core(str(found.core), exe=str(found.binary)) as session:
            found.session = session
            found.tasks = session.tasks()["tasks"]
            yield found


def frame_of(shapes, function):
    """(task, its variables) of each goroutine with such a frame."""
    for task in shapes.tasks:
        for number, frame in enumerate(task["frames"]):
            if frame["function"] == function:
                variables = shapes.session.locals(shapes.session.find(task["id"]), number)
                yield task, {variable.name: variable for variable in variables}
                break


def test_arguments_that_were_in_registers(shapes):
    """Spilled before the call in which the goroutine waits."""
    (_, found), = frame_of(shapes, "main.manyArguments")
    assert found["b"].value == '"two"'
    assert found["c"].value.startswith("len 5 {116, 104, 114, 101, 101}")
    if shapes.shape == "noopt":
        assert found["a"].value == "1" and found["d"].value == "4.5"
        assert found["e"].value == '{key = 6, value = "seven"}'
        assert found["h"].value.split()[0] == "120"


def test_what_a_goroutine_waits_for(shapes):
    """The engine finds the lock in another way: by the semaphore that the goroutine is queued at."""
    looked = 0
    for task, found in frame_of(shapes, "main.lockMutex"):
        if found["mu"].value is not None:
            assert found["mu"].value.split()[0] == task["waiting_for"]["address"]
            looked += 1
    assert looked or shapes.shape == "plain"


def test_not_set_yet(shapes):
    """n, err := c.fd.Read(b): what is in their places is left over from before."""
    checked = 0
    for _, found in frame_of(shapes, "net.(*conn).Read"):
        for name in ("n", "err"):
            if name in found:
                assert found[name].value is None, found[name]
                checked += 1
    assert checked


def test_set_variables_are_shown(shapes):
    (_, found), = frame_of(shapes, "main.callbackInSort.func1")
    if shapes.shape == "noopt":
        assert found["numbers"].value == "len 3 {3, 2, 1}"
    for _, found in frame_of(shapes, "main.bigFrame"):
        if "buffer" in found and found["buffer"].value is not None:
            assert re.match(r"\{0, 0", found["buffer"].value)


@pytest.mark.parametrize("sample, function, name, wanted", [
    ("firstanswer", "samples/firstanswer.lookup.func2", "key", ['"a"', '"b"', '"c"']),
    ("timeout", "samples/timeout.get.func1", "url", ['"http://example.com/"']),
])
def test_captured_variables_are_shown(sample, function, name, wanted, tmp_path):
    """They count as declared where they are first used, which may be the line it waits at."""
    import coreanalyze
    binary = build.build(toolchains.newest(), "all", "plain")
    with doors.frozen(binary, [sample], tmp_path) as found:
        with coreanalyze.open_core(str(found.core), exe=str(binary)) as session:
            found.session, found.tasks = session, session.tasks()["tasks"]
            values = {variables[name].value for _, variables in frame_of(found, function)}
    assert sorted(values) == wanted


def test_no_dictionaries(shapes):
    for function in ("main.genericFunction[...]", "main.(*pair[...]).parked"):
        for _, found in frame_of(shapes, function):
            assert ".dict" not in found
