"""Go in other people's programs, and several Go modules in one."""

import subprocess

import pytest

import crash
import goforms
from test_truth import check


@pytest.fixture
def wanted(toolchain_name, full):
    if not full and toolchain_name not in ("own", "debian"):
        pytest.skip("only make check-full")


FLAGS = {"plain": [], "stripped": ["-ldflags=-s -w"]}


@pytest.mark.parametrize("form", FLAGS)
def test_c_shared(coreanalyze, record, wanted, toolchain, tmp_path, form):
    """A Go library that a C program has loaded."""
    library = goforms.build(toolchain, "goshared", tmp_path / "library.so", "-buildmode=c-shared",
                            *FLAGS[form], cgo=True)
    host = tmp_path / "host"
    subprocess.run(["cc", "-O1", "-o", host, goforms.PROGRAMS / "goshared/host.c", "-ldl"],
                   check=True)
    result = crash.run(host, [str(library)], tmp_path / "run", {"GODEBUG": ""})
    assert result.core, result.stderr[-2000:]
    document = check(coreanalyze, record, toolchain, result)
    assert document["runtimes"][0]["layout"] == ("dwarf" if form == "plain" else "built-in")
    assert sum(task["reason"] == "chan send" for task in document["tasks"]) == 20
    result.core.unlink()


@pytest.mark.parametrize("form", FLAGS)
def test_plugin(coreanalyze, record, wanted, toolchain, tmp_path, form):
    """A program and its plugin: one runtime, two tables of functions."""
    flags = FLAGS[form]
    plugin = goforms.build(toolchain, "goplugin", tmp_path / "plugin.so", "-buildmode=plugin",
                           *flags, cgo=True, package="./plugin")
    program = goforms.build(toolchain, "goplugin", tmp_path / "program", *flags, cgo=True)
    result = crash.run(program, [str(plugin)], tmp_path / "run", {"GODEBUG": ""})
    assert result.core, result.stderr[-2000:]
    document = check(coreanalyze, record, toolchain, result)
    entries = [task["entry"]["function"] for task in document["tasks"] if task["entry"]]
    assert sum(".Start.gowrap1" in entry or ".Start.func1" in entry or ".send" in entry
               for entry in entries) == 10, entries
    result.core.unlink()
