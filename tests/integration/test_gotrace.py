"""The reader of Go's own traces must read all of them, and nothing else."""

import pytest

import compare
import gotrace

PANIC = """\
panic: first [recovered]
\tpanic: sample

goroutine 1 gp=0xc0000021c0 m=0 mp=0x5c1e60 [running, locked to thread]:
panic({0x4b1c20?, 0x4e3c18?})
\t/go/src/runtime/panic.go:779 +0x158 fp=0xc00006cf10 sp=0xc00006ce60 pc=0x4320f8
main.(*list[...]).add(...)
\t/home/me/a file:with colon.go:12
main.main()
\t/home/me/main.go:9 +0x25 fp=0xc00006cf50 sp=0xc00006cf10 pc=0x457a45

goroutine 17 gp=0xc000002700 m=nil [chan receive (nil chan), 3 minutes] {a: b, "c d": "e\\"f"}:
runtime.gopark(0x0?, 0x0?, 0x0?, 0x0?, 0x0?)
\t/go/src/runtime/proc.go:402 +0xce fp=0xc000056f68 sp=0xc000056f48 pc=0x434aee
...56 frames elided...
runtime.goexit({})
\t/go/src/runtime/asm_amd64.s:1695 +0x1 fp=0xc000056fe8 sp=0xc000056fe0 pc=0x45f181
created by main.main in goroutine 1
\t/home/me/main.go:7 +0x1d
[originating from goroutine 1]:
main.main(...)
\t/home/me/main.go:7 +0x1d

goroutine 18 [running, synctest bubble 4]:
\tgoroutine running on other thread; stack unavailable
created by main.main
\t/home/me/main.go:8 +0x2d
"""

SIGNAL = """\
SIGQUIT: quit
PC=0x4895e1 m=0 sigcode=0

goroutine 0 [idle]:
runtime.futex()
\t/go/src/runtime/sys_linux_amd64.s:560 +0x23 fp=0x7f71ae4edd08 sp=0x7f71ae4edd00 pc=0x461723
rax    0xca
rflags 0x286
cs     0x33

-----

SIGQUIT: quit
PC=0x461721 m=3 sigcode=0

goroutine 7 [select (durable) (scan)]:
runtime.futex()
\t/go/src/runtime/sys_linux_amd64.s:560 +0x23 fp=0x7f71ae4edd08 sp=0x7f71ae4edd00 pc=0x461723
...additional frames elided...
"""


def test_panic():
    trace = gotrace.parse(PANIC)
    one, seventeen, eighteen = trace.goroutines
    assert trace.cause == ["panic: first [recovered]", "\tpanic: sample"]
    assert (one.id, one.address, one.m, one.status) == (1, 0xC0000021C0, 0, "running")
    assert one.first and one.locked and one.created is None
    assert [frame.function for frame in one.frames] == ["panic", "main.(*list[...]).add", "main.main"]
    assert one.frames[1].inlined and not one.frames[0].inlined
    assert (one.frames[1].file, one.frames[1].line) == ("/home/me/a file:with colon.go", 12)
    assert (one.frames[2].sp, one.frames[2].pc) == (0xC00006CF10, 0x457A45)
    assert (seventeen.status, seventeen.minutes) == ("chan receive (nil chan)", 3)
    assert seventeen.labels == {"a": "b", "c d": 'e"f'}
    assert seventeen.elided == (1, 56) and len(seventeen.frames) == 2
    assert seventeen.created == gotrace.Created("main.main", 1, "/home/me/main.go", 7)
    assert [a.id for a in seventeen.ancestors] == [1]
    assert seventeen.ancestors[0].frames[0].function == "main.main"
    assert eighteen.unavailable and eighteen.bubble == 4 and eighteen.created.by is None


def test_complaints_about_goroutine_0_only():
    complaint = """runtime: g 0 gp=0xc000086fc0: unknown pc 0x7f5345e6fdd4
stack: frame={sp:0x7f52e8d0e720, fp:0x0} stack=[0x7f52e850f118,0x7f52e8d0ed18)
0x00007f52e8d0e620:  0x0000000000000000  0x00000000004320f8 <main.f+0x18>
"""
    before = "goroutine 0 [idle]:\n"
    assert len(gotrace.parse(SIGNAL.replace(before, before + complaint)).goroutines) == 1
    with pytest.raises(gotrace.ParseError):
        before = "goroutine 7 [select (durable) (scan)]:\n"
        gotrace.parse(SIGNAL.replace(before, before + complaint))


def test_labels_of_126():
    text = PANIC.replace('] {a: b, "c d": "e\\"f"}:', ' labels:{"a": "b]", "c": "\\xff\\u00e4"}]:')
    assert text != PANIC
    seventeen = gotrace.parse(text).goroutines[1]
    assert (seventeen.minutes, seventeen.labels) == (3, {"a": "b]", "c": "\ufffd\u00e4"})


def test_signal():
    trace = gotrace.parse(SIGNAL)
    assert len(trace.systems) == 1 and trace.sections == 1
    (g,) = trace.goroutines
    assert g.section == 1 and not g.first and g.scan
    assert g.status == "select (durable)" and g.elided == (1, None)


@pytest.mark.parametrize("line", [
    "something else",
    "goroutine 1 [running, flying]:",
    "goroutine x [running]:",
    "main.main()",
    "\t/home/me/main.go:9",
    "runtime: g 7: unexpected return pc for main.f called from 0x0",
])
def test_unknown_lines_are_errors(line):
    with pytest.raises(gotrace.ParseError):
        gotrace.parse(PANIC + "\n" + line + "\n\n")


def test_unknown_lines_in_a_stack_are_errors():
    with pytest.raises(gotrace.ParseError):
        gotrace.parse(PANIC.replace("main.main()\n", "main.main()\n\n", 1))
    with pytest.raises(gotrace.ParseError):
        gotrace.parse(PANIC.replace("...56 frames elided...", "...many frames elided..."))


@pytest.mark.parametrize("name, minor, printed", [
    ("main.f", 27, "main.f"),
    ("main.f[...]", 19, "main.f[...]"),
    ("main.f[go.shape.int]", 21, "main.f[...]"),
    ("main.(*t[go.shape.map[string]int]).m.func1", 26, "main.(*t[...]).m.func1"),
    ("main.(*t[go.shape.map[string]int]).m.func1", 27, "main.(*t[...]).m.func1"),
    ("main.(*t[go.shape.int]).m[go.shape.string]", 26, "main.(*t[...]"),
    ("main.(*t[go.shape.int]).m[go.shape.string]", 27, "main.(*t[...]).m[...]"),
])
def test_names(name, minor, printed):
    assert compare.name_for_print(name, minor) == printed


def _document():
    """What an exact reading of PANIC's goroutine 1 would be."""
    frames = []
    for frame in gotrace.parse(PANIC).goroutines[0].frames:
        name = "runtime.gopanic" if frame.function == "panic" else frame.function
        pc = None if frame.inlined else hex(frame.pc)
        frames.append({"function": name, "file": frame.file, "line": frame.line,
                       "inlined": frame.inlined, "pc": pc})
    return {"tasks": [{
        "id": "1", "address": "0xc0000021c0", "state": "running", "reason": None, "since_ns": None,
        "verdict": "active", "created": None, "frames": frames, "labels": {},
        "notes": ["locked to thread"],
    }]}


def _differences(change=None):
    trace, document = gotrace.parse(PANIC), _document()
    trace.goroutines = trace.goroutines[:1]
    if change:
        change(document["tasks"])
    return compare.Comparison(trace, document, 22).differences


def test_compare_accepts_what_is_equal():
    assert _differences() == []


def _above(tasks, *names):
    for index, name in enumerate(names):
        tasks[0]["frames"].insert(
            index, {"function": name, "file": "x", "line": 1, "inlined": False, "pc": hex(index)})


def test_compare_knows_how_a_program_dies():
    assert _differences(lambda tasks: _above(tasks, "runtime.raise.abi0", "runtime.crash")) == []
    assert _differences(lambda tasks: _above(tasks, "runtime.raise.abi0", "main.f")) != []


@pytest.mark.parametrize("change", [
    lambda tasks: tasks.clear(),
    lambda tasks: tasks.append(dict(tasks[0], id="2")),
    lambda tasks: tasks.append(tasks[0]),
    lambda tasks: tasks[0].update(state="runnable"),
    lambda tasks: tasks[0].update(state="waiting", reason="running", since_ns=60_000_000_000),
    lambda tasks: tasks[0].update(notes=[]),
    lambda tasks: tasks[0].update(address="0xc0000021c8"),
    lambda tasks: tasks[0].update(verdict="system"),
    lambda tasks: tasks[0]["notes"].append("ancestor: created by main.main in goroutine 1 at x:1"),
    lambda tasks: tasks[0]["frames"].pop(),
    lambda tasks: tasks[0]["frames"].pop(0),
    lambda tasks: tasks[0]["frames"].pop(1),
    lambda tasks: tasks[0]["frames"].insert(0, dict(tasks[0]["frames"][2])),
    lambda tasks: tasks[0]["frames"][2].update(function="main.other"),
    lambda tasks: tasks[0]["frames"][2].update(file="main.go"),
    lambda tasks: tasks[0]["frames"][2].update(line=10),
    lambda tasks: tasks[0]["frames"][2].update(inlined=True),
    lambda tasks: tasks[0]["frames"][2].update(pc="0x457a46"),
])
def test_compare_sees_every_difference(change):
    assert _differences(change) != []


@pytest.mark.parametrize("status, first, went_on", [
    ("runnable", False, True), ("running", False, True), ("chan send", False, False),
    ("running", True, False),
])
def test_only_what_could_run_may_have_gone_on(status, first, went_on):
    """The one that dies, and those that wait, stand still while the rest is printed."""
    trace, document = gotrace.parse(PANIC), _document()
    trace.goroutines = trace.goroutines[:1]
    trace.goroutines[0].status, trace.goroutines[0].first = status, first
    document["tasks"][0].update(state="waiting", reason="sleep")
    assert compare.Comparison(trace, document, 22).went_on == went_on
