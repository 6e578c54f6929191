"""Descriptions that lie, and cores of described runtimes that do: thousands of them in one process,
without a crash, a hang, or a word of the sanitizers. CA_FULL=1: 10,000 of each."""

import os
import subprocess
import sys

import pytest

import csamples
from test_described import need

SLOW = os.environ.get("CA_SANITIZED", "") != ""
SHIPPED = csamples.ROOT / "coreanalyze" / "runtimes" / "descriptions"
#: Of each kind: the sample, its arguments, its description (None: in the program), its shares in
#: the mutated descriptions and cores.
KINDS = {
    "state-threads": ("state-threads", ["leak", 50], SHIPPED / "state-threads.yaml", 4, 3),
    "pth": ("pth", ["leak", 50], SHIPPED / "pth.yaml", 3, 3),
    "boost-fiber": ("boost-fiber", ["leak", 50], SHIPPED / "boost-fiber.yaml", 3, 1),
    "coro": ("c", [60], None, 0, 3),
}


@pytest.fixture(scope="module", autouse=True)
def built():
    csamples.make()


@pytest.mark.parametrize("what", ["text", "core"])
@pytest.mark.parametrize("kind", KINDS)
def test_lies(coreanalyze, full, tmp_path, kind, what):
    folder, arguments, text, texts, cores = KINDS[kind]
    share = texts if what == "text" else cores
    if not share:
        pytest.skip("its description is in the program, where the other test changes it")
    sample = need(folder) if folder != "c" else next(
        x for x in csamples.samples("c") if x.name == "c/many")
    fuzzer = coreanalyze.path.parent / "fuzz" / "fuzz_described"
    if not fuzzer.exists():
        pytest.fail(f"{fuzzer} is not built: run make unit-programs")
    died = csamples.die(sample.binary(), arguments, tmp_path / "run")
    last = tmp_path / "last"
    seeds = share * (1000 if full else 3 if SLOW else 10)
    done = subprocess.run(
        [fuzzer, what, died.core, sample.binary(), text or "-", str(seeds)],
        env=dict(os.environ, FUZZ_LAST=str(last)), capture_output=True, text=True, timeout=14400,
        check=False,
    )
    said = last.read_text() if last.exists() else ""
    assert done.returncode == 0, f"{said}\n{done.stderr[-6000:]}"
    print(done.stdout, file=sys.stderr)
