"""The `leaks` commands in gdb; what they say comes from libcoreanalyze.

leaks.py loads this file. leaks_gdb_target.py shows the engine what gdb has in its hands,
leaks_gdb_frames.py shows gdb a parked task. Nothing of the target is written.
"""

import os
import struct
import time

import gdb

import coreanalyze
import exported_names
import leaks_commands as shared
import leaks_gdb_frames as frames
from leaks_gdb_target import Adapter, core_path


class _Host(shared.Host):
    def __init__(self):
        self.stopped = None  # CLOCK_MONOTONIC and CLOCK_REALTIME when the target last stopped
        self.adapter = None

    def write(self, text):
        gdb.write(text)

    def colour(self):
        return bool(gdb.parameter("style enabled")) and os.isatty(1) \
            and "NO_COLOR" not in os.environ

    def width(self):
        return gdb.parameter("width") or 0

    @staticmethod
    def _kind():
        inferior = gdb.selected_inferior()
        connection = inferior.connection
        if connection is None or not inferior.threads():
            raise shared.Failed("There is nothing to look at: load a core (`core-file FILE`), "
                                "`run` a program, or `attach` to one.")
        if any(thread.is_running() for thread in inferior.threads()):
            raise shared.Failed("The program is running: stop it first (Ctrl-C or `interrupt`).")
        return connection.type

    def key(self):
        kind = self._kind()
        inferior = gdb.selected_inferior()
        core = core_path() if kind == "core" else None
        return inferior.num, inferior.pid, kind, core, gdb.current_progspace().filename

    def open(self, options):
        kind = self._kind()
        # gdb keeps the target still as long as the session is used.
        options = dict(options, hold=True)
        sysroot = gdb.parameter("sysroot")
        if sysroot and not sysroot.startswith("target:") and "sysroot" not in options:
            options["sysroot"] = sysroot
        if kind == "core":
            path = core_path()
            if path is not None and os.path.isfile(path):
                if gdb.current_progspace().filename:
                    options.setdefault("exe", gdb.current_progspace().filename)
                return coreanalyze.open_core(path, **options)
        self.close()
        self.adapter = Adapter(gdb.selected_inferior(), kind == "native", self.stopped or _now(),
                               frames.Unmoved)
        return coreanalyze.from_target(self.adapter, **options)

    def close(self):
        if self.adapter is not None:
            self.adapter.close()
            self.adapter = None


def _now():
    return time.monotonic_ns(), time.time_ns()


_host = _Host()
_commands = shared.Commands(_host)

shared.COMMANDS["select"] = shared.COMMANDS["select"]._replace(text="""\
Show a parked task as if it were the selected thread: `bt`, `up`, `frame`, `info locals`, `print`.
The thread's own frame stays #0, hidden in `bt`; the task starts at #1. Nothing of the target is
written. `continue`, `step` and the like, `thread N` or `leaks select` alone put everything back:
they are for the thread. Of a task that runs, its thread is selected.

Example: what goroutine 17 was given
  leaks select 17
  bt
  info args""")
shared.COMMANDS["apply"] = shared.COMMANDS["apply"]._replace(text="""\
Run a gdb command on tasks, each selected in turn, as `thread apply` does with threads.
What was selected before is selected again at the end.

Example: three frames of every task
  leaks apply all bt 3""")


class _Command(gdb.Command):
    """One of the shared commands."""

    def __init__(self, name):
        self.name = name
        # gdb takes the help from the class.
        super().__init__(f"leaks {name}".strip(), gdb.COMMAND_STACK, prefix=not name)

    def invoke(self, line, from_tty):
        self.dont_repeat()
        _name_threads()
        try:
            self.work(line)
        except (shared.Failed, coreanalyze.CoreanalyzeError, coreanalyze.LibraryError) as error:
            raise gdb.GdbError(str(error)) from None

    def work(self, line):
        if not self.name and line and not line.startswith("-"):
            first, _, rest = line.partition(" ")
            if first != "leaks":
                raise shared.Failed(f"There is no `leaks {first}`; `help leaks` lists what there "
                                    "is.")
            line = rest
        _commands.run(self.name, line)

    def complete(self, text, word):
        # gdb breaks words at more than blanks: --sort is "--" and "sort" to it.
        whole = "" if text != text.rstrip() else (text.split() or [""])[-1]
        found = shared.complete(self.name, text, whole, _commands.kept_ids())
        if found is None:
            return gdb.COMPLETE_FILENAME
        cut = len(whole) - len(word or "")
        return [text[cut:] for text in found]


class _SelectCommand(_Command):
    def work(self, line):
        words = shared.split(line)
        if not words:
            frames.deselect()
            if gdb.selected_thread() is not None:
                gdb.newest_frame().select()
            return
        frames.add_hooks()
        frames.select(_commands.session(), words[0])
        gdb.execute("frame", from_tty=False)
        _name_frame()


def _name_frame():
    """gdb's own line says ?? in a stripped program."""
    selection = frames.unwinder.selection
    for at in selection.named(gdb.selected_frame()) if selection is not None else ():
        if at.function:
            gdb.write(f"{at.function} at {at.file}:{at.line}\n")


class _ApplyCommand(_Command):
    def work(self, line):
        ids, command = _commands.apply_words(line)
        before = frames.unwinder.selection
        thread = gdb.selected_thread()
        level = gdb.selected_frame().level() if thread is not None else 0
        try:
            for id in ids:
                gdb.write(f"\nTask {id}:\n")
                self._one(id, command)
        finally:
            # The command may have moved the target: then there is nothing to go back to.
            if thread is not None and thread.is_valid() and not thread.is_running():
                thread.switch()
                frames.unwinder.selection = before if _commands.kept() else None
                gdb.invalidate_cached_frames()
                frames.select_level(level)

    @staticmethod
    def _one(id, command):
        try:
            frames.select(_commands.session(), id)
            gdb.execute(command, from_tty=False)
        except (shared.Failed, gdb.error) as error:
            gdb.write(f"{error}\n")


def _register():
    classes = {"select": _SelectCommand, "apply": _ApplyCommand}
    for name in shared.COMMANDS:
        base = classes.get(name, _Command)
        type(base.__name__, (base,), {"__doc__": shared.help_of(name)})(name)


# ---- events ------------------------------------------------------------------------------------


def _changed(_event=None):
    """The user wrote to the target: a task that is shown stays, what was found does not."""
    _commands.drop()
    _host.close()


def _called(event):
    """The user called a function of the program: all threads may have run. gdb goes back to the
    frame from which it was called, and must find it: the task goes with the next prompt."""
    if isinstance(event, gdb.InferiorCallPostEvent):
        _changed()
        if frames.unwinder.selection is not None:
            frames.unwinder.selection.stale = True


def _moved(_event=None):
    """gdb drops its frames itself; to do so in an event would pull them away under its feet."""
    _changed()
    frames.unwinder.selection = None


def _stopped(_event):
    _moved()
    gdb.invalidate_cached_frames()
    _host.stopped = _now()


def _prompt():
    """Another thread was selected: the task is no longer shown. A core was loaded: its threads may
    have names. (Without a terminal there is no prompt; then the first command of ours does it.)"""
    _name_threads()
    selection = frames.unwinder.selection
    if selection is not None and (selection.stale or not selection.is_here()):
        frames.deselect()


_unnamed = True


def _loaded(_event=None):
    global _unnamed
    _moved()
    _unnamed = True


def _name_threads():
    """An exported core says in a note of ours which thread shows which task."""
    global _unnamed
    if not _unnamed:
        return
    _unnamed = False
    try:
        inferior = gdb.selected_inferior()
        if inferior.connection is None or inferior.connection.type != "core":
            return
        names = dict(exported_names.read(core_path()))
        for thread in inferior.threads() if names else ():
            name = names.get(thread.ptid[1])
            if name:
                thread.name = name
    except (OSError, gdb.error, ValueError, struct.error, TypeError):
        pass  # names are a comfort: without them the threads show their numbers


def _connect():
    gdb.events.stop.connect(_stopped)
    for event in ("cont", "exited", "inferior_deleted", "register_changed"):
        getattr(gdb.events, event).connect(_moved)
    gdb.events.memory_changed.connect(_changed)
    gdb.events.inferior_call.connect(_called)
    for event in ("clear_objfiles", "new_objfile"):
        getattr(gdb.events, event).connect(_loaded)
    gdb.events.before_prompt.connect(_prompt)


_register()
_connect()
_loaded()
