"""A stripped program gives the same answer as the same program unstripped."""

import os
import shutil
import subprocess

import pytest

import build
import crash
import goforms
import toolchains
from test_truth import check

COMMANDS = ("tasks", "leaks", "info")


def _without_source(document):
    """Without what says where it was read from."""
    document["target"].pop("executable")
    document["target"].pop("build_id")
    for runtime in document["runtimes"]:
        runtime.pop("layout")
    return document


def _differences(ours, truth, at=""):
    """Where two documents differ, as lines."""
    if isinstance(ours, dict) and isinstance(truth, dict) and ours.keys() == truth.keys():
        parts = ((key, ours[key], truth[key]) for key in ours)
    elif isinstance(ours, list) and isinstance(truth, list) and len(ours) == len(truth):
        parts = ((index, *pair) for index, pair in enumerate(zip(ours, truth)))
    else:
        return [] if ours == truth else [f"{at}: {ours!r:.300} instead of {truth!r:.300}"]
    return [line for key, a, b in parts for line in _differences(a, b, f"{at}/{key}")]


def _same(coreanalyze, core, plain, other, layout="built-in", force=()):
    for command in COMMANDS:
        options = [command, core]
        ours = coreanalyze.json(*options, "--exe", other, *force)
        truth = coreanalyze.json(*options, "--exe", plain)
        assert [runtime["layout"] for runtime in ours["runtimes"]] == [layout]
        assert [runtime["layout"] for runtime in truth["runtimes"]] == ["dwarf"]
        assert truth["runtimes"][0]["counted"] is not None
        assert not _differences(_without_source(ours), _without_source(truth)), command


@pytest.mark.parametrize("program,die", [("all", "panic"), ("shapes", "abort")])
def test_same_core(coreanalyze, crashed, toolchain, tmp_path, program, die):
    """One core, read with the program and with the program stripped."""
    run = crashed(toolchain, program, die=die)
    _same(coreanalyze, run.core, run.binary, goforms.strip(run.binary, tmp_path / "stripped"))


def test_same_core_cgo(coreanalyze, crashed, toolchain, tmp_path):
    run = crashed(toolchain, "cgo", shape="plain")
    _same(coreanalyze, run.core, run.binary, goforms.strip(run.binary, tmp_path / "stripped"))


def test_same_core_pie(coreanalyze, crashed, toolchain, tmp_path):
    run = crashed(toolchain, "all", shape="pie")
    _same(coreanalyze, run.core, run.binary, goforms.strip(run.binary, tmp_path / "stripped"))


def _run(binary, folder, *arguments, die="panic", env=None):
    result = crash.run(binary, arguments, folder, {"SAMPLE_DIE": die, "GODEBUG": "", **(env or {})})
    assert result.core, result.stderr[-2000:]
    return result


@pytest.mark.parametrize("shape", ["plain", "pie"])
@pytest.mark.parametrize("build_info", [True, False], ids=["build-info", "bare"])
def test_no_section_headers(coreanalyze, record, toolchain, tmp_path, shape, build_info):
    """Section headers, notes and build info taken away."""
    plain = build.build(toolchain, "shapes", shape)
    bare = goforms.behead(plain, tmp_path / "bare", build_info)
    result = _run(bare, tmp_path / "run")
    document = check(coreanalyze, record, toolchain, result)
    assert document["runtimes"][0]["layout"] == "built-in"
    assert document["runtimes"][0]["version"].startswith(f"go1.{toolchain.minor}")
    truth = coreanalyze.json("tasks", result.core, "--exe", plain, "--force")
    # Which file was given belongs to the source too.
    document["gaps"] = truth["gaps"] = None
    assert not _differences(_without_source(document), _without_source(truth))
    result.core.unlink()


def _crashing_build(toolchain, tmp_path, *flags, env=None):
    binary = tmp_path / "shapes"
    done = subprocess.run(
        [str(toolchain.go), "build", *flags, "-o", str(binary), "./shapes"], cwd=build.SAMPLES,
        env=dict(toolchain.environment(), CGO_ENABLED="0", **(env or {})),
        capture_output=True, text=True,
    )
    assert not done.returncode, done.stderr
    return _run(binary, tmp_path / "run")


def test_experiment(coreanalyze, record, toolchain, tmp_path):
    """An experiment is written behind the version."""
    # Known to all of 1.19 to 1.27, and without effect on what is read.
    result = _crashing_build(toolchain, tmp_path, "-ldflags=-s -w",
                             env={"GOEXPERIMENT": "fieldtrack"})
    document = check(coreanalyze, record, toolchain, result)
    assert "X:fieldtrack" in document["runtimes"][0]["version"]
    assert document["runtimes"][0]["layout"] == "built-in"
    result.core.unlink()


@pytest.fixture(scope="module")
def own():
    return toolchains.need("own")


def test_vendor_version(coreanalyze, record, own, tmp_path):
    """A vendor's toolset calls itself by more than a number."""
    name = f"go{own.version} (Red Hat {own.version}-1.el9)"
    result = _crashing_build(own, tmp_path, f"-ldflags=-s -w -X 'runtime.buildVersion={name}'")
    document = check(coreanalyze, record, own, result)
    assert document["runtimes"][0]["version"] == name
    result.core.unlink()


def test_not_optimised(coreanalyze, record, own, tmp_path):
    """Where nothing is inlined, the runtime's variables are referred to in other places."""
    result = _crashing_build(own, tmp_path, "-gcflags=all=-N -l")
    check(coreanalyze, record, own, result)
    _same(coreanalyze, result.core, result.binary, goforms.strip(result.binary, tmp_path / "bare"))
    result.core.unlink()


@pytest.fixture
def unknown(own, tmp_path):
    """A crash of a program whose version has no layout, and the same program with debug
    information."""
    old = f"go1.{own.minor}".encode()
    new = b"go1.99"
    plain = build.build(own, "all", "plain")
    stripped = goforms.strip(plain, tmp_path / "stripped")
    strange = goforms.rename_version(stripped, tmp_path / "strange", old, new)
    result = _run(strange, tmp_path / "run")
    result.plain = plain
    yield result
    result.core.unlink()


def test_unknown_version_is_refused(coreanalyze, unknown):
    done = coreanalyze.run("tasks", unknown.core)
    assert done.returncode == 2
    text = done.stderr.decode()
    assert "1.99" in text and "no layout known" in text and "--exe" in text, text
    assert not done.stdout


def test_debug_binary(coreanalyze, record, own, unknown, tmp_path):
    """The layout may come from another build of the same toolchain."""
    other = build.build(own, "many", "plain")
    document = coreanalyze.json("tasks", unknown.core, "--debug-binary", other)
    assert document["runtimes"][0]["layout"] == "debug-binary"
    truth = coreanalyze.json("tasks", unknown.core, "--exe", unknown.plain, "--force")
    assert truth["runtimes"][0]["layout"] == "dwarf"
    for one in (document, truth):
        _without_source(one)
        for runtime in one["runtimes"]:
            runtime.pop("version")
    document["gaps"] = truth["gaps"] = None
    assert not _differences(document, truth)


def test_debug_binary_without_debug_information(coreanalyze, unknown):
    done = coreanalyze.run("tasks", unknown.core, "--debug-binary", unknown.binary)
    assert done.returncode == 2
    assert b"--debug-binary" in done.stderr


def test_sysroot(coreanalyze, own, tmp_path):
    """A container's core: its paths exist below another root only."""
    root, inside = tmp_path / "root", "/srv/app-of-a-container/bin"
    home = root / inside[1:]
    home.mkdir(parents=True)
    binary = home / "all"
    shutil.copy(build.build(own, "all", "stripped"), binary)
    # The core names the path under which the program was started: start it under that one.
    outside = tmp_path / "elsewhere"
    shutil.copytree(root, outside)
    done = subprocess.run(["unshare", "--help"], capture_output=True)
    if done.returncode or os.geteuid() != 0:
        pytest.skip("another root needs root's rights")
    result = crash.run(shutil.which("chroot"), [str(root), inside + "/all"], tmp_path / "run",
                       {"SAMPLE_DIE": "panic", "GODEBUG": ""}, writer="kernel")
    core = result.core or next(iter(root.glob("core*")), None)
    assert core, result.stderr[-2000:]
    shutil.rmtree(root / "srv")
    refused = coreanalyze.run("tasks", core)
    assert refused.returncode == 2 and b"--exe" in refused.stderr
    found = coreanalyze.json("tasks", core, "--sysroot", outside)
    named = coreanalyze.json("tasks", core, "--exe", outside / inside[1:] / "all")
    assert found["tasks"] and found["tasks"] == named["tasks"]
    core.unlink()
