"""A Go program that links a C library with coroutines of its own: both runtimes in one answer."""

import re

import pytest

import crash
import csamples
import goforms

FLAGS = {"plain": [], "stripped": ["-ldflags=-s -w"]}


@pytest.mark.parametrize("form", FLAGS)
def test_go_and_state_threads(coreanalyze, toolchain_name, toolchain, tmp_path, full, form):
    if toolchain_name != "own" and not full:
        pytest.skip("only make check-full")
    if not csamples.available("state-threads"):
        pytest.skip("libst-dev is not installed")
    program = goforms.build(toolchain, "gostate", tmp_path / "gostate", *FLAGS[form], cgo=True)
    died = crash.run(program, [], tmp_path / "run", {"GODEBUG": ""})
    assert died.core, died.stderr[-2000:]
    document = coreanalyze.json("tasks", died.core, "--exe", program)
    assert [x["name"] for x in document["runtimes"]] == ["go", "state-threads"]
    ours = {x["id"] for x in document["tasks"] if x["runtime"] == "go"}
    assert ours == set(re.findall(r"^goroutine (\d+) ", died.stderr, re.M)) and len(ours) > 1200
    told = {f"state-threads:{address}": reason
            for address, reason in re.findall(r"^thread (0x[0-9a-f]+) (.*)$", died.stdout, re.M)}
    threads = {x["id"]: x["reason"] for x in document["tasks"] if x["runtime"] == "state-threads"}
    assert threads == told and len(told) == 1201
    assert document["runtimes"][1]["tasks"] == document["runtimes"][1]["counted"] == 1201
    assert all(x["frames"] for x in document["tasks"] if x["runtime"] == "state-threads")
    died.core.unlink()
