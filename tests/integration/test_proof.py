"""`leaked` is a proof: random programs that know their goroutines' fates."""

import subprocess
from pathlib import Path

import pytest

import crash
import elfcore
import futures

HERE = Path(__file__).resolve().parent


def test_fates(coreanalyze, toolchain, tmp_path, full):
    """What can still move is never called leaked; most of what is lost is."""
    lost = found = 0
    for seed in range(200 if full else 3):
        outcome, _ = futures.dead(coreanalyze.path, toolchain, seed, 40, tmp_path / "run")
        assert outcome.false() == [], f"seed {seed}"
        lost += len(outcome.lost())
        found += len(outcome.found())
    assert lost > 50 and found > lost * 0.6


def leave_out(core, start, size, also_bytes):
    """A hole in a segment, as the kernel makes it: the segment becomes three, the middle one without
    bytes. Not ALSO_BYTES: they stay in the file, unnamed."""
    i = next(i for i, p in enumerate(core.phdrs) if p[0] == elfcore.PT_LOAD
             and p[3] <= start and start + size <= p[3] + p[5])
    kind, flags, offset, address, _, there, _, align = core.phdrs[i]
    before = start - address
    if also_bytes:
        del core.data[offset + before : offset + before + size]
        for phdr in core.phdrs[i + 1 :]:
            phdr[2] -= size
    after = there - before - size
    core.phdrs[i : i + 1] = [
        [kind, flags, offset, address, 0, before, before, align],
        [kind, flags, offset + before, start, 0, 0, size, align],
        [kind, flags, offset + before + size * (not also_bytes), start + size, 0, after, after, align],
    ]


@pytest.mark.parametrize("by", ["the kernel", "somebody else"])
def test_memory_never_written(coreanalyze, toolchain, tmp_path, by):
    """The kernel leaves it out of the core: it is zeros."""
    binary = tmp_path / "gofresh"
    subprocess.run([str(toolchain.go), "build", "-o", str(binary), "."], check=True,
                   cwd=HERE.parent / "programs" / "gofresh", env=toolchain.environment())
    run = crash.run(binary, (), tmp_path / "run")
    core = elfcore.Core(run.core)
    start = int(run.stderr.split()[0]) + 65536 & -65536
    leave_out(core, start, 65536, by == "the kernel")
    core.write(run.core)
    document = coreanalyze.json("tasks", run.core, "--exe", binary)
    leaked = [task for task in document["tasks"] if task["verdict"] == "leaked"]
    assert len(leaked) == (by == "the kernel") and bool(document["gaps"]) == (by != "the kernel")


def test_exported_core_proves_the_same(coreanalyze, toolchain, tmp_path):
    """Its threads are goroutines: nothing more is held than in the core that it was made from."""
    binary = futures.compiled(toolchain)
    core = crash.run(binary, ("1", "40"), tmp_path / "run").core
    subprocess.run([coreanalyze.path, "export-core", tmp_path / "exported", core, "--exe", binary],
                   check=True, capture_output=True)
    before, after = ({task["id"]: task["verdict"] for task in document["tasks"]}
                     for document in (coreanalyze.json("tasks", core, "--exe", binary),
                                      coreanalyze.json("tasks", tmp_path / "exported", "--exe",
                                                       binary)))
    assert before == after and "leaked" in before.values()
