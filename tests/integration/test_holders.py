"""The evidence of a leaked goroutine: who else has what it waits for, and what became of who started
it. tests/programs/goholders says by its functions who that is."""

import crash
import goforms


def test_chain(coreanalyze, toolchain, tmp_path):
    binary = goforms.build(toolchain, "goholders", tmp_path / "goholders")
    core = crash.run(binary, folder=tmp_path / "run").core
    ids = {}
    for task in coreanalyze.json("tasks", core, "--exe", binary)["tasks"]:
        for frame in task["frames"]:
            ids.setdefault(frame["function"], []).append(task["id"])

    def evidence(role):
        document = coreanalyze.json("explain", ids[f"main.{role}"][0], core, "--exe", binary)
        assert document["verdict"] == "leaked", role
        found = {}
        for one in document["evidence"]:
            found.setdefault(one["kind"], []).append(one)
        return found

    orphan = evidence("orphan")
    assert [one["task"] for one in orphan["holder"]] == ids["main.keeper"]
    assert orphan["holder"][0]["text"].startswith(
        f"also held by goroutine {ids['main.keeper'][0]}, which will never run again either: "
        "waits for a receiver on an unbuffered channel, at main.keeper main.go:")
    assert "fellows" not in orphan and "holders" not in orphan
    deep = evidence("deep")
    assert [one["task"] for one in deep["holder"]] == ids["main.far"]
    assert " through 2 objects, " in deep["holder"][0]["text"]
    assert evidence("keeper")["holders"][0]["text"] == "no other goroutine holds it"
    worker = evidence("worker")
    assert worker["fellows"][0]["text"] == "2 others wait for the same"
    assert worker["holders"][0]["text"] == "no other goroutine holds it"
    # Go notes who started a goroutine since 1.21.
    if toolchain.minor >= 21:
        assert orphan["creator"][0]["text"].endswith(", which started this one, has ended")
        assert worker["creator"][0]["task"] == "1"
        assert worker["creator"][0]["text"] == (
            "goroutine 1, which started this one, lives, and does not reach it any more")
    # A wait group that is short because its members are stuck: theirs is the mistake.
    groups = coreanalyze.json("leaks", core, "--exe", binary)["groups"]
    gather = next(one for one in groups if one["site"]["function"] == "main.gather")
    assert gather["pattern"] is None and "are stuck in" in gather["advice"]
    # A lock whose holder is stuck: so it is there.
    enter = next(one for one in groups if one["site"]["function"] == "main.enter")
    assert enter["count"] == 2 and enter["waiting_for"]["owner"] == ids["main.guard"][0]
    assert enter["pattern"] is None and "stuck in" in enter["advice"]
    # Each is told of its own channel.
    addresses = {evidence(role)["waits"][0]["address"] for role in ("orphan", "deep", "keeper")}
    assert len(addresses) == 3
    text = coreanalyze.run("explain", ids["main.orphan"][0], core, "--exe", binary).stdout.decode()
    assert f"also held by goroutine {ids['main.keeper'][0]}" in text
    core.unlink()
