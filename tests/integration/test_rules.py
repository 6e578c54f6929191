"""What a rules file and --own leave out."""

import pytest

import build
import toolchains


@pytest.fixture
def core(crashed):
    return crashed(toolchains.need("own"), "all")


def leaked(coreanalyze, core, *options):
    document = coreanalyze.json("leaks", core.core, "--exe", core.binary, *options)
    return sum(group["count"] for group in document["groups"] if group["verdict"] == "leaked")


@pytest.mark.parametrize("line", [
    "ignore top samples/mutex.(*account).withdraw", "ignore any samples/mutex.*",
    "ignore creator samples/mutex.Leak", "ignore reason sync.Mutex.Lock",
])
def test_line(coreanalyze, core, tmp_path, line):
    rules = tmp_path / "rules"
    everything = leaked(coreanalyze, core)
    rules.write_text(f"# a comment\n\n{line}\nuse goleak\n")
    assert leaked(coreanalyze, core, "--rules", rules) == everything - 3
    rules.write_text("ignore any nowhere.*\nuse goleak\n")
    assert leaked(coreanalyze, core, "--rules", rules) == everything


def test_piled_up_defers_are_told_with_their_line(coreanalyze, toolchain, crashed):
    core = crashed(toolchain, "all")
    source = (build.SAMPLES / "deferloop" / "leak.go").read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "defer f.close()" in text)
    groups = coreanalyze.json("leaks", core.core, "--exe", core.binary)["groups"]
    (group,) = [group for group in groups if group["rule"] == "deep-defers"]
    assert [one["text"] for one in group["evidence"]] == [
        f"5,000 deferred calls of one line are pending: samples/deferloop.consume leak.go:{line}"]


def test_every_task_that_is_left_out_says_so(coreanalyze, core, tmp_path):
    """Also where others had notes before the rules were read."""
    rules = tmp_path / "rules"
    rules.write_text("ignore any *\n")
    before = coreanalyze.json("tasks", core.core, "--exe", core.binary)["tasks"]
    after = coreanalyze.json("tasks", core.core, "--exe", core.binary, "--rules", rules)["tasks"]
    assert any(task["notes"] for task in before)
    for old, new in zip(before, after, strict=True):
        left_out = old["verdict"] in ("leaked", "suspect")
        notes = old["notes"] + ["left out by line 1 of the rules"] * left_out
        assert sorted(new["notes"]) == sorted(notes), new["id"]


def test_own(coreanalyze, core):
    assert leaked(coreanalyze, core, "--own", "samples/mutex") == 3
    assert leaked(coreanalyze, core, "--own", "elsewhere") == 0


@pytest.mark.parametrize("line, says", [
    ("ignore topp f", "not `topp`; did you mean `top`?"),
    ("ignore creater f", "not `creater`; did you mean `creator`?"),
    ("ignore function f", "after ignore comes top, any, creator, reason, label or id, not `function`"),
    ("ignore top", "`ignore top` lacks what to ignore"),
    ("ignroe top f", "but `ignroe`; did you mean `ignore`?"),
    ("use golek", "write `use goleak`"),
    ("threshold 5", "neither `ignore ...` nor `use goleak`, but `threshold`"),
])
def test_near_names(coreanalyze, core, tmp_path, line, says):
    rules = tmp_path / "rules"
    rules.write_text(f"# first\n{line}\n")
    done = coreanalyze.run("leaks", core.core, "--rules", rules)
    assert done.returncode == 2
    assert f"{rules}:2: " in done.stderr.decode() and says in done.stderr.decode()


def test_help_names_what_rules_know(coreanalyze):
    text = coreanalyze.run("leaks", "--help").stdout.decode()
    for word in ("top", "any", "creator", "reason", "label", "id", "use", "goleak", "docs/rules.md",
                 "threshold", "min-age", "io-no-deadline", "deep-defers", "--own"):
        assert word in text, word


def test_senseless(coreanalyze, core, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("ignore any x\nignore everything\n")
    done = coreanalyze.run("leaks", core.core, "--rules", rules)
    assert done.returncode == 2 and f"{rules}:2" in done.stderr.decode()
