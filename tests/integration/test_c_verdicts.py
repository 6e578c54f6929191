"""`leaks` on each C sample says what the sample's first comment says; on its repaired twin nothing."""

import pytest

import csamples

N = {"c/many": 5000, "state-threads/server": 6000, "pth/server": 1500, "boost-fiber/server": 6000}
ALL = [x for kind in csamples.LIBRARIES | {"c": ""} for x in csamples.samples(kind)]
TWINS = [x for x in ALL if "repaired" in x.account]


@pytest.fixture(scope="module", autouse=True)
def built():
    csamples.make()


def names(value):
    return value.name


def leaks(coreanalyze, sample, variant, folder, threshold=None):
    if not csamples.available(sample.source.parent.name):
        pytest.skip(f"the library of {sample.name} is not installed")
    arguments = [variant] if variant != "many" else []
    arguments += [N[sample.name]] if sample.name in N else []
    died = csamples.die(sample.binary(), arguments, folder / "run")
    assert died.core, died.stderr
    options = ["--threshold", threshold] if threshold else []
    document = coreanalyze.json("leaks", died.core, *options)
    status = coreanalyze.run("leaks", died.core, *options).returncode
    died.core.unlink()
    return document, status


def function(place):
    return ((place or {}).get("function") or "").split("(")[0].split("::")[-1]


def groups_of(document, one):
    return [x for x in document["groups"]
            if x["reason"] == one["reason"] and function(x["site"]) == one["site"]]


@pytest.mark.parametrize("sample", ALL, ids=names)
def test_as_the_comment_says(coreanalyze, sample, tmp_path):
    variant = "leak" if "leak" in sample.account else "many"
    # One answer for all of a sample's lines: those that name a threshold name the same.
    thresholds = {x["threshold"] for x in sample.expects if "threshold" in x}
    assert len(thresholds) <= 1
    document, status = leaks(coreanalyze, sample, variant, tmp_path, *thresholds)
    n = N.get(sample.name)
    wrong, left = [], list(document["groups"])
    for one in sample.expects:
        found = [x for x in groups_of(document, one) if x in left]
        left = [x for x in left if x not in found]
        got = {"count": sum(x["count"] for x in found),
               "verdict": {x["verdict"] for x in found}, "proof": {x["proof"] for x in found}}
        want = {"count": csamples.count(one["count"], n), "verdict": {one["verdict"]},
                "proof": {one.get("proof")}}
        if one["verdict"] == "suspect":
            rule = one["rule"]
            # Many that wait for input without a deadline are suspect by the rule that says so.
            rules = {rule, "io-no-deadline"} if rule == "threshold" else {rule}
            got["rule"], want["rule"] = {x["rule"] for x in found} <= rules, True
        if one["verdict"] == "leaked" and "pattern" in one:
            got["pattern"], want["pattern"] = {x["pattern"] for x in found}, {one["pattern"]}
        if got != want:
            wrong.append((one, got))
    assert not wrong
    assert not [x for x in left if x["verdict"] in ("leaked", "suspect")]
    leaked = any(x["verdict"] == "leaked" for x in sample.expects)
    assert status == (1 if leaked else 0)


@pytest.mark.parametrize("sample", TWINS, ids=names)
def test_the_repaired_one_is_clean(coreanalyze, sample, tmp_path):
    document, status = leaks(coreanalyze, sample, "repaired", tmp_path)
    assert status == 0
    assert not [x for x in document["groups"] if x["verdict"] in ("leaked", "suspect")]
    assert not document["gaps"]
