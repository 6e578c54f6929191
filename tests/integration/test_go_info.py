"""`info` against what the program itself printed of its memory, at the same instant."""

import re

import pytest

import crash
import goforms

FLAGS = {"plain": [], "stripped": ["-ldflags=-s -w"]}


@pytest.mark.parametrize("form", FLAGS)
def test_memory(coreanalyze, toolchain, tmp_path, form):
    program = goforms.build(toolchain, "gomemory", tmp_path / "program", *FLAGS[form])
    result = crash.run(program, (), tmp_path / "run", {"GODEBUG": ""})
    assert result.core, result.stderr[-2000:]
    printed = dict(re.findall(r"(\w+)=(\d+)", result.stderr.splitlines()[0]))
    printed = {key: int(value) for key, value in printed.items()}
    info = coreanalyze.json("info", result.core, "--exe", program)
    assert info["procs"] == printed["procs"] == 3
    assert info["cpus"] == printed["cpus"]
    # Printing the numbers and dying takes a few spans more.
    heap, stacks = info["memory"]["heap_in_use"], info["memory"]["stacks_in_use"]
    assert abs(heap - printed["heap_in_use"]) <= 4 * 8192
    assert abs(stacks - printed["stacks_in_use"]) <= 8 * 32768
    assert printed["heap_in_use"] > 20 << 20 and printed["stacks_in_use"] > 500 * 2048
    mtime = result.core.stat().st_mtime_ns
    assert abs(info["memory"]["last_gc_ns"] - (mtime - printed["last_gc"])) < 3_000_000_000
    result.core.unlink()
