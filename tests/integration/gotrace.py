"""Reads what a Go program prints when it dies with GOTRACEBACK=crash, Go 1.19 to 1.27.

The rules are those of runtime/traceback.go, runtime/panic.go and runtime/signal_unix.go. Every
line must be understood: a line that fits no rule is an error, so that nothing printed is lost.
"""

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional


class ParseError(Exception):
    """A line that no rule knows; the text names it by its number."""


@dataclass
class Frame:
    """One line pair of a stack. `offset`, `fp`, `sp` and `pc` are None for an inlined call; the
    runtime prints them for physical frames only."""

    function: str
    arguments: str
    file: str
    line: int
    offset: Optional[int] = None
    fp: Optional[int] = None
    sp: Optional[int] = None
    pc: Optional[int] = None

    @property
    def inlined(self):
        return self.pc is None


@dataclass
class Created:
    """`created by F in goroutine N`; `by` is None before Go 1.21 and for ancestors."""

    function: str
    by: Optional[int]
    file: str
    line: int


@dataclass
class Stack:
    """Frames, innermost first. `elided` is None, or (index, count): so many frames are left out
    before frames[index]; the count is None where the runtime does not say."""

    frames: List[Frame] = field(default_factory=list)
    elided: Optional[tuple] = None
    created: Optional[Created] = None
    c_frames: List[str] = field(default_factory=list)


@dataclass
class Ancestor(Stack):
    id: int = 0


@dataclass
class Goroutine(Stack):
    id: int = 0
    address: Optional[int] = None
    m: Optional[int] = None
    status: str = ""
    leaked: bool = False
    scan: bool = False
    minutes: int = 0
    locked: bool = False
    bubble: Optional[int] = None
    labels: Optional[Dict[str, str]] = None
    unavailable: bool = False
    section: int = 0
    first: bool = False
    ancestors: List[Ancestor] = field(default_factory=list)


@dataclass
class Trace:
    """Everything printed. `goroutines` in the order of printing, some of them twice (again by
    the thread that runs them); `systems` are the stacks of goroutine 0 and of `runtime stack:`."""

    cause: List[str] = field(default_factory=list)
    goroutines: List[Goroutine] = field(default_factory=list)
    systems: List[Stack] = field(default_factory=list)
    sections: int = 0


HEX = r"0x[0-9a-f]+"
# Labels stand inside the brackets in Go 1.26, behind them in 1.27.
HEADER = re.compile(
    rf"goroutine (\d+)(?: gp=({HEX}|nil) m=(nil|-?\d+)(?: mp=({HEX}|nil))?)? "
    r"\[([^\]{]*?)(?: labels:\{(.*)\})?\](?: \{(.*)\})?:"
)
LOCATION = re.compile(
    rf"\t(.+):(-?\d+)(?: \+({HEX}))?(?: fp=({HEX}) sp=({HEX}) pc=({HEX}))?"
)
CREATED = re.compile(r"created by (.+?)(?: in goroutine (\d+))?")
ANCESTOR = re.compile(r"\[originating from goroutine (\d+)\]:")
ELIDED = re.compile(r"\.\.\.(?:additional|(\d+)) frames elided\.\.\.")
UNAVAILABLE = "\tgoroutine running on other thread; stack unavailable"
C_FRAME = re.compile(rf"non-Go function at pc={HEX}")
# A signal may find a thread of the scheduler inside C. Its own stack, that of goroutine 0, then ends
# in a complaint and a dump of memory (tracebackHexdump; the second form is from 1.26 on).
COMPLAINT = re.compile(rf"runtime: g 0(?: gp={HEX})?: unknown pc {HEX}")
DUMP = re.compile(rf"stack: frame=\{{.*|{HEX}: .*|[0-9a-f]{{8,}}: .*| +\^ .*| {{4,}}[0-9A-F ]+.*")
REGISTER = re.compile(rf"(?:r[a-z0-9]{{1,2}}|rflags|[cfg]s|lr|sp|pc|fault|pstate) +{HEX}")
# Lines around the stacks: why the program dies, and what separates the threads.
CAUSE = [
    re.compile(pattern)
    for pattern in (
        r"\t*panic: .*",
        r"fatal error: .*",
        r"SIG[A-Z0-9]+: .*",
        rf"PC={HEX} m=-?\d+ sigcode=-?\d+(?: addr={HEX})?",
        r"runtime: goroutine stack exceeds \d+-byte limit",
        rf"runtime: sp={HEX} stack=\[{HEX}, {HEX}\]",
        r"signal arrived during cgo execution",
        rf"\[signal .* code={HEX} addr={HEX} pc={HEX}\]",
        rf"instruction bytes:(?: {HEX})+",
    )
]
SEPARATOR = "-----"
SYSTEM = "runtime stack:"


def parse(text):
    """The Trace in TEXT. Raises ParseError at the first line that no rule knows."""
    return _Parser(text).run()


class _Parser:
    def __init__(self, text):
        self.lines = text.split("\n")
        self.at = 0
        self.trace = Trace()
        self.stack = None
        self.goroutine = None

    def run(self):
        while self.at < len(self.lines):
            self.one()
        return self.trace

    def fail(self, why="no rule knows this line"):
        where = min(self.at, len(self.lines) - 1)
        raise ParseError(f"line {where + 1}: {why}: {self.lines[where]!r}")

    def one(self):
        line = self.lines[self.at]
        header = HEADER.fullmatch(line)
        if header:
            self.begin(header)
        elif line == SYSTEM:
            self.system(Stack())
        elif line == "":
            self.stack = self.goroutine = None
        elif line == SEPARATOR:
            self.trace.sections += 1
        elif any(pattern.fullmatch(line) for pattern in CAUSE):
            self.trace.cause.append(line)
        elif REGISTER.fullmatch(line):
            self.stack = self.goroutine = None
        elif self.stack is None:
            self.fail()
        else:
            return self.body(line)
        self.at += 1
        return None

    def system(self, stack):
        self.stack, self.goroutine = stack, None
        self.trace.systems.append(stack)

    def begin(self, header):
        number, address, m, _, status, within, behind = header.groups()
        g = Goroutine(id=int(number), section=self.trace.sections)
        g.address = int(address, 16) if address and address != "nil" else None
        g.m = int(m) if m and m != "nil" else None
        words = status.split(", ")
        g.status = words[0]
        for word in words[1:]:
            self.state_word(g, word)
        g.leaked, g.status = _without(g.status, " (leaked)")
        g.scan, g.status = _without(g.status, " (scan)")
        labels = behind if within is None else within
        if labels is not None:
            g.labels = _labels(labels, self)
        g.first = not self.trace.goroutines and not self.trace.sections
        if g.id == 0:
            self.system(g)
        else:
            self.trace.goroutines.append(g)
            self.stack = self.goroutine = g

    def state_word(self, g, word):
        minutes = re.fullmatch(r"(\d+) minutes", word)
        bubble = re.fullmatch(r"synctest (?:bubble|group) (\d+)", word)
        if minutes:
            g.minutes = int(minutes.group(1))
        elif bubble:
            g.bubble = int(bubble.group(1))
        elif word == "locked to thread":
            g.locked = True
        else:
            self.fail(f"{word!r} in the state")

    def body(self, line):
        ancestor = ANCESTOR.fullmatch(line)
        created = CREATED.fullmatch(line)
        elided = ELIDED.fullmatch(line)
        if line == UNAVAILABLE and self.goroutine:
            self.goroutine.unavailable = True
        elif ancestor and self.goroutine:
            self.stack = Ancestor(id=int(ancestor.group(1)))
            self.goroutine.ancestors.append(self.stack)
        elif created:
            file, number, *_ = self.location()
            by = int(created.group(2)) if created.group(2) else None
            if self.stack.created:
                self.fail("created twice")
            self.stack.created = Created(created.group(1), by, file, number)
        elif elided:
            if self.stack.elided:
                self.fail("elided twice")
            count = int(elided.group(1)) if elided.group(1) else None
            self.stack.elided = (len(self.stack.frames), count)
        elif COMPLAINT.fullmatch(line) and not self.goroutine:
            while self.at + 1 < len(self.lines) and DUMP.fullmatch(self.lines[self.at + 1]):
                self.at += 1
        elif C_FRAME.fullmatch(line):
            self.stack.c_frames.append(line)
        elif line.endswith(")") and "(" in line and not line.startswith("\t"):
            function, arguments = line[:-1].rsplit("(", 1)
            self.stack.frames.append(Frame(function, arguments, *self.location()))
        else:
            self.fail()
        self.at += 1

    def location(self):
        """The line under a function's: file, line, offset, fp, sp, pc."""
        self.at += 1
        match = LOCATION.fullmatch(self.lines[self.at]) if self.at < len(self.lines) else None
        if not match:
            self.fail("a file and a line belong here")
        file, line, *numbers = match.groups()
        return (file, int(line), *(int(n, 16) if n else None for n in numbers))


def _without(text, suffix):
    if text.endswith(suffix):
        return True, text[: -len(suffix)]
    return False, text


def _labels(text, parser):
    """`key: value, key: value`, each in quotes where it has signs of its own."""
    word = r'("(?:[^"\\]|\\.)*"|[^",:{} ][^",:{}]*|)'
    labels, rest = {}, text
    while True:
        match = re.match(word + ": " + word, rest)
        if not match:
            parser.fail("the labels")
        labels[_unquoted(match.group(1))] = _unquoted(match.group(2))
        rest = rest[match.end():]
        if not rest:
            return labels
        if not rest.startswith(", "):
            parser.fail("the labels")
        rest = rest[2:]


def _unquoted(word):
    if not word.startswith('"'):
        return word
    escapes = {"n": "\n", "r": "\r", "t": "\t"}

    def one(match):
        code = match.group(1)
        if code[0] == "x" and int(code[1:], 16) >= 0x80:
            return "\ufffd"  # a byte that is no UTF-8 (runtime/print.go, printquoted)
        if code[0] in "xuU":
            return chr(int(code[1:], 16))
        return escapes.get(code, code)

    pattern = r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)"
    return re.sub(pattern, one, word[1:-1])
