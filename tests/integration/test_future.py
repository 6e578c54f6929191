"""Falsified by the future: random programs are looked at, then run on. Nothing that is called leaked
ever moves; most of what is lost is called so."""

import futures

SEEDS = 200  # of every toolchain, in a full run; more by hand


def test_nothing_leaked_moves(coreanalyze, record, toolchain, full, tmp_path):
    lost = found = bound = stayed = tasks = 0
    for seed in range(SEEDS if full else 4):
        outcome, document = futures.live(coreanalyze.path, toolchain, seed, folder=tmp_path)
        assert outcome.false() == [], f"seed {seed}"
        assert document["gaps"] == [], f"seed {seed}"
        # The program's own words are true: what is lost stays, what is bound to move does.
        assert [task for task in outcome.lost() if task["id"] in outcome.moved] == []
        bound += len(outcome.bound_to_move())
        stayed += len([t for t in outcome.bound_to_move() if t["id"] not in outcome.moved])
        lost += len(outcome.lost())
        found += len(outcome.found())
        tasks += len(outcome.tasks)
    assert found > lost * 0.6 and stayed < bound * 0.05
    record.lines.append(f"future, {toolchain}: {tasks} goroutines, {found} leaked and never moved, "
                        f"{bound} bound to move")
