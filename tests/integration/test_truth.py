"""Every goroutine as Go itself prints it: number, status, age, stack, creation."""

import concurrent.futures

import pytest

import build
import compare
import crash
import gotrace
import toolchains

# (program, arguments, how it dies, GODEBUG). Dying by a signal makes each thread print its own
# goroutine. Without preemption by signals a loop goes on running while the others are printed.
EVERY = "tracebackancestors=5,tracebacklabels=1"
RUNS = {
    "all-panic": ("all", (), "panic", ""),
    "all-abort": ("all", (), "abort", EVERY),
    "repaired-quit": ("all", ("repaired",), "quit", ""),
    "shapes-panic": ("shapes", (), "panic", EVERY),
    "shapes-quit": ("shapes", (), "quit", ""),
    "shapes-spin": ("shapes", ("spin",), "quit", "asyncpreemptoff=1"),
    "cgo-panic": ("cgo", (), "panic", ""),
    "cgo-quit": ("cgo", (), "quit", EVERY),
    "cgo-fault": ("cgo", (), "fault", ""),
    "shapes-fault": ("shapes", (), "fault", ""),
    "shapes-throw": ("shapes", (), "throw", ""),
    "shapes-overflow": ("shapes", (), "overflow", ""),
    "many-panic": ("many", ("2000",), "panic", ""),
}
AGE = 75
TRIES = 3
SHOWN = 40


def check(coreanalyze, record, toolchain, crashed, shape="plain"):
    """Compare the trace and the core of one crash; fails with the differences. SHAPE is for the
    table of what was compared."""
    for _ in range(TRIES):
        trace = gotrace.parse(crashed.stderr)
        document = coreanalyze.json("tasks", crashed.core, "--exe", crashed.binary)
        result = compare.Comparison(trace, document, toolchain.minor)
        if not result.went_on or not crashed.again:
            break
        record.rules["not-frozen"] += 1
        crashed = crashed.again()
    record.crashes += 1
    record.goroutines += result.goroutines
    record.frames += result.frames
    record.rules.update(result.rules)
    assert result.goroutines > 0
    if result.differences:
        shown = "\n".join(result.differences[:SHOWN])
        pytest.fail(f"{len(result.differences)} differences:\n{shown}", pytrace=False)
    record.equal[(toolchain.version, document["target"]["arch"], shape)] += result.goroutines
    return document


@pytest.mark.parametrize("run", RUNS)
def test_plain(coreanalyze, record, toolchain, crashed, run):
    program, arguments, die, godebug = RUNS[run]
    check(coreanalyze, record, toolchain,
          crashed(toolchain, program, *arguments, die=die, godebug=godebug))


@pytest.mark.parametrize("shape", [shape for shape in build.SHAPES if shape != "plain"])
def test_shapes(coreanalyze, record, toolchain_name, toolchain, crashed, full, shape):
    if not full and toolchain_name != "own":
        pytest.skip("only make check-full")
    check(coreanalyze, record, toolchain, crashed(toolchain, "shapes", shape=shape), shape)


def test_gcore(coreanalyze, record, crashed):
    """A core that gdb wrote."""
    own = toolchains.need("own")
    check(coreanalyze, record, own, crashed(own, "shapes", writer="gcore"))


def test_executable_is_found_from_the_core(coreanalyze, crashed):
    crash_ = crashed(toolchains.need("own"), "all")
    named = coreanalyze.json("tasks", crash_.core, "--exe", crash_.binary)
    found = coreanalyze.json("tasks", crash_.core)
    assert named["tasks"] == found["tasks"]


@pytest.fixture(scope="module", autouse=True)
def aged(request, full, tmp_path_factory):
    """Programs whose goroutines wait for more than a minute, beside the other tests: futures of
    Crash by the name of the toolchain."""
    if not any(item.name == "test_minutes" for item in request.session.items):
        yield {}
        return
    pool = concurrent.futures.ThreadPoolExecutor(16)
    runs = {}
    for name in toolchains.wanted(True) if full else ["own"]:
        try:
            toolchain = toolchains.find(name)
        except toolchains.Missing:
            continue
        binary = build.build(toolchain, "shapes")
        env = {"SAMPLE_DIE": "panic", "SAMPLE_AGE": f"{AGE}s", "GODEBUG": ""}
        folder = tmp_path_factory.mktemp("aged")
        runs[name] = toolchain, pool.submit(crash.run, binary, (), folder, env)
    yield runs
    for _, future in runs.values():
        core = future.result().core
        if core:
            core.unlink()
    pool.shutdown()


def test_minutes(coreanalyze, record, aged):
    assert aged, "no toolchain at all"
    for toolchain, future in aged.values():
        crashed = future.result()
        assert crashed.core, crashed.stderr[-2000:]
        assert any(g.minutes for g in gotrace.parse(crashed.stderr).goroutines)
        check(coreanalyze, record, toolchain, crashed)


def test_text_folds_a_deep_stack(coreanalyze, crashed):
    crash_ = crashed(toolchains.need("own"), "shapes", die="overflow")
    text = coreanalyze.run("task", "1", crash_.core, "--exe", crash_.binary).stdout.decode()
    lines = text.splitlines()
    assert len(lines) < 120
    assert sum("sample.endless" in line for line in lines) > 90
    assert any("more; --full shows all" in line for line in lines)


def test_leaks_behind_a_deep_stack(coreanalyze, crashed):
    """What was left out of the stack costs no proof of others."""
    found = []
    for die in ("panic", "overflow"):
        crash_ = crashed(toolchains.need("own"), "all", die=die)
        found.append(coreanalyze.json("leaks", crash_.core, "--exe", crash_.binary)["summary"])
    assert found[1]["leaked"] == found[0]["leaked"] > 50
