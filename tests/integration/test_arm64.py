"""Programs for arm64, run by qemu, which writes a core of the program inside; read here."""

import shutil
import subprocess

import pytest

import build
import crash
from test_truth import check

QEMU = "qemu-aarch64-static"
# The loader and the C library for programs that want one: libc6-dev-arm64-cross.
ARM64_ROOT = "/usr/aarch64-linux-gnu"
RUNS = [("shapes", "panic"), ("shapes", "quit"), ("all", "panic")]


def arm64_crash(toolchain, program, die, folder, *flags):
    if not shutil.which(QEMU):
        pytest.fail(f"there is no {QEMU}: tools/install-deps check installs it")
    folder.mkdir()
    binary = folder / program
    done = subprocess.run(
        [str(toolchain.go), "build", *flags, "-o", str(binary), "./" + program], cwd=build.SAMPLES,
        env=dict(toolchain.environment(), GOARCH="arm64", CGO_ENABLED="0"),
        capture_output=True, text=True,
    )
    assert not done.returncode, done.stderr
    run = folder / "run"
    env = {"SAMPLE_DIE": die, "GODEBUG": "", "QEMU_LD_PREFIX": ARM64_ROOT}
    result = crash.run(shutil.which(QEMU), [str(binary)], run, env, writer="kernel")
    # The kernel's core is of qemu.
    if result.core:
        result.core.unlink()
    cores = list(run.glob("qemu_*.core"))
    assert len(cores) == 1, f"{cores}\n{result.stderr[-2000:]}"
    result.core, result.binary = cores[0], binary
    return result


def _wanted(name, full):
    if not full and name not in ("own", "1.22.12", "1.27.4"):
        pytest.skip("only make check-full")


@pytest.mark.parametrize("program,die", RUNS)
def test_truth(coreanalyze, record, toolchain_name, toolchain, tmp_path, full, program, die):
    _wanted(toolchain_name, full)
    crashed = arm64_crash(toolchain, program, die, tmp_path / "arm64")
    document = check(coreanalyze, record, toolchain, crashed)
    assert document["target"]["arch"] == "arm64"
    assert document["runtimes"][0]["layout"] == "dwarf"
    shutil.rmtree(tmp_path / "arm64")


@pytest.mark.parametrize("flags", [["-ldflags=-s -w"], ["-buildmode=pie", "-ldflags=-s -w"]],
                         ids=["stripped", "pie-stripped"])
def test_stripped(coreanalyze, record, toolchain_name, toolchain, tmp_path, full, flags):
    _wanted(toolchain_name, full)
    crashed = arm64_crash(toolchain, "shapes", "panic", tmp_path / "arm64", *flags)
    shape = "pie-stripped" if "-buildmode=pie" in flags else "stripped"
    document = check(coreanalyze, record, toolchain, crashed, shape)
    assert document["runtimes"][0]["layout"] == "built-in"
    shutil.rmtree(tmp_path / "arm64")


