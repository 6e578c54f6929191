"""Parked tasks as lldb's threads: the commands that need them, and what leaks_threads.py shows."""

import os

import lldb

import leaks_commands as shared
from leaks_lldb_target import arch

_HERE = os.path.dirname(os.path.realpath(__file__))
_FIRST_TID = 100000000


class Chosen:
    """The tasks that leaks_threads.py shows as threads; the plug-in asks this object."""

    def __init__(self):
        self.key = None
        self.arch = "amd64"
        self.tids = {}  # tid -> (name, registers)
        self.before = None  # the thread that was selected before there were any

    def current(self, process):
        """Those of this stop; after the target moved there are none."""
        return self.tids if self.key == (process.GetUniqueID(), process.GetStopID()) else {}

    def show(self, debugger, process, tasks):
        selected = process.GetSelectedThread().GetThreadID()
        if selected not in self.current(process):
            self.before = selected
        self.key = process.GetUniqueID(), process.GetStopID()
        self.arch = arch(process.GetTarget())
        self.tids = tasks
        # Setting it again is what makes lldb ask again.
        _quietly(debugger, "settings clear target.process.python-os-plugin-path")
        plugin = os.path.join(_HERE, "leaks_threads.py")
        if tasks:
            _quietly(debugger, f'settings set target.process.python-os-plugin-path "{plugin}"')
        if selected not in tasks and self.before is not None:
            process.SetSelectedThreadByID(self.before)


def _quietly(debugger, command):
    result = lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand(command, result)
    if not result.Succeeded():
        raise shared.Failed((result.GetError() or command).strip())


chosen = Chosen()

shared.COMMANDS["select"] = shared.COMMANDS["select"]._replace(text="""\
Show a parked task as a thread of its own, selected: `bt`, `up`, `frame variable`.
Nothing of the target is written. `continue` or `leaks select` alone put everything back. Of a task
that runs, its thread is selected.
lldb cannot: step a task (`step`, `next`, `finish` let the whole program run on; `leaks select` alone
first); show variables of Go (`leaks locals` does); follow every stack. It loses frames in Go, and,
before lldb 21, in programs where the compiler has split functions in two (gcc does with -O2): of
their threads as well as of their tasks. Where that is so, a line says it; `leaks bt` has all frames.

Example: the stack of task pth:3
  leaks select pth:3
  bt""")
shared.COMMANDS["apply"] = shared.COMMANDS["apply"]._replace(text="""\
Run an lldb command on tasks, each selected in turn.
What was selected before is selected again at the end. A command with options of its own is put
behind --, or between quotes: `leaks apply all -- bt -c 3`.

Example: three frames of every task
  leaks apply all bt 3""")
shared.COMMANDS["threads"] = shared.Help("leaks threads [all | ID... | --group ID]", """\
Show chosen tasks as threads in `thread list`: all, some, or the group of one. Alone: none.

Example: the group of goroutine 17
  leaks threads --group 17""", True)


class Commands(shared.Commands):
    """The commands that need lldb's threads, beside the shared ones."""

    def _choose(self, ids):
        """Makes the tasks threads; returns their thread ids, or why there is none. Of a task that
        runs, its thread."""
        session = self.session()
        tasks, found = {}, []
        for id in ids:
            index = session.find(id)
            state, tid = session.state(index)
            if state == "running" and tid is not None:
                found.append(tid)
            elif not session.frames(index):
                found.append(f"Task {id} ({state}) has no stack to show: `leaks task {id}`.")
            else:
                found.append(_FIRST_TID + index)
                tasks[found[-1]] = f"task {id}", session.registers(index)
        self._show(tasks)
        return found

    def _show(self, tasks):
        chosen.show(self.host.debugger, self.host.process(), tasks)

    def _go_to(self, tid):
        if isinstance(tid, str):
            raise shared.Failed(tid)
        process = self.host.process()
        if not process.SetSelectedThreadByID(tid):
            raise shared.Failed(f"lldb does not show thread {tid}.")
        process.GetSelectedThread().SetSelectedFrame(0)

    def select(self, words):
        if not words:
            self._show({})
            return
        tid = self._choose(words[:1])[0]
        self._go_to(tid)
        self.host.execute("frame info")
        if tid >= _FIRST_TID:
            self._say_what_is_lost(words[0])

    def _say_what_is_lost(self, id):
        """lldb 19 takes a function whose cold part lies elsewhere for all that lies between, and has
        then no unwind information for the functions there (llvm/llvm-project, pull request 133072)."""
        session, thread = self.session(), self.host.process().GetSelectedThread()
        ours = {frame.sp for frame in session.frames(session.find(id))}
        # Inlined calls are frames as well. A stack that lldb does not get out of has no end.
        left, at = len(ours) * 16 + 64, 0
        lost = set(ours)
        while lost and at < left and (frame := thread.GetFrameAtIndex(at)).IsValid():
            lost.discard(frame.GetSP())
            at += 1
        if lost:
            self.host.write(f"lldb's own `bt` leaves out {len(lost)} of its {len(ours)} frames; "
                            f"`leaks bt {id}` has them all.\n")

    def threads(self, words):
        if not words:
            self._show({})
            self.host.write("No tasks are threads now.\n")
            return
        found = self._choose(self._ids(words))
        without = [why for why in found if isinstance(why, str)]
        for why in without[:5]:
            self.host.write(why + "\n")
        self.host.write(f"{len(found) - len(without)} tasks are threads now: `thread list`, "
                        "`thread backtrace all`.\n")

    def _ids(self, words):
        if words == ["all"]:
            return list(self.session().ids())
        if len(words) == 2 and words[0] == "--group":
            for group in self.session().leaks()["groups"]:
                if words[1] in group["ids"]:
                    return group["ids"]
            raise shared.Failed(f"Task {words[1]} is in no group.")
        return words

    def apply(self, line):
        ids, command = self.apply_words(line)
        process = self.host.process()
        before, shown = process.GetSelectedThread().GetThreadID(), chosen.current(process)
        try:
            for id, tid in zip(ids, self._choose(ids)):
                self.host.write(f"\nTask {id}:\n")
                try:
                    self._go_to(tid)
                    self.host.execute(command)
                except shared.Failed as error:
                    self.host.write(f"{error}\n")
        finally:
            if process.GetState() == lldb.eStateStopped:
                self._show(shown)
                process.SetSelectedThreadByID(before)
