"""export-core: a core in which every parked task is a thread, and an input that stays as it was."""

import hashlib
import os
import re
import resource
import shutil
import signal
import sys

import pytest

import build
import csamples
import doors
import toolchains

sys.path.insert(0, str(doors.ROOT / "coreanalyze" / "python"))
import exported_names  # noqa: E402


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("export")) as found:
        yield found


def export(core, out, *words):
    return doors.run([doors.os.environ["CA_BINARY"], "export-core", out, core.core, *words])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_parked_task_is_a_thread(core, tmp_path):
    before, out = digest(core.core), tmp_path / "out.core"
    done = export(core, out)
    assert done.returncode == 0, done.stderr
    parked = [task for task in core.by_command(["tasks"], False)["tasks"]
              if task["state"] != "running"]
    said = doors.run([doors.GDB, "-nx", "-batch", "-ex", "set width 0", "-ex", "info threads",
                      core.binary, out]).stdout
    assert len(re.findall(r"\bLWP 1000\d+", said.split("Id", 1)[1])) == len(parked)
    assert digest(core.core) == before
    if shutil.which("eu-stack"):
        stacks = doors.run(["eu-stack", f"--core={out}", f"--executable={core.binary}"]).stdout
        assert stacks.count(" work") >= len(parked) - 1
    assert doors.json.loads(doors.run([doors.os.environ["CA_BINARY"], "tasks", out, "--format",
                                       "json"]).stdout)["tasks"]


def test_limits(core, tmp_path):
    done = export(core, tmp_path / "some.core", "--verdict", "suspect", "--threshold", "10")
    assert done.returncode == 0 and done.stdout.startswith("1200 "), done.stdout + done.stderr
    assert export(core, tmp_path / "none.core", "--verdict", "system").returncode == 2
    assert not (tmp_path / "none.core").exists()


def test_a_group(core, tmp_path):
    ids = [task["id"] for task in core.by_command(["tasks"], False)["tasks"]
           if any(frame["function"] == "work" for frame in task["frames"])]
    for words in ([f"--group={ids[0]}"], ["--group", ids[0]]):
        out = tmp_path / "group.core"
        done = export(core, out, *words, "--force")
        assert done.returncode == 0 and done.stdout.startswith(f"{len(ids)} "), done.stderr
        assert {name for _, name in exported_names.read(out)} == set(ids)
    assert export(core, tmp_path / "none", "--group", "coro:99999").returncode == 2


def test_never_over_the_input(core, tmp_path):
    before = digest(core.core)
    link, hard = tmp_path / "link", core.folder / "hard"
    link.symlink_to(core.core)
    os.link(core.core, hard)
    for out in (core.core, link, hard, core.folder / ".." / core.folder.name / "core"):
        for words in ([], ["--force"]):
            done = export(core, out, *words)
            assert done.returncode == 2 and "never written over" in done.stderr, done.stderr
    assert digest(core.core) == before
    hard.unlink()


def test_a_full_disk(core, tmp_path):
    """No half file, and nothing of the name it had meanwhile."""
    out = tmp_path / "out.core"

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = doors.run([os.environ["CA_BINARY"], "export-core", out, core.core],
                     preexec_fn=small_files)
    assert done.returncode == 2 and "large" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_write(core, tmp_path):
    for out, word in ((tmp_path / "no" / "such" / "folder", "No such file"), (tmp_path, "regular"),
                      ("/proc/version", "regular|exists"), ("/proc/mine", "No such file|ermitted")):
        done = export(core, out)
        assert done.returncode == 2 and re.search(word, done.stderr), done.stderr
        assert str(out) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_of_a_process(core, tmp_path):
    out = tmp_path / "live.core"
    done = doors.run([os.environ["CA_BINARY"], "export-core", out, "-p", core.pid])
    assert done.returncode == 0, done.stderr
    names = dict(exported_names.read(out))
    stacks = stacks_of_gdb(core.binary, out, tmp_path)
    parked = {task["id"]: task for task in core.by_command(["tasks"], True)["tasks"]}
    for tid, name in names.items():
        assert stacks[tid] == functions(parked[name])


# ---- thousands ----------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=["go", "c"])
def many(request, full, tmp_path_factory):
    wanted = 10_000 if full else 1_000
    if request.param == "go":
        chain = toolchains.newest()
        binary = build.build(chain, "many", "plain")
    else:
        binary = csamples.OUT / "c/many"
    with doors.frozen(binary, [str(wanted)], tmp_path_factory.mktemp("many")) as found:
        found.out = found.folder / "out.core"
        before = digest(found.core)
        done = export(found, found.out)
        assert done.returncode == 0, done.stderr
        assert digest(found.core) == before
        found.count = int(done.stdout.split()[0])
        found.language = request.param
        tasks = {task["id"]: task for task in found.by_command(["tasks"], False)["tasks"]}
        found.tasks = {tid: tasks[name.split()[-1]]
                       for tid, name in exported_names.read(found.out)}
        assert len(found.tasks) == found.count >= wanted
        yield found
        found.out.unlink()


def functions(task):
    """Without those that are inlined: of the innermost frame no debugger knows that its pc is where
    a call returns to."""
    return [frame["function"] for frame in task["frames"] if not frame["inlined"]]


_WALK = """python
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame, names = gdb.newest_frame(), []
    while frame is not None:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            names.append(frame.name() or "??")
        frame = frame.older()
    print("stack", thread.ptid[1], *names)
end
"""


def stacks_of_gdb(binary, core, folder):
    """gdb's own, without any script of ours."""
    walk = folder / "walk.gdb"
    walk.write_text(_WALK)
    said = doors.run([doors.GDB, "-nx", "-batch", "-ex", "set auto-load off", "-ex",
                      "set backtrace past-main on", "-x", walk, binary, core], 600).stdout
    lines = [line.split() for line in said.splitlines() if line.startswith("stack ")]
    return {int(words[1]): words[2:] for words in lines}


def test_gdb_lists_them_all(many):
    stacks = stacks_of_gdb(many.binary, many.out, many.folder)
    for tid, task in many.tasks.items():
        # Behind Go's first function gdb finds something more, without a name.
        assert [name for name in stacks[tid] if name != "??"] == functions(task), task["id"]


_WALK_LLDB = """
import lldb
for thread in lldb.debugger.GetSelectedTarget().GetProcess():
    first = thread.GetFrameAtIndex(0)
    print("top", thread.GetThreadID(), first.GetFunctionName() or first.GetSymbol().GetName(),
          *dict.fromkeys(frame.GetPC() for frame in thread if not frame.IsArtificial()))
"""


def test_lldb_lists_them_all(many):
    """All with the right top frame; of C all frames, of Go the rest where lldb can follow it."""
    if not doors.LLDB:
        pytest.skip("lldb is not installed")
    walk = many.folder / "walk.py"
    walk.write_text(_WALK_LLDB)
    said = doors.run([doors.LLDB, "-x", "-b", "-o", f"target create {many.binary} -c {many.out}",
                      "-o", f"command script import {walk}"], 600).stdout
    tops = {int(tid): (name, pcs.split())
            for tid, name, pcs in re.findall(r"^top (\d+) (\S+) (.*)$", said, re.M)}
    assert len(tops) >= many.count
    for tid, task in many.tasks.items():
        top, pcs = tops[tid]
        assert top == functions(task)[0], task["id"]
        wanted = list(dict.fromkeys(str(int(frame["pc"], 16)) for frame in task["frames"]))
        assert pcs == wanted if many.language == "c" else pcs[0] == wanted[0], task["id"]


def test_eu_stack_lists_them_all(many):
    """For each word that eu-stack (0.188) reads, libelf goes through the list of all it has read
    (elf_getdata_rawchunk): ten times as many threads take a hundred times as long, in any core."""
    if not shutil.which("eu-stack"):
        pytest.skip("eu-stack is not installed")
    said = doors.run(["eu-stack", f"--core={many.out}", f"--executable={many.binary}", "-n", "0"],
                     3600).stdout
    stacks = {}
    for tid, text in re.findall(r"^TID (\d+):\n((?:#.*\n)*)", said, re.M):
        stacks[int(tid)] = re.findall(r"^#\d+ +0x[0-9a-f]+ +(?:- \d+ +)?(\S+)", text, re.M)
    for tid, task in many.tasks.items():
        # It shows the names of the symbol table: update.constprop.0, runtime.goexit.abi0.
        wanted = functions(task)
        assert len(stacks[tid]) == len(wanted), task["id"]
        assert all(one == other or one.startswith(other + ".")
                   for one, other in zip(stacks[tid], wanted)), (task["id"], stacks[tid], wanted)


def test_holes_stay_holes(many):
    """As large as the input to look at, and hardly larger on the disk."""
    blocks = {path: path.stat().st_blocks * 512 for path in (many.core, many.out)}
    notes = many.count * 1000
    assert many.out.stat().st_size >= many.core.stat().st_size
    assert blocks[many.out] <= blocks[many.core] + notes + (4 << 20)


def test_an_existing_file_stays(core, tmp_path):
    out = tmp_path / "out"
    out.write_text("mine")
    assert export(core, out).returncode == 2 and out.read_text() == "mine"
    assert export(core, out, "--force").returncode == 0 and out.stat().st_size > 1000
