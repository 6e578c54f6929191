"""Cores that are real but for one lie, or large where none is: answers where the rest is whole, a
message else, and never long."""

import copy
import os
import random
import struct
import subprocess

import pytest

import build
import crash
import csamples
import elfcore
import strictjson
import toolchains

SLOW = os.environ.get("CA_SANITIZED", "") != ""
LIMIT = 25 if SLOW else 5


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return crash.of_own(tmp_path_factory.mktemp("odd") / "run", "all")


@pytest.fixture(scope="module")
def parts(sample):
    return elfcore.Core(sample.core)


@pytest.fixture
def core(parts):
    """A copy of the sample's core to change."""
    return copy.deepcopy(parts)


@pytest.fixture
def ask(coreanalyze, sample, tmp_path):
    """Writes a core and asks for its tasks: (status, document or None, what was said)."""
    def one(core, *more, exe=True, **options):
        path = tmp_path / "core"
        core.write(path, **options)
        words = ["tasks", path, *(["--exe", sample.binary] if exe else []), *more]
        try:
            done = coreanalyze.run(*words, "--format", "json", timeout=LIMIT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"more than {LIMIT} s")
        said = done.stderr.decode(errors="replace")
        assert done.returncode in (0, 1, 2), (done.returncode, said)
        assert done.returncode != 2 or said.strip() and not done.stdout
        return done.returncode, strictjson.loads(done.stdout) if done.stdout else None, said
    return one


@pytest.fixture(scope="module")
def truth(coreanalyze, sample):
    return coreanalyze.json("tasks", sample.core, "--exe", sample.binary)["tasks"]


@pytest.mark.parametrize("place, value, says", [
    (4, 1, "32-bit"), (5, 2, "big-endian"), (16, 1, "object file"), (16, 2, "executable"),
    (16, 3, "library"), (18, 3, "not supported"), (18, 243, "not supported"),
])
def test_other_machines(ask, core, place, value, says):
    header = bytearray(elfcore.HEADER.pack(*core.header))
    header[place] = value
    core.header = list(elfcore.HEADER.unpack(header))
    status, _, said = ask(core)
    assert status == 2 and says in said, said


@pytest.mark.parametrize("magic, says", [
    (b"MDMP", "minidump"), (b"\xcf\xfa\xed\xfe", "macOS"), (b"MZ", "Windows"),
    (b"\xfd7zXZ\0", "xz -d"), (b"\x04\x22\x4d\x18", "lz4 -d"), (b"\x28\xb5\x2f\xfd", "zstd -d"),
    (b"\x1f\x8b", "gzip -d"), (b"BZh9", "bzip2 -d"),
])
def test_other_formats(coreanalyze, tmp_path, magic, says):
    path = tmp_path / "core"
    path.write_bytes(magic + bytes(100))
    done = coreanalyze.run("leaks", path)
    assert done.returncode == 2 and says in done.stderr.decode(), done.stderr


def test_more_segments_than_a_short_counts(ask, core, truth):
    core.phdrs += [[elfcore.PT_LOAD, 4, 0, i << 32, 0, 0, 4096, 4096] for i in range(1, 70001)]
    status, document, said = ask(core, xnum=True)
    assert status == 0, said
    assert document["tasks"] == truth


def test_segments_overlap(ask, core, truth):
    """Those that start later, and shorter ones at the same place, are not believed."""
    loads = [p for p in core.phdrs if p[0] == elfcore.PT_LOAD and p[5] > 8192]
    garbage = core.append(random.Random(1).randbytes(4096))
    core.phdrs += [[elfcore.PT_LOAD, 4, garbage, p[3] + 4096, 0, 4096, 4096, 4096] for p in loads]
    status, document, said = ask(core)
    assert status == 0, said
    assert document["tasks"] == truth
    for phdr in core.phdrs:
        phdr[3] = 0xC000000000
    ask(core)


def test_functions_lie_elsewhere(ask, core, sample, truth):
    """A table of functions that is said to begin a little later: each frame has another one's map."""
    nm = subprocess.run(["nm", sample.binary], capture_output=True, text=True, check=True).stdout
    places = {words[2]: int(words[0], 16) for words in map(str.split, nm.splitlines())
              if len(words) == 3}
    module, text = places["runtime.firstmoduledata"], places["runtime.text"]
    at = next(p[2] + module - p[3] for p in core.phdrs
              if p[0] == elfcore.PT_LOAD and p[3] <= module < p[3] + p[5])
    word = struct.pack("<Q", text)  # minpc is that, too, and comes first
    first = bytes(core.data[at:at + 512]).index(word)
    at += bytes(core.data[at:at + 512]).index(word, first + 8)
    core.data[at:at + 8] = struct.pack("<Q", text + 128)
    status, document, said = ask(core)
    assert status == 0, said
    assert "functions" in [gap["what"] for gap in document["gaps"]]
    leaked = [{task["id"] for task in tasks if task["verdict"] == "leaked"}
              for tasks in (document["tasks"], truth)]
    assert leaked[0] < leaked[1]  # who waits for nothing at all needs no proof


@pytest.mark.parametrize("field", range(1, 8))
@pytest.mark.parametrize("value", [0, 1, 1 << 31, 1 << 63, (1 << 64) - 1, (1 << 64) - 4096])
def test_huge_sizes(ask, core, field, value):
    for phdr in core.phdrs:
        phdr[field] = value if field > 1 else value & 0xFFFFFFFF
    ask(core)


def test_one_segment_lies(ask, core):
    """Each segment in turn claims the whole address space; the rest is still there."""
    loads = [i for i, p in enumerate(core.phdrs) if p[0] == elfcore.PT_LOAD]
    for i in random.Random(2).sample(loads, min(len(loads), 10)):
        lie = copy.deepcopy(core)
        lie.phdrs[i][5] = lie.phdrs[i][6] = (1 << 64) - 1 - lie.phdrs[i][3]
        ask(lie)


def test_a_flood_of_notes(ask, core):
    """A hundred thousand headers that all name the same notes."""
    note = next(p for p in core.phdrs if p[0] == elfcore.PT_NOTE)
    core.phdrs += [list(note) for _ in range(100000)]
    status, document, said = ask(core, xnum=True)
    assert status == 0 and any("overlap" in gap["why"] for gap in document["gaps"]), said


@pytest.mark.parametrize("lie", ["name", "size", "short", "threads", "none", "auxv", "types"])
def test_notes_lie(ask, core, lie):
    notes = list(core.notes())
    if lie == "none":
        notes = []
    elif lie == "threads":
        one = next(n for n in notes if n[1] == 1)
        notes += [one] * 20000
    elif lie == "auxv":
        notes = [(n, k, random.Random(k).randbytes(len(c)) if k == 6 else c) for n, k, c in notes]
    elif lie == "types":
        notes = [(n, 1, c) for n, k, c in notes]
    elif lie == "short":
        notes = [(n, k, c[:20]) for n, k, c in notes]
    core.set_notes(notes)
    if lie in ("name", "size"):
        at = next(p for p in core.phdrs if p[0] == elfcore.PT_NOTE)[2]
        struct.pack_into("<I", core.data, at + (4 if lie == "size" else 0), 0xFFFFFFF0)
    ask(core)


def change_files(core, change):
    notes = []
    for name, kind, content in core.notes():
        if kind == elfcore.NT_FILE:
            content = elfcore.make_files(*change(*elfcore.parse_files(content)))
        notes.append((name, kind, content))
    core.set_notes(notes)


def test_named_files_that_are_none(ask, core, tmp_path):
    """A core names its executable: a FIFO, a device or a directory of that name is not opened, and
    what the name holds does not reach a terminal raw."""
    fifo = tmp_path / "a\nb\x1b[31m\xff"
    os.mkfifo(fifo)
    for path in (os.fsencode(fifo), b"/dev/zero", b"/dev/tty", b"/proc/kmsg", b"/", b"", b"relative",
                 b"\n\x1b[2J", b"/" + b"x" * 5000, b"/proc/self/mem", b"/dev/fd/0"):
        changed = copy.deepcopy(core)
        change_files(changed, lambda page, files, path=path: (
            page, [[*file[:3], path] for file in files]))
        status, document, said = ask(changed, exe=False)
        assert "\x1b" not in said and "\n\n" not in said, said
        if document:
            # Without a name the kernel still tells by which it was started.
            assert document["gaps"] or path[:1] != b"/", path
        else:
            assert status == 2 and said.count("\n") <= 3, said


def test_files_lie(ask, core, sample):
    """Lists that overlap, that overflow, and sixty thousand entries that all name one program."""
    exe = os.fsencode(sample.binary)
    lies = [
        lambda page, files: (1 << 63, files),
        lambda page, files: (page, [[0, (1 << 64) - 1, 0, exe]] + files),
        lambda page, files: (page, [[f[1], f[0], f[2], f[3]] for f in files]),
        lambda page, files: (page, files * 50),
        lambda page, files: (page, [[i << 20, (i << 20) + 4096, 0, exe] for i in range(1, 60000)]),
        lambda page, files: (page, [[i << 20, (i << 20) + 4096, 0, b"/lib/%d" % i]
                                    for i in range(1, 60000)]),
    ]
    for lie in lies:
        changed = copy.deepcopy(core)
        change_files(changed, lie)
        ask(changed)
        ask(changed, exe=False)
    change_files(core, lambda page, files: (page, files))
    at = next(p for p in core.phdrs if p[0] == elfcore.PT_NOTE)[2]
    data = bytes(core.data[at:]).index(struct.pack("<I", elfcore.NT_FILE)) + at + 12
    struct.pack_into("<Q", core.data, data, (1 << 64) - 1)
    ask(core)
    ask(core, exe=False)


def test_holes_of_a_sparse_core_are_not_read(coreanalyze, tmp_path):
    """64 GB that the program could write to and never touched, in a program with C code, all of
    whose memory may hold pointers."""
    chain = toolchains.need("own")
    binary = build.build(chain, "cgo")
    result = crash.run(binary, (), tmp_path / "run")
    core, path = elfcore.Core(result.core), tmp_path / "core"
    core.data += bytes(-len(core.data) % 4096)
    at, size = len(core.data) + (1 << 20), 64 << 30
    core.phdrs.append([elfcore.PT_LOAD, 6, at, 0x700000000000, 0, size, size, 4096])
    core.write(path)
    os.truncate(path, at + size)
    done = coreanalyze.run("leaks", path, "--exe", binary, "--format", "json", timeout=LIMIT)
    assert done.returncode in (0, 1), done.stderr
    ours, plain = strictjson.loads(done.stdout), coreanalyze.json("leaks", result.core, "--exe", binary)
    assert ours["groups"] == plain["groups"] and ours["gaps"] == plain["gaps"]


@pytest.mark.parametrize("names", ["a FIFO", "a device", "nothing"])
def test_a_supplement_that_is_none(coreanalyze, tmp_path, names):
    """Debug information may name another file that it was moved to: only a regular one with the
    right build id is opened."""
    csamples.make()
    core = csamples.die(csamples.OUT / "c" / "forgotten_sender", ("leak",), tmp_path / "run")
    path = {"a FIFO": tmp_path / "fifo", "a device": "/dev/zero", "nothing": "nothing"}[names]
    if names == "a FIFO":
        os.mkfifo(path)
    link, binary = tmp_path / "link", tmp_path / "forgotten_sender"
    link.write_bytes(os.fsencode(path) + b"\0" + bytes(range(20)))
    subprocess.run(["objcopy", "--add-section", f".gnu_debugaltlink={link}", core.binary, binary],
                   check=True)
    done = coreanalyze.run("leaks", core.core, "--exe", binary, "--format", "json", timeout=LIMIT)
    assert done.returncode in (0, 1), done.stderr
    assert strictjson.loads(done.stdout)["groups"] == \
        coreanalyze.json("leaks", core.core)["groups"]
