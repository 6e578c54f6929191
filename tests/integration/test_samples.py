"""Each sample says in its first comment what is to be found in it; its repaired twin has nothing
to be found."""

import re
import shlex

import pytest

import build
import test_truth

KEYS = {
    "args", "site", "created", "count", "reason", "verdict", "rule", "pattern",
}
VERDICTS = {"leaked", "suspect", "waiting", "active"}
FOLDERS = {
    path.parent.name: path.parent for path in sorted(build.SAMPLES.glob("*/leak.go"))
}


def expectations(folder):
    """The `expect:` lines of a sample's first comment, each a dict."""
    first = (folder / "leak.go").read_text().split("package ", 1)[0]
    result = []
    for line in first.splitlines():
        match = re.fullmatch(r"// expect: (.*)", line)
        if match:
            pairs = [word.split("=", 1) for word in shlex.split(match.group(1))]
            result.append(dict(pairs))
    return result


@pytest.mark.parametrize("name", FOLDERS)
def test_comment(name):
    """The comments are complete: what cannot be read would not be checked."""
    found = expectations(FOLDERS[name])
    assert found, f"{name}/leak.go expects nothing"
    assert (FOLDERS[name] / "repaired.go").exists()
    for one in found:
        assert set(one) <= KEYS
        assert {"site", "created", "count", "reason", "verdict"} <= set(one)
        assert one["verdict"] in VERDICTS
        assert (one["verdict"] == "suspect") == ("rule" in one)


def test_every_sample_is_in_all():
    text = (build.SAMPLES / "all" / "main.go").read_text()
    assert set(re.findall(r'\{"(\w+)", \w+\.Leak, \w+\.Repaired\}', text)) == set(FOLDERS)
    assert len(FOLDERS) >= 17


def groups_of(document, one):
    """The groups at a line's site and creation site."""
    return [
        group for group in document["groups"]
        if (group["site"] or {}).get("function") == one["site"]
        and (group["created"] or {}).get("function") == one["created"]
    ]


def matches(group, one):
    """What of a group is not as expected: a list of texts."""
    wrong = []

    def same(what, wanted, found):
        if wanted != found:
            wrong.append(f"{what}: expected {wanted!r}, found {found!r}")

    same("verdict", one["verdict"], group["verdict"])
    same("rule", one.get("rule"), group["rule"])
    same("pattern", one.get("pattern"), group["pattern"])
    same("proof", "unreachable" if one["verdict"] == "leaked" else None, group["proof"])
    reason = group["reason"]
    if reason not in one["reason"].split("|") and one["verdict"] != "active":
        wrong.append(f"reason: expected {one['reason']!r}, found {reason!r}")
    return wrong


@pytest.mark.parametrize("name", FOLDERS)
def test_leak(coreanalyze, record, toolchain, crashed, name):
    crash = crashed(toolchain, "all", name)
    test_truth.check(coreanalyze, record, toolchain, crash)
    for one in expectations(FOLDERS[name]):
        arguments = shlex.split(one.get("args", ""))
        document = coreanalyze.json("leaks", crash.core, "--exe", crash.binary, *arguments)
        groups = groups_of(document, one)
        assert sum(group["count"] for group in groups) == int(one["count"]), one["site"]
        for group in groups:
            assert matches(group, one) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_repaired(coreanalyze, record, toolchain, crashed, name):
    crash = crashed(toolchain, "all", name, "repaired")
    document = test_truth.check(coreanalyze, record, toolchain, crash)
    left = [
        task["id"] for task in document["tasks"]
        if any((frame["function"] or "").startswith(f"samples/{name}.") for frame in task["frames"])
    ]
    assert left == []
    leaks = coreanalyze.json("leaks", crash.core, "--exe", crash.binary)
    assert not leaks["summary"].get("leaked") and not leaks["summary"].get("suspect")
