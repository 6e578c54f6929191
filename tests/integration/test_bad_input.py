"""Bad input: a clear message or a partial answer, the right exit status, no crash and no hang."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys

import pytest

import build
import crash
import csamples
import futures
import strictjson
import toolchains

SLOW = os.environ.get("CA_SANITIZED", "") != ""
LIMIT = 25 if SLOW else 5  # seconds; the sanitizers make it several times slower


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A Go program with every way to wait, and its core."""
    return crash.of_own(tmp_path_factory.mktemp("sample") / "run", "shapes")


def ask(coreanalyze, *arguments, timeout=LIMIT):
    """Run it; whatever it says, it must have ended by itself and said something."""
    try:
        done = coreanalyze.run(*arguments, timeout=timeout)
    except subprocess.TimeoutExpired:
        pytest.fail(f"coreanalyze {' '.join(map(str, arguments))}: more than {timeout} s")
    assert done.returncode in (0, 1, 2), (arguments, done.returncode, done.stderr[-2000:])
    if done.returncode == 2:
        assert done.stderr.strip(), f"{arguments}: status 2 and not a word"
    else:
        assert done.stdout, f"{arguments}: status {done.returncode} and nothing printed"
    return done


def refused(coreanalyze, *arguments, says=""):
    done = ask(coreanalyze, *arguments)
    text = done.stderr.decode(errors="replace")
    assert done.returncode == 2, (arguments, done.stdout[:500], text)
    assert says.lower() in text.lower(), (arguments, text)
    assert not done.stdout, (arguments, done.stdout[:500])
    return text


def test_not_a_core(coreanalyze, tmp_path):
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("not an ELF file\n")
    empty.write_bytes(b"")
    refused(coreanalyze, text, says="not an ELF file")
    refused(coreanalyze, empty, says="empty")
    refused(coreanalyze, "/bin/true", says="not a core")
    refused(coreanalyze, tmp_path / "nowhere", says="nowhere")
    for magic, name in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x8b", "gzip"), (b"BZh9", "bzip2")):
        text.write_bytes(magic + bytes(100))
        refused(coreanalyze, text, says=name)


def test_not_regular(coreanalyze, sample, tmp_path):
    fifo, sock = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(sock))
    for path in (fifo, sock, tmp_path, "/dev/zero", "/dev/null", "/dev/full"):
        refused(coreanalyze, path, says=str(path))
        done = ask(coreanalyze, sample.core, "--exe", path)
        assert done.returncode == 2, f"--exe {path}: status {done.returncode}"
    server.close()


def test_unreadable(coreanalyze, sample, tmp_path):
    """Root may read everything, unless it has no capabilities."""
    core = tmp_path / "core"
    shutil.copy(sample.core, core)
    core.chmod(0)
    without = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    done = subprocess.run([*without, coreanalyze.path, "leaks", core], capture_output=True,
                          timeout=LIMIT)
    assert done.returncode == 2 and b"ermission" in done.stderr, done.stderr


def test_no_runtime(coreanalyze, tmp_path):
    """A core of a program without any known runtime: it says so, and what it does know."""
    source, program = tmp_path / "plain.c", tmp_path / "plain"
    source.write_text("#include <stdlib.h>\nint main(void) { abort(); }\n")
    subprocess.run(["gcc", "-g", "-o", str(program), str(source)], check=True)
    core = crash.run(program, (), tmp_path / "run").core
    text = refused(coreanalyze, core, says="no known")
    assert "plain" in text and "amd64" in text or "arm64" in text, text


def test_wrong_executable(coreanalyze, sample):
    """Refused by build id, both ids in the message; --force goes on."""
    chain = toolchains.need("own")
    other = build.build(chain, "all")
    text = refused(coreanalyze, sample.core, "--exe", other, says="build id")
    ids = [word for word in text.replace(",", " ").split() if len(word.strip("().;:")) >= 32]
    assert len(set(ids)) >= 2, text
    assert ask(coreanalyze, sample.core, "--exe", other, "--force").returncode in (0, 1, 2)
    refused(coreanalyze, sample.core, "--exe", "/bin/true", says="build id")
    refused(coreanalyze, sample.core, "--exe", sample.core)


def test_debug_information_in_a_circle(coreanalyze, tmp_path):
    """Each entry that says where its next sibling is names itself."""
    csamples.make()
    binary, section, odd = (tmp_path / name for name in ("binary", "section", "odd"))
    subprocess.run(["objcopy", "--decompress-debug-sections", csamples.OUT / "c" / "forgotten_sender",
                    binary], check=True)
    subprocess.run(["objcopy", "--dump-section", f".debug_info={section}", binary], check=True)
    text = subprocess.run(["readelf", "--wide", "--debug-dump=info", binary], capture_output=True,
                          text=True, check=True).stdout
    info, unit, entry, circles = bytearray(section.read_bytes()), 0, 0, 0
    for line in text.splitlines():
        if found := re.search(r"Compilation Unit @ offset (?:0x)?([0-9a-f]+)", line):
            unit = int(found[1], 16)
        elif found := re.match(r" *<[0-9a-f]+><([0-9a-f]+)>", line):
            entry = int(found[1], 16)
        elif found := re.match(r" *<([0-9a-f]+)> +DW_AT_sibling +: .*<0x([0-9a-f]+)>", line):
            at, next_one = int(found[1], 16), int(found[2], 16) - unit
            if info[at:at + 4] == struct.pack("<I", next_one):  # DW_FORM_ref4
                struct.pack_into("<I", info, at, entry - unit)
                circles += 1
    assert circles > 20
    section.write_bytes(info)
    subprocess.run(["objcopy", "--update-section", f".debug_info={section}", binary, odd], check=True)
    died = csamples.die(binary, ["leak"], tmp_path / "run")
    odd_file = csamples.ROOT / "tests" / "programs" / "odd" / "odd.yaml"
    for words in (["tasks"], ["leaks"], ["task", "coro:2", "--locals"],
                  ["describe", "--check", odd_file]):
        ask(coreanalyze, *words, died.core, "--exe", odd)


def test_full_disk(coreanalyze, sample):
    """An answer that cannot be written is no answer."""
    for words in (["leaks"], ["tasks", "--format", "json"], ["info"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([coreanalyze.path, *words, sample.core], stdout=full,
                                  stderr=subprocess.PIPE, timeout=LIMIT)
        assert done.returncode == 2, (words, done.returncode)
        assert done.stderr.strip(), words


def test_reader_goes_away(coreanalyze, sample):
    """`coreanalyze tasks core | head -1`: no noise, no crash."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([coreanalyze.path, "tasks", sample.core], stdout=writer,
                          stderr=subprocess.PIPE, timeout=LIMIT)
    os.close(writer)
    assert done.returncode in (0, 1, -signal.SIGPIPE), done.returncode
    assert not done.stderr


def test_cut(coreanalyze, sample, full, tmp_path):
    """A core cut anywhere: everywhere in its first pages, then at even distances."""
    data = sample.core.read_bytes()
    places = 1000 if full else 40
    head = 4096
    step = (len(data) - head) // (places // 2)
    cuts = [*range(0, head, head // (places // 2)), *range(head, len(data), step)]
    copy = tmp_path / "core"
    answered = 0
    shutil.copy(sample.core, copy)
    for size in sorted(cuts, reverse=True):
        os.truncate(copy, size)
        done = ask(coreanalyze, copy, "--format", "json")
        if done.returncode == 2:
            assert not done.stdout, f"cut at {size}"
            continue
        answered += 1
        document = strictjson.loads(done.stdout)
        assert document["gaps"], f"cut at {size} of {len(data)}: no gap is told"
        assert document["target"]["complete"] is False, f"cut at {size}"
        assert done.stderr.strip(), f"cut at {size}: nothing on stderr"
    assert answered, "no cut core was answered"
    # --strict makes a partial answer an error.
    shutil.copy(sample.core, copy)
    os.truncate(copy, len(data) - 4096)
    done = ask(coreanalyze, copy)
    if done.returncode != 2:
        assert ask(coreanalyze, copy, "--strict").returncode == 2


def run_fuzzer(coreanalyze, record, name, core, binary, seeds, tmp_path):
    """Damage in a loop inside one process, which ends at the first crash, or a seed of over 5 s."""
    path, last = coreanalyze.path.parent / "fuzz" / name, tmp_path / "last"
    if not path.exists():
        pytest.fail(f"{path} is not built: run make unit-programs")
    done = subprocess.run(
        [str(path), str(core), str(binary), str(seeds)],
        env=dict(os.environ, FUZZ_LAST=str(last)), capture_output=True, text=True, timeout=7200,
    )
    said = last.read_text() if last.exists() else ""
    assert done.returncode == 0, f"status {done.returncode}\n{said}\n{done.stderr[-6000:]}"
    record.lines.append(f"{name} {binary.name}: {done.stdout.strip()}")


@pytest.mark.parametrize("program, shape", [
    ("shapes", "plain"), ("all", "plain"), ("all", "stripped"),
])
def test_random_bytes(coreanalyze, record, full, tmp_path, program, shape):
    """Random bytes over the runtime's structures, and pointers between them that lead elsewhere."""
    chain = toolchains.need("own")
    binary = build.build(chain, program, shape)
    core = crash.run(binary, (), tmp_path / "run").core
    seeds = 10000 if full else 30 if SLOW else 150
    run_fuzzer(coreanalyze, record, "fuzz_go", core, binary, seeds, tmp_path)


@pytest.mark.parametrize("program", ["go", "go-pie-stripped", "pth", "state-threads"])
def test_damaged_files(coreanalyze, record, full, tmp_path, program):
    """Headers, sections, tables and debug information of the executable that lie, and the headers
    and notes of the core."""
    if program.startswith("go"):
        chain = toolchains.need("own")
        binary = build.build(chain, "shapes", program[3:] or "plain")
        core = crash.run(binary, (), tmp_path / "run").core
    elif csamples.available(program):
        csamples.make()
        binary = csamples.OUT / program / "server"
        core = csamples.die(binary, ("leak", 50), tmp_path / "run").core
    else:
        pytest.skip(f"{program} is not installed")
    plain = tmp_path / f"{program}.unpacked"
    subprocess.run(["objcopy", "--decompress-debug-sections", str(binary), str(plain)], check=True)
    seeds = 10000 if full else 60 if SLOW else 300
    run_fuzzer(coreanalyze, record, "fuzz_exe", core, plain, seeds, tmp_path)


@pytest.mark.parametrize("version", ["own", "debian", "1.22.12"])
def test_lies_about_the_heap(coreanalyze, record, full, tmp_path, version):
    """What describes the heap lies: nothing more is called leaked than without."""
    chain = toolchains.need(version)
    binary = futures.compiled(chain)
    core = crash.run(binary, ("7", "40"), tmp_path / "run").core
    assert coreanalyze.json("leaks", core, "--exe", binary, "--limit", "1")["gaps"] == []
    seeds = 10000 if full else 60 if SLOW else 240
    run_fuzzer(coreanalyze, record, "fuzz_heap", core, binary, seeds, tmp_path)
