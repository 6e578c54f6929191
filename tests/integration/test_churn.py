"""Falsified by the future: programs that make, end and lose goroutines all the time, under a busy
collector, are looked at again and again. Nothing that was called leaked moves later, and a look that
proves nothing says so and is rare."""

import os

import pytest

import futures
import instant
import toolchains

SEEDS = 18  # of every toolchain, in a full run: more than 300 looks


def test_nothing_leaked_moves(coreanalyze, record, toolchain, full, tmp_path):
    looks, died = [], 0
    for seed in range(SEEDS if full else 2):
        course = futures.churn(coreanalyze.path, toolchain, seed, 3 if full else 1, tmp_path)
        assert course.false() == [], f"seed {seed}"
        looks += course.looks
        died += not course.ended
    silent = sum(look.silent for look in looks)
    speaking = [look for look in looks if not look.silent]
    lost = sum(len(look.lost()) for look in speaking)
    leaked = sum(len(look.leaked) for look in speaking)
    mute = [look for look in speaking if len(look.lost()) >= 10 and not look.leaked]
    assert silent <= 2 + len(looks) * 0.02 and leaked > lost * 0.25
    # Rarely what runs at the moment has hold of everything, and a random program panics.
    assert len(mute) <= 1 + len(looks) * 0.01 and died <= SEEDS // 6
    record.lines.append(f"churn, {toolchain}: {len(looks)} looks, {leaked} leaked and none moved, "
                        f"{silent} looks proved nothing and said so")


@pytest.mark.skipif(not instant.HERE, reason="needs ptrace on amd64")
def test_while_go_looks_itself(coreanalyze, full, tmp_path):
    """Go's own detector hides channels and locks from its collector (runtime/mgc.go:
    setSyncObjectsUntraceable). Found at 1 look in 30."""
    binary = futures.compiled(toolchains.newest())
    place = instant.places(binary, r"runtime\.findGoroutineLeaks")
    output, looks = tmp_path / "output", []
    program = instant.Instant([str(binary), "1", "20", "2s", "churn"], tmp_path, output,
                              tmp_path / "errors", dict(os.environ))
    try:
        while len(looks) < (40 if full else 4) and program.run_to(place):
            answer = futures.answer(coreanalyze.path, "-p", program.pid)
            looks.append(futures.Look(answer, output.stat().st_size))
        if program.status is None:
            program.run_to([])  # to its end
    finally:
        program.kill()
    assert looks and futures.Course(looks, output.read_bytes()).false() == []
