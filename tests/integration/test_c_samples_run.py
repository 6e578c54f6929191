"""The C samples by themselves: each builds, prints an account that is what its comment says, and
dies or waits as asked. That coreanalyze finds the same is tested elsewhere."""

import os
import signal
import subprocess

import pytest

import csamples

KINDS = ["c", "state-threads", "pth", "boost-fiber"]
N = {"c/many": 500, "state-threads/server": 6000, "pth/server": 1500, "boost-fiber/server": 6000}
ALL = [sample for kind in KINDS for sample in csamples.samples(kind)]
RUNS = [(sample, variant) for sample in ALL for variant in sample.account]
# c/many parks for the bench and has no twin.
TWINS = [sample for sample in ALL if sample.name != "c/many"]


def names(value):
    return value.name if isinstance(value, csamples.Sample) else str(value)


def arguments(sample, variant):
    if variant == "many":
        return [N[sample.name]]
    return [variant] + ([N[sample.name]] if sample.name in N else [])


@pytest.fixture(scope="module", autouse=True)
def built():
    csamples.make()


def need(sample):
    if not csamples.available(sample.source.parent.name):
        pytest.skip(f"the library of {sample.name} is not installed")


@pytest.mark.parametrize("stripped", [False, True], ids=["debug", "stripped"])
@pytest.mark.parametrize("sample,variant", RUNS, ids=names)
def test_account_is_what_the_comment_says(sample, variant, stripped, tmp_path):
    need(sample)
    n = N.get(sample.name)
    result = csamples.die(sample.binary(stripped), arguments(sample, variant), tmp_path)
    try:
        assert result.status == -signal.SIGABRT, result.stderr
        tasks = csamples.parse(result.stdout)
        assert len(tasks) == csamples.count(sample.account[variant], n)
        assert [task["state"] for task in tasks].count("running") == 1
        if variant != "repaired":
            expected = {
                (e["reason"], e["site"]): csamples.count(e["count"], n) for e in sample.expects
            }
            assert csamples.groups(tasks) == expected
        assert result.core is None or result.core.stat().st_size > 0
    finally:
        if result.core:
            result.core.unlink()


@pytest.mark.parametrize("sample", ALL, ids=names)
def test_comment_is_complete(sample):
    assert sample.expects
    assert set(sample.account) == ({"many"} if sample.name == "c/many" else {"leak", "repaired"})
    for expect in sample.expects:
        assert expect["verdict"] in ("leaked", "suspect", "waiting", "active")
        assert ("rule" in expect) == (expect["verdict"] == "suspect")
        assert ("proof" in expect) == (expect["verdict"] == "leaked")
        if expect.get("rule") == "threshold":
            n = N.get(sample.name, 0)
            if sample.name == "c/many":
                n = 100000
            assert csamples.count(expect["count"], n) >= int(expect["threshold"])


@pytest.mark.parametrize("sample", TWINS, ids=names)
def test_waits_when_asked(sample):
    need(sample)
    with csamples.waiting(sample.binary(), arguments(sample, "leak")) as (process, text):
        tasks = csamples.parse(text)
        assert len(tasks) == csamples.count(sample.account["leak"], N.get(sample.name))
        assert process.poll() is None


@pytest.mark.parametrize("sample", TWINS, ids=names)
def test_refuses_other_arguments(sample):
    need(sample)
    done = subprocess.run([sample.binary(), "other"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage:" in done.stderr


def test_creation_sites_are_lines_that_spawn():
    for sample in csamples.samples("c"):
        with csamples.waiting(
            sample.binary(), arguments(sample, next(iter(sample.account)))
        ) as (_, text):
            for file, line in {tuple(t["created"].split(":")) for t in csamples.parse(text)}:
                source = (csamples.ROOT / file).read_text().splitlines()
                assert "co_spawn(" in source[int(line) - 1] or "co_run(" in source[int(line) - 1]


def test_parse_refuses():
    header = "#" + "\t".join(csamples.COLUMNS) + "\n"
    row = "\t".join(["1", "f", "waiting", "sleep", "-", "f", "0", "a.c:1", "-"]) + "\n"
    assert len(csamples.parse(header + row + "ready\n")) == 1
    for bad in ("", row + "ready\n", header + row, header + row + row + "ready\n",
                header + "1\tf\n" + "ready\n"):
        with pytest.raises(ValueError):
            csamples.parse(bad)


def gcc(tmp_path, *sources, options=()):
    program = tmp_path / "program"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-O2", "-ffunction-sections", "-fdata-sections",
         f"-I{csamples.ROOT}", *options, "-o", program, *sources], check=True,
    )
    return program


def section(program, tmp_path):
    out = tmp_path / "section"
    subprocess.run(
        ["objcopy", "-O", "binary", "--only-section=.coreanalyze.runtime", program, out], check=True
    )
    return out.read_bytes()


@pytest.mark.parametrize("suffix", ["c", "cc"])
def test_description_survives_gc_sections_and_strip(tmp_path, suffix):
    """Two texts in one file and one in another, with NULs between and nothing lost."""
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    first.write_text(
        '#include "coreanalyze/describe.h"\n'
        'CA_DESCRIBE_RUNTIME("runtime: one\\n");\nCA_DESCRIBE_RUNTIME("runtime: two\\n");\n'
        "int main(void) { return 0; }\n"
    )
    second.write_text('#include "coreanalyze/describe.h"\nCA_DESCRIBE_RUNTIME("runtime: three\\n");\n')
    # g++ by way of gcc: what is compiled is told by the suffix.
    program = gcc(tmp_path, first, second, options=["-Wall", "-Wextra", "-Werror", "-Wl,--gc-sections"])
    mark = b"# coreanalyze runtime description\n"
    expected = sorted(mark + b"runtime: %s\n" % name for name in (b"one", b"two", b"three"))
    for _ in range(2):
        texts = [text for text in section(program, tmp_path).split(b"\0") if text]
        assert sorted(texts) == expected
        subprocess.run(["strip", program], check=True)
