"""The sample runtime on arm64, run by qemu, with and without debug information."""

import shutil
import subprocess

import pytest

import crash
import csamples
from test_arm64 import QEMU
from test_described import compare, counted

CC, STRIP = "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-strip"
SHARED = ["account.c", "coro.c", "coro_describe.c", "coro_wait.c", "sample.c", "coro_switch.S"]


@pytest.mark.parametrize("stripped", [False, True], ids=["debug", "stripped"])
@pytest.mark.parametrize("name", ["deadlock", "forgotten_sender", "first_answer_wins"])
def test_own_runtime(coreanalyze, tmp_path, full, name, stripped):
    if name == "first_answer_wins" and not full:
        pytest.skip("only make check-full")
    for needed in (CC, QEMU):
        if not shutil.which(needed):
            pytest.fail(f"there is no {needed}: tools/install-deps check installs it")
    folder = csamples.ROOT / "samples" / "c"
    program = tmp_path / name
    subprocess.run(
        # qemu's cores name no libraries: everything is in the program.
        [CC, "-static", "-std=gnu11", "-O2", "-g", f"-I{csamples.ROOT}", f"-I{folder}", "-o", program,
         f"samples/c/{name}.c", *(f"samples/c/{x}" for x in SHARED), "-lpthread"],
        check=True, cwd=csamples.ROOT)
    if stripped:
        subprocess.run([STRIP, program], check=True)
    run = tmp_path / "run"
    died = crash.run(shutil.which(QEMU), [str(program), "leak"], run,
                     {"SAMPLE_DIE": "abort"}, writer="kernel")
    cores = list(run.glob("qemu_*.core"))
    assert len(cores) == 1, died.stderr
    document = coreanalyze.json("tasks", cores[0], "--exe", program)
    assert document["target"]["arch"] == "arm64"
    account = csamples.parse(died.stdout)
    wrong = compare(document, account, "coro", symbols=not stripped)
    assert not wrong, wrong[:10]
    runtime = counted(document, "coro")
    assert runtime["layout"] == ("description" if stripped else "dwarf")
    if name == "deadlock":
        assert sum(x["verdict"] == "leaked" for x in document["tasks"]) == len(account) - 1
