"""Bad input inside both debuggers: what it is refused with is a message, and the debugger lives."""

import random
import re
import shutil

import pytest

import build
import crash
import csamples
import doors
import toolchains

pytestmark = pytest.mark.skipif(doors.SANITIZED, reason="the debuggers are not sanitised")

COMMANDS = ["leaks", "leaks tasks --limit 3", "leaks info", "leaks explain 1", "leaks bt 1",
            "leaks locals 1", "leaks select 1", "bt 3", "leaks select", "leaks tasks --format json"]


@pytest.fixture(scope="module", params=["gdb", "lldb"])
def debugger(request):
    if not getattr(doors, request.param.upper()):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    chain = toolchains.newest()
    result = crash.run(build.build(chain, "shapes"), (), tmp_path_factory.mktemp("bad") / "run")
    assert result.core, result.stderr[-500:]
    yield result
    result.core.unlink()


def session(debugger, cases, timeout=300):
    """Runs each case (commands) in one debugger, one after the other; what each said."""
    commands = []
    for i, case in enumerate(cases):
        mark = f"echo CASE{i}\\n" if debugger == "gdb" else f"script print('CASE{i}')"
        commands += [mark, *case]
    commands.append("echo CASEend\\n" if debugger == "gdb" else "script print('CASEend')")
    said = getattr(doors, debugger)(*commands, timeout=timeout)
    # lldb shows each command before it runs it.
    found = re.split(r"^CASE(?:\d+|end)$", said, flags=re.M)[1:]
    assert len(found) == len(cases) + 1, "the debugger did not live:\n" + said[-3000:]
    assert "Traceback" not in said and "internal-error" not in said, said[-3000:]
    return found[:-1]


def load(debugger, binary, core):
    if debugger == "gdb":
        return [f"file {binary}", f"core-file {core}"]
    return [f"target create {binary} -c {core}"]


def test_cut_cores(debugger, sample, tmp_path):
    whole = sample.core.stat().st_size
    cases = []
    for size in (0, 40, 64, 700, 4096, whole // 10, whole // 2, whole * 9 // 10, whole - 4096):
        core = tmp_path / f"core{size}"
        shutil.copy(sample.core, core)
        with open(core, "r+b") as file:
            file.truncate(size)
        cases.append([*load(debugger, sample.binary, core), *COMMANDS])
    found = session(debugger, cases)
    # The last one lacks a page of some stack: it is answered.
    assert re.search(r"\d+ goroutines", found[-1]), found[-1][-2000:]


def test_wrong_executable(debugger, sample):
    other = build.build(toolchains.newest(), "all")
    found = session(debugger, [[*load(debugger, other, sample.core), *COMMANDS, "leaks --force"],
                               [*load(debugger, "/bin/true", sample.core), "leaks"],
                               [*load(debugger, sample.binary, sample.core), "leaks"]])
    for text in found[:2]:
        assert "build id" in text, text[-2000:]
    assert re.search(r"\d+ goroutines", found[2]), found[2][-2000:]


def damage(core, seed):
    """Random words over what the program may write, many of them pointers to elsewhere in it."""
    data = bytearray(core.read_bytes())
    dice = random.Random(seed)
    words = [i for i in range(len(data) // 2, len(data) - 8, 8) if any(data[i:i + 8])]
    for _ in range(3000):
        at, other = dice.choice(words), dice.choice(words)
        data[at:at + 8] = data[other:other + 8] if dice.random() < .7 else dice.randbytes(8)
    core.write_bytes(data)


def test_damaged_structures(debugger, sample, tmp_path):
    cases = []
    for seed in range(6):
        core = tmp_path / f"core{seed}"
        shutil.copy(sample.core, core)
        damage(core, seed)
        cases.append([*load(debugger, sample.binary, core), *COMMANDS])
    for text in session(debugger, cases):
        assert text.strip()


BAD = {
    "empty": "", "binary": "\0\1\2\xff", "list": "- a\n- b\n", "unknown": "runtim: x\n",
    "unended": "name: [", "tabs": "name:\n\t- x\n", "anchor": "a: &a [1]\nb: *a\n",
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "tag": "name: !!python/object x\n",
    "deep": "a: " + "[" * 500 + "]" * 500 + "\n", "long": "name: " + "x" * 200_000 + "\n",
    "wrong": "name: x\nversion: {a: b}\ntasks: 17\n",
    "loop": "name: x\nmarker: .\ntasks: {list: {head: main, next: .self}}\n",
}


def test_hostile_descriptions(debugger, tmp_path):
    csamples.make()
    binary = csamples.OUT / "c" / "forgotten_sender"
    with doors.frozen(binary, ["leak"], tmp_path / "frozen") as frozen:
        cases = []
        for name, text in BAD.items():
            path = tmp_path / f"{name}.yaml"
            path.write_text(text, encoding="latin-1")
            cases.append([*load(debugger, binary, frozen.core), f"leaks --runtime-file {path}",
                          f"leaks tasks --limit 1 --runtime-file {path}"])
        cases.append([*load(debugger, binary, frozen.core), "leaks --runtime-file /dev/zero",
                      f"leaks --runtime-file {tmp_path}", "leaks --runtime-file /nowhere"])
        cases.append(["leaks --limit 1"])
        found = session(debugger, cases)
    for name, text in zip(BAD, found):
        assert "yaml" in text or "tasks" in text, (name, text)
    assert "1,201 tasks" in found[-1]


def test_no_runtime(debugger, sample, tmp_path):
    source, program = tmp_path / "plain.c", tmp_path / "plain"
    source.write_text("#include <stdlib.h>\nint main(void) { abort(); }\n")
    doors.run(["gcc", "-g", "-o", program, source])
    core = crash.run(program, (), tmp_path / "run").core
    found = session(debugger, [[*load(debugger, program, core), *COMMANDS],
                               [*load(debugger, sample.binary, sample.core), "leaks"]])
    assert "no known" in found[0].lower() and re.search(r"\d+ goroutines", found[1])
