"""`leaked` is a proof: random programs that know their goroutines' fates."""

import subprocess

import crash
import futures


def test_fates(coreanalyze, toolchain, tmp_path, full):
    """What can still move is never called leaked; most of what is lost is."""
    lost = found = 0
    for seed in range(200 if full else 3):
        outcome, _ = futures.dead(coreanalyze.path, toolchain, seed, 40, tmp_path / "run")
        assert outcome.false() == [], f"seed {seed}"
        lost += len(outcome.lost())
        found += len(outcome.found())
    assert lost > 50 and found > lost * 0.6


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
