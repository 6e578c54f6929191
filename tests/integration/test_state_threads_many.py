"""10,000 threads of Debian's stripped State Threads: all of them, each with its reason and its whole
stack; and the frames of some, against gdb with the same saved registers put in by hand."""

import json
import re
import subprocess

import pytest

import csamples
from test_described import compare, counted, need

#: setjmp of md.S (1.9): where a parked thread's registers are in its struct.
CONTEXT = 0x78
SLOTS = ["rbx", "rbp", "r12", "r13", "r14", "r15", "rsp", "rip"]
REASONS = ["io wait", "cond wait", "lock wait", "sleep"]

GDB = """
import gdb, json
def frames():
    frame, pcs = gdb.newest_frame(), []
    while frame is not None and len(pcs) < 64:
        if frame.type() != gdb.INLINE_FRAME:
            pcs.append(frame.pc())
        try:
            frame = frame.older()
        except gdb.error:
            break
    return pcs
memory = gdb.selected_inferior()
before = {name: int(gdb.parse_and_eval("(long)$" + name)) for name in %(slots)r}
def put(values):
    for name, value in values.items():
        gdb.execute("set $%%s = %%d" %% (name, value))
for address in %(addresses)r:
    words = bytes(memory.read_memory(address + %(context)d, 64))
    put({n: int.from_bytes(words[8*i:8*i+8], "little") for i, n in enumerate(%(slots)r)})
    print("FRAMES", address, json.dumps(frames()))
put(before)
"""


@pytest.fixture(scope="module", autouse=True)
def built():
    csamples.make()


def test_all_with_reason_and_stack(coreanalyze, tmp_path):
    sample = need("state-threads")
    died = csamples.die(sample.binary(), ["leak", 10000], tmp_path / "run")
    document = coreanalyze.json("tasks", died.core)
    account = csamples.parse(died.stdout)
    died.core.unlink()
    wrong = compare(document, account, "state-threads")
    assert not wrong, wrong[:10]
    runtime = counted(document, "state-threads")
    assert runtime["tasks"] == runtime["counted"] == len(account) == 10002
    assert runtime["layout"] == "description"
    assert not document["gaps"]
    entries = {f"state-threads:{x['id']}": x["entry"] for x in account}
    for task in document["tasks"]:
        assert not task["notes"], task
        if task["state"] == "waiting":
            assert task["reason"] in REASONS
            # From the switch out to the function that the thread was started with, and its caller.
            names = [x["function"] for x in task["frames"]]
            assert entries[task["id"]] in names[-2:], task


def test_frames_are_those_of_gdb(coreanalyze, tmp_path):
    sample = need("state-threads")
    with csamples.waiting(sample.binary(), ["leak", 1000]) as (process, _):
        document = coreanalyze.json("tasks", "-p", process.pid)
        some = []
        for reason in REASONS:
            some += [x for x in document["tasks"] if x["reason"] == reason][::60]
        script = tmp_path / "frames.py"
        addresses = [int(x["address"], 16) for x in some]
        script.write_text(GDB % {"slots": SLOTS, "addresses": addresses, "context": CONTEXT})
        done = subprocess.run(
            ["gdb", "-nx", "-batch", "-p", str(process.pid), "-x", script],
            capture_output=True, text=True, timeout=120, check=False,
        )
    theirs = {int(a): json.loads(b) for a, b in re.findall(r"^FRAMES (\d+) (.*)$", done.stdout, re.M)}
    assert len(theirs) == len(some) >= 12, done.stderr[-2000:]
    for task in some:
        ours = [int(x["pc"], 16) for x in task["frames"] if not x["inlined"]]
        assert len(ours) >= 3
        # gdb shows the 0 that ends the stack as a frame of its own.
        assert ours == [pc for pc in theirs[int(task["address"], 16)] if pc], task["id"]
