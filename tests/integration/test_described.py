"""Described runtimes against the samples' own accounts: none missing, none extra, and of each task
its entry, state, reason, what it waits for, site, creator, creation and name."""

import os
import subprocess
from collections import Counter

import csamples
import libst
import pytest

SYSTEM = "system"
#: Where Boost.Fiber's own queue lies inside the mutex, condition or channel that it belongs to.
INSIDE = 0x40


@pytest.fixture(scope="module", autouse=True)
def built():
    csamples.make()


def ids(value):
    return getattr(value, "name", str(value))


def task_id(runtime, account):
    return f"{runtime}:{account['id']}"


def first_site(task):
    """The first frame of the user's, without namespaces and parameters."""
    for frame in task["frames"]:
        name = (frame["function"] or "").split("::")[-1]
        yield name


def waited_for(task):
    wait = task["waiting_for"]
    if not wait:
        return None
    if wait["kind"] == "io" and wait.get("fd") is not None:
        return f"fd:{wait['fd']}"
    return wait["address"]


def same_object(told, task, near):
    found = waited_for(task)
    if told is None:
        return True  # the sample does not say; a sleep has none
    if told.startswith("fd:"):
        return found == told
    if found is None:
        return False
    return 0 <= int(found, 16) - int(told, 16) <= near


def compare(document, account, runtime, symbols=True, near=0, words=True, describes_io=True):
    """All differences, as text."""
    wrong = []
    listed = [x for x in document["tasks"] if x["runtime"] == runtime and x["verdict"] != SYSTEM]
    tasks = {task["id"]: task for task in listed}
    told = {task_id(runtime, entry): entry for entry in account}
    if len(tasks) != len(listed):
        wrong.append("an id comes twice")
    wrong += [f"{x}: missing" for x in told if x not in tasks]
    wrong += [f"{x}: extra" for x in tasks if x not in told]
    for one in set(told) & set(tasks):
        entry, task = told[one], tasks[one]
        got = {"state": task["state"]}
        want = {"state": entry["state"]}
        if words:
            got["reason"], want["reason"] = task["reason"], entry["reason"]
        if runtime != "boost-fiber" or words:
            if entry["name"]:
                got["name"], want["name"] = task["name"], entry["name"]
        if entry["creator"] and entry["creator"] != "0":
            got["creator"] = (task["created"] or {}).get("by")
            want["creator"] = f"{runtime}:{entry['creator']}"
        if entry["created"]:
            created = task["created"] or {}
            got["created"] = f"{created.get('file')}:{created.get('line')}"
            want["created"] = entry["created"]
        if symbols:
            names = list(first_site(task))
            if entry["site"]:
                got["site"], want["site"] = entry["site"] in names, True
            if entry["entry"] != "main" and task["entry"]:
                got["entry"], want["entry"] = task["entry"]["function"], entry["entry"]
        if entry["site"] and not task["frames"]:
            wrong.append(f"{one}: no frames: {task['notes']}")
        if got != want:
            wrong.append(f"{one}: {got} for {want}")
        check = words and (describes_io or not (entry["object"] or "").startswith("fd:"))
        if check and entry["state"] == "waiting" and not same_object(entry["object"], task, near):
            if not (runtime == "boost-fiber" and entry["entry"] == "answer"):
                wrong.append(f"{one}: waits for {waited_for(task)}, in truth {entry['object']}")
    return wrong


def counted(document, runtime):
    return next(x for x in document["runtimes"] if x["name"] == runtime)


def analyse(coreanalyze, sample, arguments, tmp_path, stripped=False, env=None):
    crash = csamples.die(sample.binary(stripped), arguments, tmp_path / "run", env)
    assert crash.core, crash.stderr
    document = coreanalyze.json("tasks", crash.core, "--exe", sample.binary(stripped))
    return document, csamples.parse(crash.stdout)


def plain(document, what):
    assert not document["gaps"], (what, document["gaps"][:5])


C_SAMPLES = [x for x in csamples.samples("c") if "leak" in x.account]


@pytest.mark.parametrize("stripped", [False, True], ids=["debug", "stripped"])
@pytest.mark.parametrize("sample", C_SAMPLES, ids=ids)
def test_own_runtime(coreanalyze, sample, stripped, tmp_path):
    document, account = analyse(coreanalyze, sample, ["leak"], tmp_path, stripped)
    wrong = compare(document, account, "coro", symbols=not stripped)
    assert not wrong, wrong[:10]
    runtime = counted(document, "coro")
    assert runtime["layout"] == ("description" if stripped else "dwarf")
    if not stripped:
        assert runtime["counted"] == runtime["tasks"] == len(account)
        plain(document, sample.name)


@pytest.mark.parametrize("sample", C_SAMPLES[:3], ids=ids)
def test_own_runtime_repaired(coreanalyze, sample, tmp_path):
    document, account = analyse(coreanalyze, sample, ["repaired"], tmp_path)
    assert not compare(document, account, "coro")


def test_many(coreanalyze, tmp_path):
    sample = next(x for x in csamples.samples("c") if x.name == "c/many")
    document, account = analyse(coreanalyze, sample, [10000], tmp_path)
    wrong = compare(document, account, "coro")
    assert not wrong, wrong[:10]
    assert len(account) == 10001


def need(kind):
    if not csamples.available(kind):
        pytest.skip(f"the library of samples/{kind} is not installed")
    return csamples.samples(kind)[0]


def library(flavour):
    if flavour == "debian":
        return {}
    try:
        return {"LD_LIBRARY_PATH": str(getattr(libst, flavour)())}
    except libst.Missing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.parametrize("stripped", [False, True], ids=["debug", "stripped"])
@pytest.mark.parametrize("flavour", ["debian", "optimised", "debugging"])
def test_state_threads(coreanalyze, flavour, stripped, tmp_path):
    sample = need("state-threads")
    env = library(flavour)
    document, account = analyse(coreanalyze, sample, ["leak", 1000], tmp_path, stripped, env)
    wrong = compare(document, account, "state-threads", symbols=not stripped)
    assert not wrong, wrong[:10]
    runtime = counted(document, "state-threads")
    assert runtime["layout"] == ("description" if flavour == "debian" else "dwarf")
    assert runtime["counted"] == len(account)


def test_state_threads_owner(coreanalyze, tmp_path):
    sample = need("state-threads")
    document, account = analyse(coreanalyze, sample, ["leak", 100], tmp_path)
    holder = next(task_id("state-threads", x) for x in account if x["entry"] == "compact")
    owners = {x["waiting_for"]["owner"] for x in document["tasks"] if x["reason"] == "lock wait"}
    assert owners == {holder}


def test_pth(coreanalyze, tmp_path):
    sample = need("pth")
    for stripped in (False, True):
        folder = tmp_path / str(stripped)
        document, account = analyse(coreanalyze, sample, ["leak", 1000], folder, stripped)
        wrong = compare(document, account, "pth", symbols=not stripped)
        assert not wrong, wrong[:10]
        assert counted(document, "pth")["counted"] == len(account)


def test_pth_with_debug_information(coreanalyze, tmp_path):
    sample = need("pth")
    document, account = analyse(coreanalyze, sample, ["leak", 1000], tmp_path, env=library("pth"))
    wrong = compare(document, account, "pth")
    assert not wrong, wrong[:10]
    assert counted(document, "pth")["layout"] == "dwarf"
    assert counted(document, "pth")["tasks"] == counted(document, "pth")["counted"] == len(account)
    plain(document, "pth")


def test_boost_fiber(coreanalyze, tmp_path):
    sample = need("boost-fiber")
    for stripped in (False, True):
        folder = tmp_path / str(stripped)
        document, account = analyse(coreanalyze, sample, ["leak", 1000], folder, stripped)
        wrong = compare(document, account, "boost-fiber", symbols=not stripped, near=INSIDE,
                        words=not stripped)
        assert not wrong, wrong[:10]


ROOT = "boost::fibers::context_initializer::active_"


def channels(document, text):
    """What the program says of each fiber's channel, and what is told, by the fiber's address."""
    want, got = {}, {}
    for line in text.splitlines():
        if line == "ready":
            break
        fiber, channel, capacity, closed, reason = line.split("\t")
        known = channel != "(nil)"
        want[fiber] = (reason, channel if known else None, int(capacity) if known else None,
                       closed == "1" if known else None)
    for task in document["tasks"]:
        wait = task["waiting_for"] or {}
        if wait.get("kind") == "channel":
            got[task["address"]] = (task["reason"], wait["address"], wait["capacity"],
                                    wait["closed"])
    return want, got


@pytest.mark.parametrize("known_from", ["layout", "dwarf"])
def test_boost_fiber_channels(coreanalyze, tmp_path, known_from):
    """Capacity, closed and direction of channels of several types, in a program with debug
    information: by the layout for Debian's stripped library; and, since compilers describe the class
    of a fiber only in the library unless told to, all by the paths, without the layout."""
    need("boost-fiber")
    program, options, flags = tmp_path / "fiberchannels", [], []
    source = csamples.ROOT / "tests" / "programs" / "fiberchannels" / "fiberchannels.cpp"
    if known_from == "dwarf":
        flags = ["-femit-class-debug-always"]
        shipped = (csamples.ROOT / "coreanalyze/runtimes/descriptions/boost-fiber.yaml").read_text()
        text = shipped[:shipped.index("\nlayouts:") + 1].replace(ROOT, "some_fiber")
        assert ROOT in shipped and "soname: libboost_fiber.so.1.74.0" in text
        (tmp_path / "own.yaml").write_text(
            text.replace("soname: libboost_fiber.so.1.74.0", "symbol: some_fiber"))
        options = ["--runtime-file", tmp_path / "own.yaml"]
    subprocess.run(["g++", "-g", "-O1", "-std=gnu++17", "-Wall", "-Wextra", "-Werror", *flags,
                    "-o", program, source, "-lboost_fiber", "-lboost_context", "-lpthread"],
                   check=True)
    died = csamples.die(program, [], tmp_path / "run")
    document = coreanalyze.json("tasks", died.core, *options)
    want, got = channels(document, died.stdout)
    assert len(want) == 125
    assert got == want
    runtimes = {x["layout"]: x["tasks"] for x in document["runtimes"] if x["name"] == "boost-fiber"}
    assert runtimes == {"dwarf" if known_from == "dwarf" else "description": 126}
    with csamples.waiting(program, ["wait"]) as (process, text):
        document = coreanalyze.json("tasks", "-p", process.pid, *options)
    want, got = channels(document, text)
    assert got == want


def test_boost_fiber_in_threads(coreanalyze, tmp_path):
    """Four threads, a scheduler in each: roots that are thread-local, in a library, in a core."""
    need("boost-fiber")
    program = tmp_path / "fiberthreads"
    source = csamples.ROOT / "tests" / "programs" / "fiberthreads" / "fiberthreads.cpp"
    subprocess.run(["g++", "-g", "-O1", "-std=gnu++17", "-Wall", "-Wextra", "-o", program, source,
                    "-lboost_fiber", "-lboost_context", "-lpthread"], check=True)
    died = csamples.die(program, [100], tmp_path / "run")
    document = coreanalyze.json("tasks", died.core)
    reasons = Counter(x["reason"] for x in document["tasks"])
    assert reasons == {"cond wait": 400, "sleep": 400, None: 4}
    running = [x for x in document["tasks"] if x["state"] == "running"]
    assert len({x["thread"] for x in running}) == 4
    conditions = Counter(x["waiting_for"]["address"] for x in document["tasks"]
                         if x["reason"] == "cond wait")
    assert sorted(conditions.values()) == [100] * 4
    assert all(x["frames"] for x in document["tasks"])
    plain(document, "fiberthreads")


@pytest.mark.parametrize("kind,runtime,number", [
    ("c", "coro", None), ("state-threads", "state-threads", 100), ("pth", "pth", 100),
    ("boost-fiber", "boost-fiber", 100),
])
def test_live(coreanalyze, kind, runtime, number):
    if kind != "c":
        sample = need(kind)
    else:
        sample = next(x for x in C_SAMPLES if x.name == "c/deadlock")
    arguments = ["leak"] + ([number] if number else [])
    with csamples.waiting(sample.binary(), arguments) as (process, text):
        document = coreanalyze.json("tasks", "-p", process.pid)
    near = INSIDE if runtime == "boost-fiber" else 0
    wrong = compare(document, csamples.parse(text), runtime, near=near)
    assert not wrong, wrong[:10]


def test_deadlock_owners(coreanalyze, tmp_path):
    sample = next(x for x in C_SAMPLES if x.name == "c/deadlock")
    document, _ = analyse(coreanalyze, sample, ["leak"], tmp_path)
    waits = {x["id"]: x["waiting_for"]["owner"] for x in document["tasks"]
             if x["reason"] == "mutex lock"}
    assert len(waits) == 1200
    assert all(waits[owner] == one for one, owner in waits.items())


# ---- describe --check ------------------------------------------------------------------------

GOOD = """name: mine
match: {symbol: co_all}
task: {type: co_task, id: .id, name: .name, entry: .entry}
tasks:
  - {list: co_all.first, next: .all_next}
context: {amd64: {at: .sp, pushed: [r15, r14, r13, r12, rbx, rbp, pc]}}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    sample = next(x for x in C_SAMPLES if x.name == "c/deadlock")
    crash = csamples.die(sample.binary(), ["leak"], tmp_path_factory.mktemp("small") / "run")
    assert crash.core
    return crash


def check(coreanalyze, small, tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return coreanalyze.json("describe", "--check", path, small.core)


def test_check_says_what_fits(coreanalyze, small, tmp_path):
    document = check(coreanalyze, small, tmp_path, GOOD)
    assert all(x["ok"] for x in document["lines"]), document["lines"]
    found = [x for x in document["lines"] if x["line"] == 5 and x["key"] == "list"]
    assert any("1201" in x["found"] for x in found), found


@pytest.mark.parametrize("change,line,why", [
    (("id: .id", "id: .idd"), 3, 'no member "idd"'),
    (("co_all.first", "co_nothing.first"), 5, "co_nothing"),
    (("type: co_task", "type: co_tusk"), 3, "co_tusk"),
    (("symbol: co_all", "symbol: co_none"), 2, "co_none"),
    (("next: .all_next", "next: .magic"), 5, "broke"),
])
def test_check_says_what_does_not(coreanalyze, small, tmp_path, change, line, why):
    document = check(coreanalyze, small, tmp_path, GOOD.replace(*change))
    wrong = [x for x in document["lines"] if not x["ok"]]
    assert any(x["line"] == line and why in (x["why"] or "") for x in wrong), wrong


@pytest.mark.parametrize("text,why", [
    ("name: mine\n? [a]: b\n", "line 2"),
    (GOOD.replace("name: mine", "name: &x mine"), "anchors"),
    (GOOD.replace("name: mine", "name: !!str mine"), "tags"),
    (GOOD + "more: 1\n", '"more" is not a key'),
    (GOOD.replace("list: co_all.first", "list: co_all..first"), "line 5"),
    (GOOD.replace("list: co_all.first, next: .all_next", "scan: co_task, where: .id == 1"),
     "two tests"),
    ("[" * 40, "nested deeper"),
    (GOOD + "name: again\n", "twice"),
])
def test_what_is_no_description_is_refused(coreanalyze, small, tmp_path, text, why):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    done = coreanalyze.run("describe", "--check", path, small.core)
    assert done.returncode == 2
    assert why in done.stderr.decode(), done.stderr


def test_runtime_file_is_used(coreanalyze, small, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    document = coreanalyze.json("tasks", small.core, "--runtime-file", path)
    assert {x["name"] for x in document["runtimes"]} == {"mine", "coro"}
    assert sum(x["runtime"] == "mine" for x in document["tasks"]) == 1201


def test_an_embedded_text_needs_no_files(coreanalyze, small, tmp_path):
    """The core alone, on a machine that has never seen the program."""
    program = tmp_path / "somewhere"
    program.mkdir()
    sample = next(x for x in C_SAMPLES if x.name == "c/deadlock")
    binary = program / "deadlock"
    binary.write_bytes(sample.binary(True).read_bytes())
    binary.chmod(0o755)
    crash = csamples.die(binary, ["leak"], tmp_path / "run")
    binary.unlink()
    document = coreanalyze.json("tasks", crash.core)
    account = csamples.parse(crash.stdout)
    listed = [x for x in document["tasks"] if x["runtime"] == "coro"]
    assert {x["id"] for x in listed} == {f"coro:{x['id']}" for x in account}
