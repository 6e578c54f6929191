"""The proof beside Go's own collector, at the same instant: its mark bits object by object, the
goroutines that its own leak detector (1.26 and newer) finds, and for older versions what Go's test
of that detector expects of the same programs."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import build
import instant
import toolchains

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "build" / "detector"
ORACLE = Path(os.environ.get("CA_BINARY") or ROOT / "build" / "coreanalyze").parent / "oracle"
SUITE = "src/runtime/testdata/testgoroutineleakprofile"
EVERYDAY = {
    "ChanSend", "Select", "Cond", "Mixed", "NoLeakGlobal", "DaisyChain", "MutexHeap", "Timeout",
    "EarlyReturn", "Cockroach9935", "Etcd7902", "Grpc1460", "Hugo3251", "Istio16224",
    "Kubernetes6632", "Moby21233",
}
# How a program is run: the suite's own way, and less orderly ones. Go's detector chooses its
# candidates with the world stopped, but marks while the program runs on: who held a channel at that
# instant may have ended before it is marked, and then Go calls leaked who was not (Kubernetes70277:
# its pollers end after 80 ms). So that both look at one instant, the world stays stopped.
WAYS = [("1", "asyncpreemptoff=1"), ("1", ""), ("2", "asyncpreemptoff=1"), ("2", "")]
STOPPED = ",gcstoptheworld=1"

pytestmark = pytest.mark.skipif(not instant.HERE, reason="needs ptrace on amd64")


def toolchain_of(name):
    return toolchains.need(name)


def compiled(toolchain, name, *what, **env):
    """WHAT (a package, or the files of one) built with the toolchain, once."""
    KEPT.mkdir(parents=True, exist_ok=True)
    binary = KEPT / f"{toolchain}-{name}"
    if not binary.exists():
        subprocess.run(
            [str(toolchain.go), "build", "-o", str(binary), *map(str, what)], cwd=KEPT, check=True,
            env=dict(toolchain.environment(), CGO_ENABLED="0", GO111MODULE="off", **env),
        )
    return binary


def oracle(mode, program):
    done = subprocess.run([str(ORACLE / "oracle_go"), mode, "-p", str(program.pid)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Started:
    """A program in a folder of its own, killed in the end."""

    def __init__(self, folder, binary, *arguments, **env):
        self.folder = folder
        folder.mkdir()
        self.program = instant.Instant(
            [str(binary), *map(str, arguments)], folder, folder / "out", folder / "err",
            dict(os.environ, **env))

    def __enter__(self):
        return self.program

    def __exit__(self, *_):
        self.program.kill()

    def out(self):
        return (self.folder / "out").read_text(errors="replace")


# ---- marks -------------------------------------------------------------------------------------


def check_marks(record, where, program, stops):
    """At the end of marking (gcSweep is called in the same stop-the-world) Go's bits are ours.
    The blocks that the allocator is filling are Go's roots and not ours."""
    tally = Counter()
    for _ in range(stops):
        if not program.run_to(where):
            break
        found = oracle("marks", program)
        assert found["ours"] == 0, found
        tally.update({key: found[key] for key in ("both", "theirs", "guessed", "tiny")})
        tally["stops"] += 1
    assert tally["stops"]
    return tally


def test_marks(record, toolchain, tmp_path, full):
    """A program that allocates all the time, and collects with the world stopped, so that what is
    marked is what can be reached, in both directions."""
    if toolchain.root is None:
        pytest.skip("no sources")
    binary = compiled(toolchain, "gofmt", "cmd/gofmt")
    work = Path(toolchain.root) / "src" / "runtime"
    with Started(tmp_path / "gofmt", binary, "-l", work, GODEBUG="gcstoptheworld=1",
                 GOGC="50") as program:
        tally = check_marks(record, instant.places(binary, r"runtime\.gcSweep"), program,
                            40 if full else 6)
    # The runtime's goroutines run on while it marks: one that sleeps adds itself to a processor's list
    # of timers (until 1.22), and the array that this had before stays marked: 5 of 3,500 stops.
    assert tally["theirs"] <= 1 + tally["stops"] // 10 and tally["both"] > 1000
    # Words that only look like pointers, on running threads and in interrupted frames.
    assert tally["guessed"] <= tally["both"] // 1000
    record.lines.append(
        f"marks {toolchain}: {tally['both']} objects in {tally['stops']} collections as Go has "
        f"them, {tally['tiny']} half-filled blocks only Go's, {tally['guessed']} guesses only ours")


def test_marks_of_shapes(record, toolchain, tmp_path, full):
    """Every kind of wait, state and frame."""
    binary = build.build(toolchain, "shapes")
    for number in range(10 if full else 2):
        with Started(tmp_path / str(number), binary, SAMPLE_DIE="wait",
                     GODEBUG="gcstoptheworld=1") as program:
            tally = check_marks(record, instant.places(binary, r"runtime\.gcSweep"), program, 1)
        # The runtime's own goroutines run on while it marks: what they drop then stays marked.
        assert tally["theirs"] <= 4 and tally["both"] > 100
        assert tally["guessed"] <= 4


def with_c(toolchain, folder):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not here")
    binary = folder / "gomarks"
    subprocess.run([str(toolchain.go), "build", "-o", str(binary), "."], check=True,
                   cwd=ROOT / "tests" / "programs" / "gomarks",
                   env=dict(toolchain.environment(), CGO_ENABLED="1"))
    return binary


def test_c_holds(coreanalyze, toolchain, tmp_path):
    """What C knows is not lost."""
    binary = with_c(toolchain, tmp_path)
    process = subprocess.Popen([str(binary), "hold"], stdout=subprocess.PIPE,
                               env=dict(os.environ, GODEBUG="cgocheck=0"))
    try:
        process.stdout.readline()
        document = coreanalyze.json("tasks", "-p", process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    found = {frame["function"].removeprefix("main."): task["verdict"]
             for task in document["tasks"] for frame in task["frames"]
             if frame["function"] in ("main.inMemory", "main.onStack", "main.lost")}
    assert found == {"inMemory": "waiting", "onStack": "waiting", "lost": "leaked"}


def test_marks_with_c(record, toolchain, tmp_path, full):
    """Memory of C is read word by word: but not what of it the runtime made for itself."""
    binary = with_c(toolchain, tmp_path)
    with Started(tmp_path / "run", binary, GODEBUG="gcstoptheworld=1") as program:
        tally = check_marks(record, instant.places(binary, r"runtime\.gcSweep"), program,
                            20 if full else 4)
    assert tally["theirs"] <= 1 + tally["stops"] // 10  # lists of timers, as in test_marks
    assert tally["guessed"] <= tally["both"] // 1000
    record.lines.append(f"marks {toolchain} with C: {tally['both']} objects in {tally['stops']} "
                        f"collections, {tally['guessed']} guesses only ours")


# ---- in the runtime's hands --------------------------------------------------------------------

HANDS = {
    "newborn": r"runtime\.(isSystemGoroutine|casgstatus)",
    "timer": r"runtime\.(isSystemGoroutine|casgstatus)|time\.goFunc",
    "finalizer": r"runtime\.(addspecial|freeSpecial|queuefinalizer)",
    "cleanup": r"runtime\.(addspecial|freeSpecial|\(\*cleanupQueue\)\.enqueue)",
    "copying": r"runtime\.duffcopy",
    "reflecting": r"reflect\.callReflect|runtime\.(mallocgc|memclrNoHeapPointers)",
}
SINCE = {"cleanup": 24}
UNTIL = {"copying": 25}


def ends(binary, name):
    """The addresses of the last instruction, which returns, of functions whose names match."""
    nm = subprocess.run(["nm", "-S", str(binary)], capture_output=True, text=True,
                        check=True).stdout
    return [int(words[0], 16) + int(words[1], 16) - 1
            for words in (line.split(None, 3) for line in nm.splitlines())
            if len(words) == 4 and re.fullmatch(name, words[3])]


def gohands(toolchain, folder):
    binary = folder / "gohands"
    subprocess.run([str(toolchain.go), "build", "-o", str(binary), "."], check=True,
                   cwd=ROOT / "tests" / "programs" / "gohands",
                   env=dict(toolchain.environment(), CGO_ENABLED="0"))
    return binary


@pytest.mark.parametrize("way", list(HANDS))
def test_in_hands(coreanalyze, toolchain, way, tmp_path, full):
    """Who waits is not lost while the only pointer to what it waits for passes through the runtime,
    or through code that the collector does not interrupt. These were missed: a finalizer between the
    sweeper's taking it and queueing it, the variables of a function in the middle of a copy, and
    arguments in registers on their way through reflect."""
    if not SINCE.get(way, 0) <= toolchain.minor <= UNTIL.get(way, 99):
        pytest.skip("there is none")
    binary = gohands(toolchain, tmp_path)
    where, stops = (ends if way == "copying" else instant.places)(binary, HANDS[way]), 0
    started = Started(tmp_path / "run", binary, way, GOMAXPROCS="1")
    with started as program:
        assert program.run_to(instant.places(binary, rf"main\.{way}"))
        number = started.out().split()[1]
        while stops < (40 if full else 12) and program.run_to(where):
            task = next((task for task in coreanalyze.json("tasks", "-p", program.pid)["tasks"]
                         if task["id"] == number), None)
            if task is None or task["verdict"] == "active":
                break
            stops += 1
            assert task["verdict"] == "waiting", f"stop {stops}"
    assert stops


def seconds(binary, name):
    """The addresses of the second instruction of functions whose names match."""
    result = []
    for start in instant.places(binary, name):
        text = subprocess.run(["objdump", "-d", f"--start-address={start}",
                               f"--stop-address={start + 32}", str(binary)],
                              capture_output=True, text=True, check=True).stdout
        result.append(int(re.findall(r"^ +([0-9a-f]+):", text, re.M)[1], 16))
    return result


# Where, and how often to pass by there between two looks.
BETWEEN = {
    "spans": (instant.places, r"runtime\.\(\*mheap\)\.setSpans", 1),
    "dirty": (seconds, r"runtime\.memclrNoHeapPointers", 3),
    "stale": (seconds, r"main\.spot", 7),
    "weak": (instant.places, r"runtime\.\(\*sweepLocked\)\.sweep", 7),
}


@pytest.mark.parametrize("way", list(BETWEEN))
def test_between(coreanalyze, toolchain, way, tmp_path, full):
    """What the runtime is about to write down is no damage: the limit of a new span (to 1.22), which
    pages it has, that nothing is in memory of which an object is being made, or to which only a
    number leads, that the object of a weak pointer is dead when its parts are freed already."""
    if way == "weak" and toolchain.minor < 24:
        pytest.skip("there is none")
    binary = gohands(toolchain, tmp_path)
    find, name, step = BETWEEN[way]
    where, looks = find(binary, name), 0
    with Started(tmp_path / "run", binary, way, GOMAXPROCS="1") as program:
        assert program.run_to(instant.places(binary, rf"main\.{way}"))
        while looks < (120 if full else 30) and all(program.run_to(where) for _ in range(step)):
            document = coreanalyze.json("tasks", "-p", program.pid)
            assert document["gaps"] == [], f"look {looks}"
            looks += 1
    assert looks > 10


# ---- Go's own detector -------------------------------------------------------------------------


def programs_of(source):
    text = "".join(path.read_text() for path in sorted(source.glob("*.go")))
    return re.findall(r'register\("(\w+)"', text)


def last_profile(text):
    """The ids that a program's last profile calls leaked."""
    leaked, seen = set(), set()
    printed = re.findall(r"^goroutine (\d+).*\[([^\]]*)\]:", text, re.M)
    for number, reason in reversed(printed):
        if number in seen:
            break
        seen.add(number)
        if "(leaked)" in reason:
            leaked.add(int(number))
    return leaked


def detected(binary, name, way, folder):
    """What the oracle says at the last detection of a program, and what that printed."""
    # The world stands still there, and nothing is hidden yet.
    inside = instant.places(binary, r"runtime\..*setSyncObjectsUntraceable\.func.*")
    outside = instant.places(binary, r"runtime\.gcMarkDone")
    ours = None
    started = Started(folder, binary, name, GOMAXPROCS=way[0], GODEBUG=way[1] + STOPPED)
    with started as program:
        while program.run_to(inside):
            ours = oracle("leaks", program)
            if not program.run_to(outside):
                break
    return ours, last_profile(started.out())


def numbered(newer):
    """The versions of versions.txt that have Go's own detector, or those that have not."""
    return [name for name in toolchains.wanted(True)
            if name[0].isdigit() and (int(name.split(".")[1]) >= 26) == newer]


@pytest.mark.parametrize("folder", ["", "goker"], ids=["suite", "goker"])
@pytest.mark.parametrize("version", numbered(True))
def test_same_instant(record, version, folder, tmp_path, full):
    if not full and version != numbered(True)[-1]:
        pytest.skip("only make check-full")
    toolchain = toolchain_of(version)
    source = Path(toolchain.root) / SUITE / folder
    env = {"GOEXPERIMENT": "goroutineleakprofile"} if toolchain.minor == 26 else {}
    binary = compiled(toolchain, f"suite{folder}", *sorted(source.glob("*.go")), **env)
    total, runs = Counter(), 0
    for name in programs_of(source):
        if not full and name not in EVERYDAY:
            continue
        for number, way in enumerate(WAYS if full else WAYS[:1]):
            here = tmp_path / f"{name}-{number}"
            ours, theirs = detected(binary, name, way, here)
            assert ours is not None, f"{name} never looked for leaks"
            assert ours["proved"], name
            leaked = set(ours["leaked"])
            missed, more = theirs - leaked, leaked - theirs
            assert not missed, f"{name} {way}: missed {sorted(missed)[:5]}"
            # What only we call leaked is kept in Go by roots that are no program's, and by nothing
            # else. Not the other way round: Go marks the allocator's blocks when its cycle begins,
            # and a block that came since keeps nothing in Go.
            unexplained = more - set(ours["any"])
            assert not unexplained, f"{name} {way}: only ours are {sorted(unexplained)[:5]}"
            total.update(theirs=len(theirs), more=len(more))
            for kind in ("tiny", "specials", "records"):
                total[kind] += len(ours[kind])
            runs += 1
            shutil.rmtree(here)
    record.lines.append(
        f"detector {toolchain} {folder or 'suite'}: {runs} runs, {total['theirs']} leaks, recall "
        f"100%, {total['more']} beyond (allocator's blocks {total['tiny']}, finalizers "
        f"{total['specials']}, heap defers {total['records']})")


# ---- before there was a detector ---------------------------------------------------------------


def expectations(root):
    """What Go's own test expects: {program: (strict, [regular expression])}."""
    text = (Path(root) / "src/runtime/goroutineleakprofile_test.go").read_text()
    result = {}
    for flaky, name, rest in re.findall(
            r'\tmake(Flaky)?Test\("(\w+)"(.*?)\n?\t*\),\n(?=\t)', text, re.S):
        result[name] = (not flaky, re.findall(r"`([^`]*)`", rest))
    return result


# Reasons had other words before: what they were called is among these.
OLDER = {
    "mutex": ["sync.Mutex.Lock"],
    "rwmutex": ["sync.RWMutex.Lock", "sync.RWMutex.RLock", "sync.Mutex.Lock"],
    "waitgroup": ["sync.WaitGroup.Wait"],
}


# What Go leaves out of its tracebacks: where goroutines begin, what a go statement is wrapped in.
LEFT_OUT = re.compile(r"runtime\.goexit|runtime\.main|.*(\.gowrap|·dwrap·)\d+")


def leak_lines(task, minor):
    """The goroutine as the test may write it: its outermost function and why it waits. To 1.21 a
    wrapper has an ordinary name: then the function inside is meant."""
    names = [frame["function"].removeprefix("main.") for frame in reversed(task["frames"])
             if not LEFT_OUT.fullmatch(frame["function"])]
    reasons = [task["reason"]]
    if task["reason"] == "semacquire" or task["reason"].startswith("sync."):
        reasons += OLDER.get(task["waiting_for"]["kind"], [])
    return [f"{name}(...) [{reason}]"
            for name in names[:2 if minor < 22 else 1] for reason in reasons]


@pytest.mark.parametrize("folder", ["", "goker"], ids=["suite", "goker"])
@pytest.mark.parametrize("version", numbered(False))
def test_before(coreanalyze, record, version, folder, tmp_path, full):
    """There is no profile: the program is looked at where it asks for one."""
    if not full and version != "1.22.12":
        pytest.skip("only make check-full")
    newest = toolchain_of(toolchains.wanted(True)[-1])
    toolchain = toolchain_of(version)
    source = Path(newest.root) / SUITE / folder
    binary = compiled(toolchain, f"old{folder}", *sorted(source.glob("*.go")))
    where = instant.places(binary, r"runtime/pprof\.\(\*Profile\)\.WriteTo")
    expected, runs, leaks = expectations(newest.root), 0, 0
    for name in programs_of(source):
        if name not in expected or (not full and name not in EVERYDAY):
            continue
        strict, patterns = expected[name]
        missing = set(patterns)
        for number in range(3):  # as often as the test does
            here = tmp_path / f"{name}-{number}"
            with Started(here, binary, name, GOMAXPROCS="1",
                         GODEBUG="asyncpreemptoff=1") as program:
                assert program.run_to(where), f"{name} ended"
                document = coreanalyze.json("tasks", "-p", program.pid)
            shutil.rmtree(here)
            runs += 1
            assert not document["gaps"], name
            for task in document["tasks"]:
                if task["verdict"] != "leaked":
                    continue
                lines = leak_lines(task, toolchain.minor)
                fits = {one for one in patterns if any(re.search(one, line) for line in lines)}
                assert fits, f"{name}: unexpected {lines}"
                missing -= fits
                leaks += 1
            if not missing and not full:
                break
        assert not strict or not missing, f"{name}: missing {sorted(missing)}"
    record.lines.append(f"detector {toolchain} {folder or 'suite'}: {runs} runs, {leaks} leaks, "
                        "each one expected, none that is certain missing")
