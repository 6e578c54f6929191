"""`leaks select` in gdb: a parked task in the place of a thread's callers, in C and in Go, and a
debugger that behaves afterwards as if it had never been asked."""

import hashlib
import re

import pytest

import build
import csamples
import doors
import toolchains

pytestmark = pytest.mark.skipif(doors.SANITIZED or not doors.GDB, reason="needs gdb, unsanitised")

# Whose frames keep the variable `key` across the wait, and what it is modulo 5. samples/go/many
FETCH = "main.(*store).fetch", 0


def frames_of(text):
    """(function, rest) of each line of a `bt`."""
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\S+?)(?: \(inlined\))?(?: \(| at |$)", text, re.M)


def parts(said):
    """What stands between lines of one letter: a dict by letter."""
    found = re.split(r"^([A-Z])$\n?", said, flags=re.M)
    return dict(zip(found[1::2], found[2::2]))


def echo(letter):
    return f"echo {letter}\\n"


@pytest.fixture(scope="module", params=["plain", "stripped", "noopt"])
def go(request, tmp_path_factory):
    chain = toolchains.newest()
    binary = build.build(chain, "many", request.param)
    with doors.frozen(binary, ["60"], tmp_path_factory.mktemp("go")) as found:
        found.shape = request.param
        found.ids = [task["id"] for task in found.by_command(["tasks"], False)["tasks"]
                     if any(frame["function"] == FETCH[0] for frame in task["frames"])]
        assert len(found.ids) == 12
        yield found


@pytest.mark.parametrize("live", [False, True], ids=["core", "live"])
def test_go_frames_are_those_of_the_engine(go, live):
    setup = go.attached() if live else go.in_core()
    said = parts(doors.gdb(*setup, echo("A"), f"leaks bt {go.ids[3]}", echo("B"),
                           f"leaks select {go.ids[3]}", echo("C"), "bt", echo("D"), "up 2", "bt",
                           echo("E"), "leaks select", "bt 1", echo("F")))
    wanted = frames_of(said["A"])
    assert FETCH[0] in wanted and len(wanted) > 3
    assert frames_of(said["C"]) == wanted
    assert frames_of(said["D"])[-len(wanted):] == wanted, "going up changes what bt shows"
    assert FETCH[0] not in said["E"]
    if go.shape == "stripped":
        assert wanted[0] in said["B"], "the name beside gdb's own line"


@pytest.mark.parametrize("live", [False, True], ids=["core", "live"])
def test_go_variables(go, live):
    if go.shape == "stripped":
        pytest.skip("variables are in the debug information")
    setup = go.attached() if live else go.in_core()
    frames = go.by_command(["task", go.ids[3]], False)["task"]["frames"]
    number = [frame["function"] for frame in frames].index(FETCH[0])
    said = parts(doors.gdb(*setup, echo("A"), f"leaks locals {go.ids[3]} {number}", echo("B"),
                           f"leaks select {go.ids[3]}", f"up {number}", echo("C"), "info args",
                           "print key % 5", echo("D")))
    found = re.search(r"^key = (\d+)$", said["C"], re.M)
    assert found, said["C"]
    assert int(found[1]) < 60 and int(found[1]) % 5 == FETCH[1]
    assert re.search(r"^\$\d+ = 0$", said["C"], re.M)
    assert re.search(rf"^key \(\w+\) = {found[1]}$", said["A"], re.M), said["A"]


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("c"), doors.WITHOUT_RSEQ) as found:
        found.ids = [task["id"] for task in found.by_command(["tasks"], False)["tasks"]
                     if any(frame["function"] == "work" for frame in task["frames"])]
        yield found


def memory(pid):
    """A digest of every writable mapping."""
    found = {}
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, flags = line.split()[:2]
            if "w" not in flags:
                continue
            low, high = (int(part, 16) for part in span.split("-"))
            mem.seek(low)
            left, digest = high - low, hashlib.sha256()
            while left:
                data = mem.read(min(left, 1 << 20))
                assert data, line
                digest.update(data)
                left -= len(data)
            found[span] = digest.hexdigest()
    return found


def test_nothing_is_written_c(c):
    nothing_is_written(c)


def test_nothing_is_written_go(go):
    nothing_is_written(go)


def nothing_is_written(found):
    """Every register as gdb shows it, every writable byte as the kernel has it."""
    first, second = found.ids[:2]
    before = memory(found.pid)
    assert len(before) > 2
    registers = ["thread apply all info all-registers", "thread apply all maint print raw-registers"]
    said = parts(doors.gdb(
        *found.attached(), echo("A"), *registers, echo("B"), f"leaks select {first}", "bt", "up",
        "info locals", "info args", "info frame", "frame 2", f"leaks select {second}", "bt full",
        "leaks tasks", f"leaks locals {first}", f"leaks apply {first} {second} bt", "thread 1",
        "bt", "leaks select", echo("C"), *registers, echo("D")))
    assert "rip" in said["A"] and said["A"] == said["C"]
    assert memory(found.pid) == before


# ---- as if nothing had been selected -----------------------------------------------------------

def run_c(*commands):
    """gdb on a program that it starts itself, stopped while 1200 tasks are parked."""
    said = doors.gdb("set confirm off", "set disable-randomization on",
                     f"file {csamples.OUT / 'c' / 'forgotten_sender'}", "break account_end",
                     "run leak >/dev/null", *commands)
    # Process ids are of different lengths, and so are the blanks behind them.
    return re.sub(r" +", " ", re.sub(r"\b(LWP|process) \d+", r"\1 N", said))


@pytest.fixture(scope="module")
def parked_id(c):
    return c.ids[0]


MOVES = [
    ["step"], ["next"], ["next", "next"], ["stepi"], ["nexti"], ["until"], ["finish"],
    ["advance account.c:133"], ["continue"], ["tbreak account.c:121", "continue"], ["thread 1"],
    ["kill"], ["detach"], ["kill", "run leak >/dev/null"], ["run leak >/dev/null"],
    ["print (int)getpid() > 0", "next"],
]


@pytest.mark.parametrize("moves", MOVES, ids=" ".join)
def test_as_without(parked_id, moves):
    """The same commands do the same, whether a task is selected or not."""
    after = [echo("M"), *moves, echo("N"), "frame", "bt", "info threads", "info registers rip rsp",
             echo("O")]
    plain = parts(run_c(*after))
    selected = parts(run_c(f"leaks select {parked_id}", "frame function work", "info locals",
                           "up", *after))
    assert plain["M"] == selected["M"] and plain["N"] == selected["N"]


def test_what_would_write_is_refused(parked_id):
    said = parts(run_c(f"leaks select {parked_id}", echo("A"), "return", echo("B"),
                       "jump account_end", echo("C"), "bt", echo("D"), "leaks select", "bt 1",
                       echo("E")))
    for part in "AB":
        assert f"task {parked_id} is selected" in said[part] and "Traceback" not in said[part]
    assert "work" in frames_of(said["C"]) and "account_end" in said["D"]


def test_a_hook_of_the_user_stays(parked_id, tmp_path):
    script = tmp_path / "hook"
    script.write_text("define hook-step\necho mine\\n\nend\n")
    said = run_c(f"source {script}", f"leaks select {parked_id}", "step")
    assert "mine" in said


def test_second_select_running_task_and_other_targets(c, parked_id):
    core = [f"core-file {c.core}"]
    said = parts(run_c(
        f"leaks select {parked_id}", f"leaks select {c.ids[1]}", echo("A"), "bt", echo("B"),
        f"leaks bt {c.ids[1]}", echo("C"), "leaks select coro:1", "bt", echo("D"),
        f"leaks select {parked_id}", "leaks select nonsense", "bt", echo("E"),
        "kill", "bt", "leaks", echo("F"), *core, "bt", echo("G"), f"leaks select {parked_id}",
        "bt", echo("H"), *core, "bt", echo("I"), "leaks tasks --limit 1", echo("J")))
    assert frames_of(said["A"]) == frames_of(said["B"])
    assert "account_end" in said["C"] and "work" not in frames_of(said["C"])
    assert "no task nonsense" in said["D"] and "work" in frames_of(said["D"])
    assert "No stack" in said["E"] and "nothing to look at" in said["E"]
    assert "pause" in said["F"] and "work" not in frames_of(said["F"])
    assert "work" in frames_of(said["G"])
    assert "pause" in said["H"] and "work" not in frames_of(said["H"])
    assert "1,200 more" in said["I"]
    assert "Traceback" not in "".join(said.values())


def test_after_a_change_the_list_is_new(parked_id):
    """What was found is kept until the target moves, and no longer."""
    said = parts(doors.gdb(
        f"file {csamples.OUT / 'c' / 'forgotten_sender'}", "break work", "run leak >/dev/null",
        echo("A"), "leaks tasks --format json", echo("B"), "delete", "break account_end",
        "continue", "leaks tasks --format json", echo("C")))
    first, second = (doors.json.loads(said[letter][said[letter].index("{"):]) for letter in "AB")
    assert len(first["tasks"]) != len(second["tasks"])
