"""`leaked` is a proof: random programs that know their goroutines' fates, and Go's own detector on
the same instant."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import conftest
import crash
import toolchains

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent.parent / "build" / "proof"
SUITE = ("ChanSend", "Select", "Mixed", "NoLeakGlobal", "DaisyChain", "MutexHeap", "Timeout")
GOKER = ("Cockroach9935", "Etcd7902", "Grpc1460", "Hugo3251", "Kubernetes6632", "Moby21233")


def compiled(toolchain, source, name, **env):
    binary = KEPT / f"{toolchain}-{name}"
    KEPT.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [str(toolchain.go), "build", "-o", str(binary), "."], cwd=source, check=True,
        env=dict(toolchain.environment(), CGO_ENABLED="0", **env),
    )
    return binary


def test_fates(coreanalyze, toolchain, tmp_path, full):
    """What can still move is never called leaked; most of what is lost is."""
    binary = compiled(toolchain, HERE / "fates", "fates")
    lost = found = 0
    for seed in range(200 if full else 3):
        folder = tmp_path / str(seed)
        core = crash.run(binary, (str(seed), "40"), folder).core
        document = coreanalyze.json("tasks", core, "--exe", binary)
        shutil.rmtree(folder)
        for task in document["tasks"]:
            fate = task["labels"].get("fate")
            leaked = task["verdict"] == "leaked"
            assert not (leaked and fate == "moves"), f"seed {seed}, goroutine {task['id']}"
            lost += fate == "lost"
            found += leaked and fate == "lost"
    assert lost > 50 and found > lost * 0.6


def symbols(binary, part):
    nm = subprocess.run(["nm", str(binary)], capture_output=True, text=True, check=True).stdout
    return ["0x" + line.split()[0] for line in nm.splitlines() if part in line]


SCRIPT = """import gdb
here = [gdb.Breakpoint("*" + at) for at in {here!r}]
again = gdb.Breakpoint("runtime.gcMarkDone")
again.enabled = False
gdb.execute("run {name} >{folder}/out 2>{folder}/err", to_string=True)

def go_on():
    try:
        gdb.execute("continue", to_string=True)
    except gdb.error:
        pass  # it was gone sooner than gdb thought

for n in range(30):
    if not gdb.selected_inferior().pid:
        break
    gdb.execute("gcore {folder}/core", to_string=True)
    tiny = []
    allp = gdb.parse_and_eval("'runtime.allp'")
    for i in range(int(allp["len"])):
        tiny.append(int(allp["array"][i]["mcache"]["tiny"]))
    open("{folder}/tiny", "w").write(" ".join(map(str, tiny)))
    for one in here:
        one.enabled = False
    again.enabled = True
    go_on()
    if not gdb.selected_inferior().pid:
        break
    again.enabled = False
    for one in here:
        one.enabled = True
    go_on()
if gdb.selected_inferior().pid:
    gdb.execute("kill")
"""


def stopped_in_detector(binary, name, folder):
    """Stops inside the detector's stop-the-world, before it hides anything, for the core; then
    lets it print what it found. The ids, and the tiny blocks that the allocator protects."""
    (folder / "script.py").write_text(SCRIPT.format(
        here=symbols(binary, "setSyncObjectsUntraceable.func"), name=name, folder=folder))
    subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "set confirm off",
         "-ex", "handle all nostop noprint pass", "-ex", f"source {folder}/script.py", str(binary)],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=170, check=False,
        env=dict(os.environ, GODEBUG="asyncpreemptoff=1", GOMAXPROCS="1", SHELL="/bin/sh"),
    )
    leaked, seen = set(), set()
    printed = re.findall(r"^goroutine (\d+).*\[([^\]]*)\]:", (folder / "out").read_text(), re.M)
    for number, reason in reversed(printed):  # a program's last profile
        if number in seen:
            break
        seen.add(number)
        if "leaked" in reason:
            leaked.add(number)
    tiny = folder / "tiny"
    return leaked, [int(word) for word in tiny.read_text().split()] if tiny.exists() else []


def suite_program(version, folder):
    try:
        toolchain = toolchains.find(version)
    except toolchains.Missing as why:
        pytest.skip(str(why))
    source = toolchain.root and Path(toolchain.root) / "src/runtime/testdata" / folder
    env = {"GOEXPERIMENT": "goroutineleakprofile"} if toolchain.minor == 26 else {}
    return source, compiled(toolchain, source, folder.replace("/", "-"), **env)


def names(source):
    text = "".join(path.read_text() for path in sorted(source.glob("*.go")))
    return re.findall(r'register\("(\w+)"', text)


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not here")
@pytest.mark.parametrize("folder", ["testgoroutineleakprofile", "testgoroutineleakprofile/goker"])
@pytest.mark.parametrize("version", ["1.27", "1.26"])
def test_against_go(coreanalyze, version, folder, tmp_path, full):
    wanted = [name for name in toolchains.wanted(True) if name.startswith(version)]
    if not wanted:
        pytest.skip(f"no toolchain {version} in versions.txt")
    source, binary = suite_program(wanted[0], folder)
    some = GOKER if folder.endswith("goker") else SUITE
    for name in names(source):
        if not full and (name not in some or version != "1.27"):
            continue
        for attempt in range(4):  # gdb loses a program now and then
            here = tmp_path / f"{name}-{attempt}"
            here.mkdir()
            theirs, tiny = stopped_in_detector(binary, name, here)
            if (here / "core").exists() and (here / "tiny").exists():
                break
        document = coreanalyze.json("tasks", here / "core", "--exe", binary)
        shutil.rmtree(here)
        ours = {task["id"] for task in document["tasks"] if task["verdict"] == "leaked"}
        assert theirs <= ours, f"{name}: missed {sorted(theirs - ours)[:5]}"
        more = [task for task in document["tasks"] if task["id"] in ours - theirs]
        if more:
            # Go's root for the block that its allocator fills: who hangs on it is not seen.
            blocks = {address & ~15 for address in tiny if address}
            waits = {int(task["waiting_for"]["address"] or "0", 16) & ~15
                     for task in more if task["waiting_for"]}
            assert blocks & waits, f"{name}: only ours are {[t['id'] for t in more][:5]}"
