"""`leaked` is a proof: random programs that know their goroutines' fates."""

import shutil
import subprocess
from pathlib import Path

import crash
import toolchains

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent.parent / "build" / "proof"


def compiled(toolchain, source, name, **env):
    binary = KEPT / f"{toolchain}-{name}"
    KEPT.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [str(toolchain.go), "build", "-o", str(binary), "."], cwd=source, check=True,
        env=dict(toolchain.environment(), CGO_ENABLED="0", **env),
    )
    return binary


def test_fates(coreanalyze, toolchain, tmp_path, full):
    """What can still move is never called leaked; most of what is lost is."""
    binary = compiled(toolchain, HERE / "fates", "fates")
    lost = found = 0
    for seed in range(200 if full else 3):
        folder = tmp_path / str(seed)
        core = crash.run(binary, (str(seed), "40"), folder).core
        document = coreanalyze.json("tasks", core, "--exe", binary)
        shutil.rmtree(folder)
        for task in document["tasks"]:
            fate = task["labels"].get("fate")
            leaked = task["verdict"] == "leaked"
            assert not (leaked and fate == "moves"), f"seed {seed}, goroutine {task['id']}"
            lost += fate == "lost"
            found += leaked and fate == "lost"
    assert lost > 50 and found > lost * 0.6


def test_exported_core_proves_the_same(coreanalyze, toolchain, tmp_path):
    """Its threads are goroutines: nothing more is held than in the core that it was made from."""
    binary = compiled(toolchain, HERE / "fates", "fates")
    core = crash.run(binary, ("1", "40"), tmp_path / "run").core
    subprocess.run([coreanalyze.path, "export-core", tmp_path / "exported", core, "--exe", binary],
                   check=True, capture_output=True)
    before, after = ({task["id"]: task["verdict"] for task in document["tasks"]}
                     for document in (coreanalyze.json("tasks", core, "--exe", binary),
                                      coreanalyze.json("tasks", tmp_path / "exported", "--exe",
                                                       binary)))
    assert before == after and "leaked" in before.values()
