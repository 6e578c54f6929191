"""The leaks commands in lldb: tasks as threads, variables, help, messages."""

import platform
import re

import pytest

import build
import csamples
import doors
import toolchains

pytestmark = pytest.mark.skipif(doors.SANITIZED or not doors.LLDB,
                                reason="needs lldb, unsanitised")


@pytest.fixture(scope="module")
def parked(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("parked"), doors.WITHOUT_RSEQ) as found:
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


@pytest.fixture(scope="module", params=["plain", "stripped", "noopt"])
def go(request, tmp_path_factory):
    chain = toolchains.newest()
    with doors.frozen(build.build(chain, "many", request.param), ["60"],
                      tmp_path_factory.mktemp("go")) as found:
        found.shape = request.param
        tasks = found.by_command(["tasks"], False)["tasks"]
        found.task = next(task for task in tasks if any(
            frame["function"] == "main.(*store).fetch" for frame in task["frames"]))
        yield found


@pytest.mark.parametrize("live", [False, True], ids=["core", "live"])
def test_go(go, live):
    """lldb's own top frame is right; `leaks bt` has them all, `leaks locals` the variables."""
    setup = go.lldb_attached() if live else go.lldb_core()
    id, frames = go.task["id"], go.task["frames"]
    number = [frame["function"] for frame in frames].index("main.(*store).fetch")
    said = doors.lldb(*setup, f"leaks select {id}", "thread info", "bt", f"leaks bt {id}",
                      f"leaks locals {id} {number}", "leaks select", "bt")
    shown = said.split("(lldb) bt")[1].split("(lldb) leaks")[0]
    assert int(re.search(r"frame #0: (0x[0-9a-f]+)", shown)[1], 16) == int(frames[0]["pc"], 16)
    ours = said.split("(lldb) leaks bt")[1]
    assert re.findall(r"^#\d+ +0x[0-9a-f]+ in (\S+)", ours.split("(lldb)")[0], re.M) == \
        [frame["function"] for frame in frames]
    if go.shape != "stripped":
        key = re.search(r"^key \(\w+\) = (\d+)$", said, re.M)
        assert key and int(key[1]) % 5 == 0 and int(key[1]) < 60
    assert f"task {id}" not in said.rsplit("(lldb) bt", 1)[1]


# ---- whole stacks of C -------------------------------------------------------------------------

# Before version 21 lldb takes a function that gcc has split, its cold part elsewhere, for all that
# lies between the two, and loses or repeats frames: llvm/llvm-project, pull requests 133072, 137006.
SPLITS = int((re.findall(r"version (\d+)", doors.run([doors.LLDB, "--version"]).stdout) or [0])[0]) < 21 \
    if doors.LLDB else False

WHOLE = "-fno-reorder-blocks-and-partition"
SPLIT_FUNCTION = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
volatile long sink;
__attribute__((noinline, cold)) void failed(long a) { fprintf(stderr, "%ld", a); }
__attribute__((noinline)) long inner(long a) { puts("ready"); fflush(stdout); pause(); return a; }
__attribute__((noinline)) long outer(long a)
{
    long found = inner(a + 1);
    if (sink == 42) {
        failed(a);
        exit(3);
    }
    return found + sink;
}
int main(int argc, char **argv) { (void)argv; return (int)(outer(argc) + sink); }
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="on arm64 lldb has frame pointers")
@pytest.mark.parametrize("flag", ["-freorder-blocks-and-partition", WHOLE])
def test_lldb_itself_does_not_follow_split_functions(flag, tmp_path):
    """Without anything of ours: a thread that waits. gdb shows it whole, so its core is right."""
    source, binary = tmp_path / "split.c", tmp_path / "split"
    source.write_text(SPLIT_FUNCTION)
    doors.subprocess.run(["gcc", "-O2", "-g", flag, "-o", binary, source], check=True)
    cold = "outer.cold" in doors.run(["nm", binary]).stdout
    assert cold == (flag != WHOLE)
    wanted = ["inner", "outer", "main"]
    with doors.frozen(binary, [], tmp_path / "run") as found:
        by_gdb = doors.run([doors.GDB, "-nx", "-batch", "-ex", "bt", binary, found.core]).stdout
        assert re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+) \(.* at .*split.c", by_gdb, re.M) == wanted
        by_lldb = doors.run([doors.LLDB, "-x", "-b", "-o", f"target create {binary} -c {found.core}",
                             "-o", "bt"]).stdout
    shown = re.findall(r"split`(\w+)\(", by_lldb)
    assert (shown != wanted) == (cold and SPLITS), by_lldb


@pytest.mark.parametrize("name", ["c/forgotten_sender", "c/join_forever", "state-threads/server",
                                  "pth/server"])
@pytest.mark.parametrize("split", [False, True], ids=["unsplit", "split"])
def test_frames_of_c(name, split, full, tmp_path):
    """lldb's own `bt` shows what `leaks bt` shows, and where it does not, we say so."""
    if not csamples.available(name.split("/")[0]):
        pytest.skip(f"the library of {name} is not installed")
    if name not in ("c/forgotten_sender", "pth/server") and not full:
        pytest.skip("the everyday ones are c/forgotten_sender and pth/server")
    csamples.make()
    binary = csamples.split(name) if split else csamples.OUT / name
    with doors.frozen(binary, ["leak"], tmp_path) as found:
        stacks = {}
        for task in found.by_command(["tasks"], False)["tasks"]:
            if task["state"] == "waiting" and task["frames"]:
                stacks.setdefault(tuple(f["pc"] for f in task["frames"]), task["id"])
        lines = [word for id in stacks.values() for word in (f"leaks select {id}", "bt")]
        # An attached process goes on when lldb goes: last.
        for setup in (found.lldb_core(), found.lldb_attached()):
            said = doors.lldb(*setup, *lines).split("(lldb) leaks select ")[1:]
            assert len(said) == len(stacks)
            for (pcs, id), text in zip(stacks.items(), said):
                # Artificial: a tail call, of whose frame nothing is left.
                shown = re.findall(r"frame #\d+: 0x([0-9a-f]+)(?!.*\[artificial\])",
                                   text.split("(lldb) bt")[1])
                # An inlined call has the address of the frame that it is in.
                same = list(dict.fromkeys(int(pc, 16) for pc in shown)) == \
                    list(dict.fromkeys(int(pc, 16) for pc in pcs))
                assert ("leaves out" not in text) == same, text
                assert same or (split and SPLITS), text


def test_registers_and_memory_stay(parked):
    from test_select import memory
    before = memory(parked.pid)
    first, second = parked.ids[:2]
    said = doors.lldb(*parked.lldb_attached(), "register read --all", f"leaks select {first}", "bt",
                      "up", "frame variable", f"leaks threads {first} {second}", "thread list",
                      f"leaks apply {first} {second} bt", "leaks tasks", "leaks select",
                      "register read --all", "process detach --keep-stopped true")
    shown = [part.split("\n(lldb)")[0] for part in said.split("(lldb) register read --all\n")[1:]]
    assert "rip" in shown[0] and len(shown) == 2 and shown[0] == shown[1]
    assert memory(parked.pid) == before
