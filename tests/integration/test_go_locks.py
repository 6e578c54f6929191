"""Who holds the locks that goroutines wait for, out of the unlocks that they have deferred; circles
of them are leaked, proved by deadlock. See tests/programs/golocks/main.go for what is what."""

import pytest

import crash
import goforms

FORMS = {
    "plain": (),
    "stripped": ("-ldflags=-s -w",),
    # Nothing is inlined, and the deferred calls have records.
    "unoptimised": ("-gcflags=all=-N -l",),
}
STUCK = {
    "main.crossed": "main.crossed", "main.again": "main.again", "main.reread": "main.write",
    "main.write": "main.reread", "main.behind": "main.crossed",
}
FREE = {"main.patient": "main.sleeper", "main.eager": None, "main.hasty": None}


def role(task):
    """The function that the program says it starts."""
    names = [frame["function"] for frame in task["frames"]]
    return next((name for name in names if name in {*STUCK, *FREE, "main.sleeper"}), None)


@pytest.mark.parametrize("form", FORMS)
def test_holders(coreanalyze, toolchain, tmp_path, form):
    binary = goforms.build(toolchain, "golocks", tmp_path / "golocks", *FORMS[form])
    core = crash.run(binary, folder=tmp_path / "run").core
    tasks = coreanalyze.json("tasks", core, "--exe", binary)["tasks"]
    roles = {task["id"]: role(task) for task in tasks}
    seen = []
    for task in tasks:
        name = roles[task["id"]]
        if name not in STUCK and name not in FREE:
            continue
        seen.append(name)
        wait = task["waiting_for"]
        assert wait["kind"] in ("mutex", "rwmutex"), name
        holder = roles[wait["owner"]] if wait["owner"] else None
        assert holder == STUCK.get(name, FREE.get(name)), name
        assert task["verdict"] == ("leaked" if name in STUCK else "waiting"), name
    assert sorted(seen) == sorted([*STUCK, *FREE, "main.crossed"])
    groups = coreanalyze.json("leaks", core, "--exe", binary)["groups"]
    circles = [group for group in groups if group["verdict"] == "leaked"]
    assert sum(group["count"] for group in circles) == len(STUCK) + 1
    for group in circles:
        assert group["proof"] == "deadlock" and group["pattern"] == "deadlock-cycle"
        assert group["evidence"][-1]["text"].startswith("which closes the circle")
    core.unlink()
