"""Compares what Go printed of its goroutines with what coreanalyze reads from the core of the
same instant. Every exception is a rule of the runtime, named in RULES, and counted."""

import re
from collections import Counter

# Under GOTRACEBACK=crash the level is 2, so showfuncinfo (runtime/traceback.go) leaves out no
# frame: neither wrappers nor the runtime's own. What remains:
RULES = {
    "type-arguments": "traceback.go, printFuncName, from 1.21: [...] stands for type arguments",
    "gopanic-is-panic": "traceback.go, printFuncName: runtime.gopanic is printed as panic",
    "elided": "traceback.go, traceback1: 100 frames to 1.20, then the inner and outer 50",
    "running-elsewhere": "traceback.go, tracebackothers: no stack for a goroutine that runs on "
    "another thread",
    "dying": "panic.go, fatalpanic and signal_unix.go, sighandler: printed is the stack at the "
    "panic or signal; the core shows the calls above it that print and abort",
    "main-creation": "traceback.go, printcreatedby: not for goroutine 1",
    "not-frozen": "proc.go, freezetheworld: best effort, a few ms; a thread that the machine did not "
    "run in that time goes on while the rest is printed. The program has to crash once more",
}

# The calls of the rule `dying`, runtime/panic.go and runtime/signal_unix.go.
DYING = {
    "runtime." + name
    for name in (
        "raise raiseproc tgkill usleep dieFromSignal crash fatalpanic fatalpanic.func1 fatalpanic.func2 "
        "fatalthrow fatalthrow.func1 throw throw.func1 fatal fatal.func1 systemstack "
        "systemstack_switch sighandler sigtrampgo sigtramp sigreturn__sigaction sigfwdgo "
        "badsignal printpanics dopanic_m newstack morestack"
    ).split()
}

# runtime/traceback.go, isSystemGoroutine: started in runtime., but for these. That of a thread that
# C made was not started by Go at all.
USER_ENTRIES = {
    "runtime.main", "runtime.handleAsyncEvent", "runtime.corostart", "runtime.cgocallback",
}
CALLBACK_ENTRIES = {"runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"}


class Comparison:
    """`differences` are texts, `rules` counts by name; `goroutines` and `frames` were compared.
    `went_on`: all that differs are goroutines that could run while Go printed."""

    def __init__(self, trace, document, minor):
        self.minor = minor
        self.differences = []
        self.rules = Counter()
        self.goroutines = self.frames = 0
        self._differ, self._could_run = set(), set()
        self._all(trace, document)
        self.went_on = bool(self._differ) and self._differ <= self._could_run

    def _all(self, trace, document):
        printed = _last_of_each(trace)
        tasks = {}
        for task in document["tasks"]:
            if task["id"] in tasks:
                self._say(task["id"], "listed twice")
            tasks[task["id"]] = task
        for number in printed.keys() - tasks.keys():
            self._say(number, f"missing; Go printed it: [{printed[number].status}]")
        for number in tasks.keys() - printed.keys():
            self._say(number, f"Go did not print it: [{_status(tasks[number])}]")
        for number in sorted(printed.keys() & tasks.keys(), key=int):
            self._one(printed[number], tasks[number])

    def _say(self, number, text):
        self.differences.append(f"goroutine {number}: {text}")
        self._differ.add(str(number))

    def _equal(self, g, what, printed, ours):
        if printed != ours:
            self._say(g.id, f"{what}: Go printed {printed!r}, ours is {ours!r}")

    def _rule(self, name):
        assert name in RULES
        self.rules[name] += 1

    def _one(self, g, task):
        self.goroutines += 1
        if {g.status, _status(task)} & {"running", "runnable"} and not g.first:
            self._could_run.add(str(g.id))
        self._equal(g, "status", g.status, _status(task))
        self._equal(g, "minutes", g.minutes, _minutes(task))
        self._equal(g, "locked to thread", g.locked, "locked to thread" in task["notes"])
        if g.address is not None:
            self._equal(g, "address", hex(g.address), task["address"])
        if g.labels is not None:
            self._equal(g, "labels", g.labels, task["labels"])
        self._created(g, g.created, task["created"])
        self._ancestors(g, task)
        if g.unavailable:
            self._rule("running-elsewhere")
        else:
            self._stack(g, task["frames"], task["notes"])
            self._equal(g, "system", _is_system(g), task["verdict"] == "system")

    def _created(self, g, printed, ours):
        if g.id == 1 and printed is None:
            self._rule("main-creation")
            return
        if printed is None or ours is None:
            self._equal(g, "created", printed, ours)
            return
        self._equal(g, "created by", printed.function, self._name(ours["function"]))
        self._equal(g, "created file", printed.file, ours["file"])
        self._equal(g, "created line", printed.line, ours["line"])
        by = None if printed.by is None else str(printed.by)
        self._equal(g, "created in goroutine", by, ours["by"])

    def _ancestors(self, g, task):
        ours = [note for note in task["notes"] if note.startswith("ancestor: ")]
        printed = [self._ancestor(ancestor) for ancestor in g.ancestors]
        self._equal(g, "ancestors", printed, ours)

    @staticmethod
    def _ancestor(ancestor):
        text = f"ancestor: goroutine {ancestor.id}"
        made = ancestor.created
        return f"{text}, created by {made.function} at {made.file}:{made.line}" if made else text

    def _name(self, name):
        """NAME, of pclntab, as this version prints it."""
        if name == "runtime.gopanic":
            self._rule("gopanic-is-panic")
            return "panic"
        printed = name_for_print(name, self.minor)
        if printed != name:
            self._rule("type-arguments")
        return printed

    def _stack(self, g, frames, notes):
        frames = self._without_dying(g, frames)
        self.left_out = _left_out(notes)
        frames = self._without_elided(g, frames)
        if len(g.frames) != len(frames):
            self._say(g.id, f"Go printed {len(g.frames)} frames, ours are {len(frames)}")
        for index, (printed, ours) in enumerate(zip(g.frames, frames)):
            self.frames += 1
            self._frame(g, f"frame {index}", printed, ours)

    def _frame(self, g, what, printed, ours):
        name = self._name(ours["function"]) if ours["function"] else None
        self._equal(g, f"{what} function", printed.function, name)
        self._equal(g, f"{what} {name} file", printed.file, ours["file"])
        self._equal(g, f"{what} {name} line", printed.line, ours["line"])
        self._equal(g, f"{what} {name} inlined", printed.inlined, ours["inlined"])
        if not printed.inlined:
            self._equal(g, f"{what} {name} pc", hex(printed.pc), ours["pc"])

    def _without_dying(self, g, frames):
        """Only a goroutine that its own thread printed has more calls above what it printed."""
        start = next((frame.pc for frame in g.frames if not frame.inlined), None)
        if start is None or not (g.first or g.section):
            return frames
        above = 0
        for index, frame in enumerate(frames):
            if not frame["inlined"] and frame["pc"] == hex(start):
                break
            if not frame["inlined"]:
                above = index + 1
        else:
            return frames
        if all(_plain(frame["function"]) in DYING for frame in frames[:above]):
            if above:
                self._rule("dying")
            return frames[above:]
        return frames

    def _without_elided(self, g, frames):
        if g.elided is None:
            return frames
        index, count = g.elided
        self._rule("elided")
        if count is None:
            # To 1.20 the runtime stops after 100 physical frames, all that inlining makes of them.
            if len(frames) <= index:
                self._say(g.id, f"Go left frames out after {index}, ours are {len(frames)}")
            return frames[:index]
        return frames[:index] + frames[index + count - self.left_out:]


def _left_out(notes):
    """How many frames of a very deep stack we leave out ourselves, in its middle."""
    for note in notes:
        found = re.fullmatch(r"(\d+) more frames between frame \d+ and \d+", note)
        if found:
            return int(found.group(1))
    return 0


def _plain(function):
    """Without what the linker adds for one of two calling conventions."""
    return (function or "").split(".abi")[0]


def _last_of_each(trace):
    """By number. A goroutine printed again by its own thread counts as it was then: nearest to
    the core."""
    result = {}
    for g in trace.goroutines:
        number = str(g.id)
        if number not in result or not g.unavailable:
            if number in result:
                g.first = g.first or result[number].first
            result[number] = g
    return result


def _status(task):
    if task["state"] == "waiting" and task["reason"]:
        return task["reason"]
    return task["state"]


def _minutes(task):
    if task["state"] not in ("waiting", "syscall") or task["since_ns"] is None:
        return 0
    return task["since_ns"] // 60_000_000_000


def _is_system(g):
    frames = [frame for frame in g.frames if frame.function != "runtime.goexit"]
    entry = frames[-1].function if frames else ""
    if entry in USER_ENTRIES or not entry.startswith("runtime."):
        return False
    if entry in CALLBACK_ENTRIES:
        return all(frame.function.startswith("runtime.") for frame in frames)
    return True


def name_for_print(name, minor):
    """runtime/traceback.go, funcNamePiecesForPrint (before 1.21 names are printed as they are)."""
    left, right = name.find("["), name.rfind("]")
    if minor < 21 or left < 0 or right <= left:
        return name
    whole = name[:left] + "[...]" + name[right + 1:]
    interior = name[left + 1:right]
    if minor < 27 or "[" not in interior:
        return whole
    # From 1.27 a generic method of a generic type keeps what stands between its two lists.
    depth, end = 1, -1
    for index, sign in enumerate(interior):
        if sign == "[":
            depth += 1
            if depth == 1:
                return name[:left] + "[...]" + interior[end + 1:index] + "[...]" + name[right + 1:]
        elif sign == "]":
            depth -= 1
            if depth == 0:
                end = index
    return whole if depth == 1 and end < 0 else name
