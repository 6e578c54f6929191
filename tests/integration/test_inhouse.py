"""In-house runtimes that the descriptions which ship know nothing of: each is described by what the
reference offers, and must come out as the program's own account has it. And typical mistakes: what
the screen says leads to what was meant."""

import subprocess

import pytest

import csamples
from test_described import compare, counted, plain

PROGRAMS = csamples.ROOT / "tests" / "programs"
OUT = csamples.ROOT / "build" / "inhouse"
COMPILERS = {"odd": ["gcc"], "shelf": ["gcc"], "looms": ["gcc"], "fibers": ["g++", "-std=c++17"],
             "promises": ["g++", "-std=c++20"]}


@pytest.fixture(scope="module")
def crashes(tmp_path_factory):
    """A function that builds a program and lets it die, once."""
    done = {}

    def one(name):
        if name not in done:
            source = next((PROGRAMS / name).glob(f"{name}.c*"))
            folder = tmp_path_factory.mktemp(name)
            subprocess.run(
                ["gcc", "-g", "-O1", "-c", f"-I{csamples.ROOT}", "-o", folder / "account.o",
                 csamples.ROOT / "samples" / "c" / "account.c"], check=True)
            subprocess.run(
                [*COMPILERS[name], "-g", "-O1", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Werror",
                 f"-I{csamples.ROOT}", "-o", folder / name, source, folder / "account.o",
                 "-lpthread"], check=True)
            done[name] = csamples.die(folder / name, [], folder / "run")
            assert done[name].core, done[name].stderr
        return done[name]

    return one


def described(name):
    return PROGRAMS / name / f"{name}.yaml"


@pytest.mark.parametrize("name", COMPILERS)
def test_account(coreanalyze, crashes, name):
    crash = crashes(name)
    document = coreanalyze.json("tasks", crash.core, "--runtime-file", described(name))
    account = csamples.parse(crash.stdout)
    wrong = compare(document, account, name)
    assert not wrong, wrong[:10]
    assert counted(document, name)["counted"] == len(account) > 1000
    plain(document, name)


@pytest.mark.parametrize("name", COMPILERS)
def test_live(coreanalyze, crashes, name):
    with csamples.waiting(crashes(name).binary, []) as (process, text):
        document = coreanalyze.json("tasks", "-p", process.pid, "--runtime-file", described(name))
    wrong = compare(document, csamples.parse(text), name)
    assert not wrong, wrong[:10]


@pytest.mark.parametrize("name", COMPILERS)
def test_every_line_fits(coreanalyze, crashes, name):
    document = coreanalyze.json("describe", "--check", described(name), crashes(name).core)
    wrong = [x for x in document["lines"] if not x["ok"]]
    assert not wrong


def test_odd_deadlocks(coreanalyze, crashes):
    """300 circles of two: all of them, nothing else, each with its own circle as evidence."""
    crash = crashes("odd")
    document = coreanalyze.json("tasks", crash.core, "--runtime-file", described("odd"))
    account = csamples.parse(crash.stdout)
    leaked = {x["id"]: x for x in document["tasks"] if x["verdict"] == "leaked"}
    assert set(leaked) == {f"odd:{x['id']}" for x in account if x["reason"] == "lock"}
    one = sorted(leaked)[7]
    other = leaked[one]["waiting_for"]["owner"]
    assert leaked[other]["waiting_for"]["owner"] == one
    why = coreanalyze.json("explain", one, crash.core, "--runtime-file", described("odd"))
    assert why["proof"] == "deadlock"
    assert [x["task"] for x in why["evidence"]] == [one, other, other, one, None]


def test_what_never_ran_lacks_nothing(coreanalyze, crashes):
    """Runnable, and without frames: there is nothing of which they could be a part."""
    crash = crashes("looms")
    document = coreanalyze.json("tasks", crash.core, "--runtime-file", described("looms"))
    new = [x for x in document["tasks"] if x["state"] == "runnable"]
    assert len(new) == 20
    assert all(x["notes"] == [] for x in new)
    # Half of them have registers: they will begin at loom_main, which no call has led to.
    assert sorted([f["function"] for f in x["frames"]] for x in new) == \
        [[]] * 10 + [["loom_main"]] * 10
    assert {x["created"]["function"] for x in document["tasks"]} == {"thread", "main"}
    check = coreanalyze.json("describe", "--check", described("looms"), crash.core)
    assert "1610 of 1610 stacks read, 10 never ran" in {x["found"] for x in check["lines"]}


def test_odd_says_what_it_left_out(coreanalyze, crashes):
    done = coreanalyze.run("info", crashes("odd").core, "--runtime-file", described("odd"))
    text = done.stdout.decode()
    assert "2,401 as its own counter says, and 3 of the runtime itself" in text, text
    assert "left out     303 over" in text, text


def test_copied_stacks_hold_what_was_copied(coreanalyze, crashes):
    document = coreanalyze.json("tasks", crashes("shelf").core, "--runtime-file", described("shelf"))
    sizes = [int(x["stack"]["high"], 16) - int(x["stack"]["low"], 16)
             for x in document["tasks"] if x["state"] == "waiting"]
    assert len(sizes) == 1200 and max(sizes) < 8192
    deep = [x for x in document["tasks"] if x["reason"] == "letter"]
    # take(n) calls itself number % 7 times.
    assert {sum(f["function"] == "take" for f in x["frames"]) for x in deep} == set(range(1, 8))


def test_scan_by_a_mangled_pointer(coreanalyze, crashes, tmp_path):
    """No list: parked slots are where the hidden stack pointer lies in the stack."""
    text = described("shelf").read_text()
    start, end = text.index("  - {list"), text.index("current:")
    path = tmp_path / "shelf.yaml"
    path.write_text(text[:start] + """  - scan: slot
    where:
      - ".saved[0].__jmpbuf[6] demangled within &stack .. &stack + 65536"
      - .copy_size within 1 .. 65536
      - .work != 0
""" + text[end:])
    document = coreanalyze.json("tasks", crashes("shelf").core, "--runtime-file", path)
    account = csamples.parse(crashes("shelf").stdout)
    told = {f"shelf:{x['id']}" for x in account if x["state"] == "waiting"}
    assert {x["id"] for x in document["tasks"]} == told


def test_scan_for_what_holds_lists(coreanalyze, crashes, tmp_path):
    """The pools are found by scanning, the strands by their lists."""
    text = described("odd").read_text()
    start, end = text.index("  - array: odd_pools"), text.index("current:")
    path = tmp_path / "odd.yaml"
    path.write_text(text[:start] + """  - scan: odd_pool
    where: [.live.next->prev == &.live, .over.next->prev == &.over,
            .stack_bytes within 0x4000 .. 0x10001, .count within 1 .. 10000]
    each: [{ring: .live, item: . in odd_strand.ring}]
""" + text[end:])
    document = coreanalyze.json("tasks", crashes("odd").core, "--runtime-file", path)
    usual = coreanalyze.json("tasks", crashes("odd").core, "--runtime-file", described("odd"))
    assert [x["id"] for x in document["tasks"]] == [x["id"] for x in usual["tasks"]]
    assert len(document["tasks"]) == 2404


def test_a_thread_local_symbol_matches(coreanalyze, crashes, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(described("odd").read_text().replace("symbol: odd_switch", "symbol: odd_now"))
    document = coreanalyze.json("tasks", crashes("odd").core, "--runtime-file", path)
    assert len(document["tasks"]) == 2404


def test_same_ids(coreanalyze, crashes, tmp_path):
    """Ids that are not unique name nothing: addresses do."""
    text = described("odd").read_text().replace("  id: .id\n", "  id: .color\n")
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    document = coreanalyze.json("tasks", crashes("odd").core, "--runtime-file", path)
    assert len({x["id"] for x in document["tasks"]}) == 2404
    assert all(x["id"] == f"odd:{x['address']}" for x in document["tasks"])
    assert any("have an id that another has too" in x["why"] for x in document["gaps"])


# ---- mistakes ----------------------------------------------------------------------------------


def changed(tmp_path, right, wrong):
    """The odd runtime's description with a mistake in it, and the line where that is."""
    text = described("odd").read_text()
    assert right in text
    path = tmp_path / "odd.yaml"
    path.write_text(text.replace(right, wrong, 1))
    return path, text[:text.index(right)].count("\n") + 1


def refused(coreanalyze, crashes, tmp_path, right, wrong):
    """The line of the mistake, and what was said."""
    path, line = changed(tmp_path, right, wrong)
    done = coreanalyze.run("describe", "--check", path, crashes("odd").core)
    assert done.returncode == 2, done.stdout
    return line, done.stderr.decode()


MISTAKES = [
    # what is right, what is wrong, what the screen says of that line
    ("id: .id", "id: .ident", "it has run, argument, made, id, color"),
    ("id: .id", "id: id", 'did you mean ".id", the member of odd_strand?'),
    ("type: odd_strand", "type: odd_strnd", 'did you mean "odd_strand"?'),
    ("array: odd_pools", "array: odd_poolz", 'did you mean "odd_pools"?'),
    ("symbol: odd_switch", "symbol: odd_swtch", 'has the symbol "odd_swtch"'),
    ("item: . in odd_strand.ring}]\n  - array", "item: .}]\n  - array", 'say "item" or "as"'),
    ("at: .saved - 56", "at: .saved", "not in code: 0x"),
    ("low: .map + 4096, size: .pool->stack_bytes", "low: .map, size: 4096",
     "0 of 2401 saved stack pointers"),
    ("entry: .run", "entry: .argument", "leads to no code"),
    ("ring: .live", "list: .live.next", "go round without an end"),
    ("now: odd_clock_ms", "now: .wake_ms", "there is nothing at hand"),
    ('["odd_pools[0].count", "odd_pools[1].count", "odd_pools[2].count"]', '"odd_pools[0].count"',
     "its own counter says another number"),
]


@pytest.mark.parametrize("right,wrong,says", MISTAKES, ids=[x[1] for x in MISTAKES])
def test_mistakes_are_named(coreanalyze, crashes, tmp_path, right, wrong, says):
    path, line = changed(tmp_path, right, wrong)
    document = coreanalyze.json("describe", "--check", path, crashes("odd").core)
    lines = [x for x in document["lines"] if not x["ok"]]
    told = [x for x in lines if says in f"{x['why']}; {x['found']}"]
    assert told, lines
    assert line in {x["line"] for x in told}, told


REFUSED = [
    ("count: [", "count: [odd_pools[0].count, ", "needs quotes"),
    ("array: odd_pools", "array: &odd_pools", 'needs quotes: "&odd_pools"'),
    ("array: odd_pools", "arrays: odd_pools", "one, ring, cycle, list, tree, array"),
    ("when: .flags & 1,", "when: .flags = 1,", 'is written "=="'),
    ("when: .flags & 1,", "when: .flags & 1 || .flags & 2,", "write two rules"),
    ("low: .map + 4096", "low: .map + .page", "only constants can be added"),
    ("state: runnable", "state: ready", "is none of running, runnable, waiting"),
    ("created-file: .made.file", "created_file: .made.file", "created-file, created-line"),
]


@pytest.mark.parametrize("right,wrong,says", REFUSED, ids=[x[1] for x in REFUSED])
def test_what_cannot_be_read_is_explained(coreanalyze, crashes, tmp_path, right, wrong, says):
    _, said = refused(coreanalyze, crashes, tmp_path, right, wrong)
    assert says in said, said


RULES = "rules:\n"
#: What would never be looked at, in place of the first text, and what is said of it.
MISPLACED = [
    (RULES, "waits: [{ring: odd_pools[0].live, rules: [{frame: x}], task: .}]\nrules:\n", "frame"),
    (RULES, "rules:\n  - {any-of: {one: ., rules: [{frame: 'odd_*'}]}}\n", "frame"),
    (RULES, "rules:\n  - {cases: {one: ., rules: [{frame: 'odd_*'}]}}\n", "frame"),
    (RULES, "rules:\n  - {cases: {one: ., rules: [{fd: .id}]}}\n", "fd"),
    (RULES, "rules:\n  - {any-of: {one: ., state: runnable}}\n", "state"),
    (RULES, "rules:\n  - {any-of: {one: ., task: .}}\n", "task"),
    (RULES, "rules:\n  - {object-ring: {ring: .queue, item: . in odd_strand.queue}}\n", "head"),
    (RULES, "waits: [{ring: odd_pools[0].live, wait: io}]\nrules:\n", "task"),
    ("each: [{ring: .live,", "each: [{ring: .live, rules: [{wait: io}],", "rules"),
    ("each: [{ring: .live,", "each: [{ring: .live, count: 3,", "count"),
    ("each: [{ring: .live,", "each: [{ring: .live, left: .next,", "left"),
    ("each: [{ring: .over,", "state: dead\n    each: [{ring: .over,", "state"),
]


@pytest.mark.parametrize("right,wrong,key", MISPLACED, ids=[x[1] for x in MISPLACED])
def test_what_would_never_hold_is_refused(coreanalyze, crashes, tmp_path, right, wrong, key):
    wrong = wrong.replace("odd_pools[0].live", '"odd_pools[0].live"')
    at, said = refused(coreanalyze, crashes, tmp_path, right, wrong)
    assert f'"{key}"' in said, said
    assert any(f"line {n}: " in said for n in (at - 1, at, at + 1)), said
