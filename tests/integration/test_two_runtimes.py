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


def pth(toolchain, tmp_path, *flags):
    if not csamples.available("pth"):
        pytest.skip("libpth-dev is not installed")
    return goforms.build(toolchain, "gopth", tmp_path / "gopth", *flags, cgo=True)


def check_pth(document, printed):
    """Each runtime's tasks as the program says, its own counter agreeing, and nothing missing."""
    assert [x["name"] for x in document["runtimes"]] == ["go", "pth"]
    told = {f"pth:{address}": reason
            for address, reason in re.findall(r"^thread (0x[0-9a-f]+) (.*)$", printed, re.M)}
    listed = {x["id"]: x for x in document["tasks"] if x["runtime"] == "pth"}
    assert len(told) == 1201
    assert {i: x["reason"] or x["state"] for i, x in listed.items()} == told
    for runtime in document["runtimes"]:
        assert runtime["tasks"] == runtime["counted"]
    assert not document["gaps"]
    assert all(x["frames"] for x in listed.values())
    receiving = [x for x in document["tasks"] if x["reason"] == "chan receive"]
    assert len(receiving) == 1200 and {x["runtime"] for x in receiving} == {"go"}
    return listed


@pytest.mark.parametrize("form", FLAGS)
def test_go_and_pth(coreanalyze, toolchain_name, toolchain, tmp_path, full, form):
    """While all its threads wait, Pth's scheduler runs: then no thread of it is current."""
    if toolchain_name != "own" and not full:
        pytest.skip("only make check-full")
    program = pth(toolchain, tmp_path, *FLAGS[form])
    died = crash.run(program, [], tmp_path / "run", {"GODEBUG": ""})
    assert died.core, died.stderr[-2000:]
    document = coreanalyze.json("tasks", died.core, "--exe", program)
    check_pth(document, died.stdout)
    ours = {x["id"] for x in document["tasks"] if x["runtime"] == "go"}
    assert ours == set(re.findall(r"^goroutine (\d+) ", died.stderr, re.M))
    died.core.unlink()


def test_go_and_pth_computing(coreanalyze, toolchain_name, toolchain, tmp_path):
    """Pth's current thread runs on the OS thread that has it, which is not the process's first."""
    if toolchain_name != "own":
        pytest.skip("one toolchain is enough")
    program = pth(toolchain, tmp_path)
    died = crash.run(program, ["busy"], tmp_path / "run", {"GODEBUG": ""})
    document = coreanalyze.json("tasks", died.core, "--exe", program)
    listed = check_pth(document, died.stdout)
    current, = [x for x in listed.values() if x["state"] == "running"]
    assert [x["function"] for x in current["frames"][:2]] == ["work", "run_threads"]
    main, = [x for x in document["tasks"] if x["id"] == "1"]
    assert current["thread"] not in (None, main["thread"])
    died.core.unlink()


def test_go_and_pth_live(coreanalyze, toolchain_name, toolchain, tmp_path):
    if toolchain_name != "own":
        pytest.skip("one toolchain is enough")
    program = pth(toolchain, tmp_path)
    with csamples.waiting(program, ["wait"], {"GODEBUG": ""}) as (process, printed):
        document = coreanalyze.json("tasks", "-p", process.pid)
    check_pth(document, printed)
