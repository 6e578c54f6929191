"""The `leaks` commands of coreanalyze in gdb 13 and newer: `source gdb/leaks.py`.

This file is a target adapter and commands; what they say comes from libcoreanalyze. Nothing of the
target is written: `leaks select` shows a parked task by an unwinder, which lets frame #0 stay the
thread's own and continues with the task's frames at #1.
"""

import os
import re
import struct
import sys
import time

import gdb
import gdb.unwinder
from gdb.FrameDecorator import FrameDecorator

_HERE = os.path.dirname(os.path.realpath(__file__))
# In a checkout and, beside this folder, where `make install` puts it.
for _folder in (os.path.join(_HERE, "..", "coreanalyze", "python"),
                os.path.join(_HERE, "..", "python")):
    _folder = os.path.normpath(_folder)
    if os.path.exists(os.path.join(_folder, "coreanalyze.py")) and _folder not in sys.path:
        sys.path.insert(0, _folder)

import coreanalyze  # noqa: E402
import exported_names  # noqa: E402
import leaks_commands as shared  # noqa: E402

# gdb's names by DWARF number.
_AMD64 = ("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip").split()
_ARM64 = [f"x{n}" for n in range(31)] + ["sp", "pc"]
# (names, gdb's register with the thread pointer, sp, fp, pc)
_ARCHES = {"amd64": (_AMD64, "fs_base", 7, 6, 16), "arm64": (_ARM64, "tpidr", 31, 29, 32)}


def _arch():
    name = _architecture_name()
    if name.startswith("i386:x86-64"):
        return "amd64"
    if name.startswith("aarch64"):
        return "arm64"
    raise shared.Failed(f"Programs for {name} are not known; amd64 and arm64 are.")


def _architecture_name():
    thread = gdb.selected_thread()
    if thread is not None and thread.is_valid():
        try:
            return gdb.newest_frame().architecture().name()
        except gdb.error:
            pass
    return gdb.selected_inferior().architecture().name()


def _number(frame, register):
    """A register as an unsigned number, or None."""
    try:
        value = frame.read_register(register)
        return None if value.is_optimized_out else int(value) & (2**64 - 1)
    except (gdb.error, ValueError):
        return None


# ---- the target --------------------------------------------------------------------------------


class _Adapter(coreanalyze.Adapter):
    """What gdb has in its hands: a process it traces, or a remote target."""

    def __init__(self, inferior, local, now_ns):
        self.arch = _arch()
        self.inferior = inferior
        self.pid = inferior.pid or None
        self.executable = gdb.current_progspace().filename
        self.now_ns = now_ns if local else None
        self.memory = None
        if local:
            try:
                self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass  # gdb reads it for us, slower

    def close(self):
        if self.memory is not None:
            os.close(self.memory)
            self.memory = None

    def read(self, address, size):
        if self.memory is not None:
            try:
                return os.pread(self.memory, size, address)
            except (OSError, OverflowError):
                return None
        try:
            return self.inferior.read_memory(address, size)
        except gdb.error:
            return None

    def threads(self):
        """Every thread with its registers; the user's thread and frame stay selected."""
        names, tls, *_ = _ARCHES[self.arch]
        here = gdb.selected_thread()
        frame = gdb.selected_frame() if here is not None else None
        level = frame.level() if frame is not None else 0
        found = []
        try:
            with _Hidden():
                for thread in self.inferior.threads():
                    if thread.is_valid() and not thread.is_running():
                        found.append(self._thread(thread, names, tls))
        finally:
            if here is not None and here.is_valid():
                here.switch()
                _select_level(level)
        return sorted(found)

    @staticmethod
    def _thread(thread, names, tls):
        thread.switch()
        frame = gdb.newest_frame()
        registers = {}
        for number, name in enumerate(names):
            value = _number(frame, name)
            if value is not None:
                registers[number] = value
        return coreanalyze.Thread(thread.ptid[1] or thread.ptid[0], registers,
                                  _number(frame, tls) or 0, thread.name or "")

    def mappings(self):
        if self.memory is not None:
            with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="surrogateescape") as text:
                return list(_proc_maps(text))
        try:
            found = list(_gdb_maps(gdb.execute("info proc mappings", to_string=True)))
        except gdb.error:
            found = []
        return found or list(_section_maps())


_FLAGS = {"r": 4, "w": 2, "x": 1}


def _flags(text):
    return sum(bit for letter, bit in _FLAGS.items() if letter in text)


def _proc_maps(lines):
    for line in lines:
        words = line.rstrip("\n").split(None, 5)
        start, _, end = words[0].partition("-")
        path = words[5] if len(words) > 5 else None
        yield coreanalyze.Mapping(int(start, 16), int(end, 16), int(words[2], 16),
                                  _flags(words[1]), path)


_GDB_MAP = re.compile(r"\s*(0x[0-9a-f]+)\s+(0x[0-9a-f]+)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+)"
                      r"(?:\s+([r-][w-][x-][ps-]))?\s*(.*)$")


def _gdb_maps(text):
    for line in text.splitlines():
        match = _GDB_MAP.match(line)
        if match:
            start, end, offset, flags, path = match.groups()
            yield coreanalyze.Mapping(int(start, 16), int(end, 16), int(offset, 16),
                                      _flags(flags) if flags else 7, path.strip() or None)


def _section_maps():
    """A stub that knows no mappings: one for each loadable segment of what gdb has loaded."""
    for objfile in gdb.objfiles():
        if objfile.filename and os.path.isfile(objfile.filename):
            yield from _segments(objfile.filename, _load_bias(objfile))


def _load_bias(objfile):
    """Where gdb has the file, relative to its own addresses."""
    text = gdb.execute("info files", to_string=True)
    with open(objfile.filename, "rb") as file:
        entry = struct.unpack_from("<Q", file.read(64), 24)[0]
    if objfile.filename == gdb.current_progspace().filename:
        match = re.search(r"Entry point: (0x[0-9a-f]+)", text)
        return int(match.group(1), 16) - entry if match else 0
    return 0


def _segments(path, bias):
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return
        offset, size, count = (struct.unpack_from("<Q", head, 32)[0],
                               *struct.unpack_from("<HH", head, 54))
        file.seek(offset)
        table = file.read(size * count)
    for i in range(count):
        kind, flags, at, address, _, _, length, _ = struct.unpack_from("<IIQQQQQQ", table, i * size)
        if kind == 1:
            low = (address + bias) & ~0xfff
            high = (address + bias + length + 0xfff) & ~0xfff
            yield coreanalyze.Mapping(low, high, at & ~0xfff, flags, path)


def _select_level(level):
    frame = gdb.newest_frame()
    while level > 0 and frame is not None:
        level -= 1
        frame = frame.older()
    if frame is not None:
        frame.select()


_CORE_LINE = re.compile(r"^Local core dump file:\s*`(.*)', file type", re.M)


class _Host(shared.Host):
    def __init__(self):
        self.stopped_ns = None  # CLOCK_MONOTONIC when the target last stopped
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

    @staticmethod
    def _core_path():
        match = _CORE_LINE.search(gdb.execute("info files", to_string=True))
        return os.path.expanduser(match.group(1)) if match else None

    def key(self):
        kind = self._kind()
        inferior = gdb.selected_inferior()
        core = self._core_path() if kind == "core" else None
        return inferior.num, inferior.pid, kind, core, gdb.current_progspace().filename

    def open(self, options):
        kind = self._kind()
        # gdb keeps the target still as long as the session is used.
        options = dict(options, hold=True)
        sysroot = gdb.parameter("sysroot")
        if sysroot and not sysroot.startswith("target:") and "sysroot" not in options:
            options["sysroot"] = sysroot
        if kind == "core":
            path = self._core_path()
            if path is not None and os.path.isfile(path):
                if gdb.current_progspace().filename:
                    options.setdefault("exe", gdb.current_progspace().filename)
                return coreanalyze.open_core(path, **options)
        self.close()
        self.adapter = _Adapter(gdb.selected_inferior(), kind == "native",
                                self.stopped_ns or time.monotonic_ns())
        return coreanalyze.from_target(self.adapter, **options)

    def close(self):
        if self.adapter is not None:
            self.adapter.close()
            self.adapter = None


# ---- showing a parked task ---------------------------------------------------------------------


class _Selection:
    """A parked task in the place of one thread's callers."""

    def __init__(self, session, index, id, thread):
        self.id = id
        self.thread = thread.num, thread.ptid
        self.arch = _arch()
        self.frames = session.frames(index)
        self.physical = self._physical(session, index)
        self.native = not self._all_ours(session, index)
        frame = gdb.newest_frame()
        names, _, sp, _, pc = _ARCHES[self.arch]
        self.own = _number(frame, names[sp]), _number(frame, names[pc])
        self.by_sp = {regs[sp]: i for i, regs in enumerate(self.physical)}
        self.by_place = {}
        for at in self.frames:
            self.by_place.setdefault((at.sp, at.pc), []).append(at)

    def _physical(self, session, index):
        """The registers of each frame that is not an inlined part of another one."""
        _, _, sp, _, _ = _ARCHES[self.arch]
        found = []
        for number in range(len(self.frames)):
            regs = session.registers(index, number)
            if not found or regs[sp] != found[-1][sp]:
                found.append(regs)
        return found

    @staticmethod
    def _all_ours(session, index):
        """Go: our frames, by the runtime's tables. Else gdb's own CFI may do, from the first."""
        return len(session.registers(index, 0)) <= 3

    def cfa(self, at, otherwise):
        """Where the frame ends: gdb takes the id's sp for DW_OP_call_frame_cfa. Not always the
        next frame's sp: wrappers are left out. Go keeps the frame pointer two words below."""
        fp = self.physical[at].get(_ARCHES["amd64"][3]) if self.arch == "amd64" else None
        return otherwise if fp is None else fp + 16

    def is_here(self):
        thread = gdb.selected_thread()
        return thread is not None and (thread.num, thread.ptid) == self.thread


class _FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class _Unwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("coreanalyze")
        self.selection = None
        self.hidden = 0

    def __call__(self, pending):
        selection = self.selection
        if selection is None or self.hidden or not selection.is_here():
            return None
        names, _, sp, _, pc = _ARCHES[selection.arch]
        here = (int(pending.read_register(names[sp])) & (2**64 - 1),
                int(pending.read_register(names[pc])) & (2**64 - 1))
        first = selection.physical[0]
        if pending.level() == 0:
            if here != selection.own:
                return None
            return self._info(pending, (first[sp], here[1]), first, selection.arch)
        at = selection.by_sp.get(here[0])
        if at is None or selection.physical[at][pc] != here[1]:
            return None
        if selection.native:
            return None
        last = at + 1 == len(selection.physical)
        older = {sp: here[0] + 8, pc: 0} if last else selection.physical[at + 1]
        return self._info(pending, (selection.cfa(at, older[sp]), here[1]), older, selection.arch)

    @staticmethod
    def _info(pending, place, registers, arch):
        # Go programs have no type `unsigned long` to look up.
        kind = pending.architecture().integer_type(64, False)
        sp, pc = (gdb.Value(value).cast(kind) for value in place)
        info = pending.create_unwind_info(_FrameId(sp, pc))
        for number, value in registers.items():
            info.add_saved_register(_ARCHES[arch][0][number], gdb.Value(value).cast(kind))
        return info


class _Hidden:
    """While it lasts, gdb sees the threads as they are."""

    def __enter__(self):
        if _unwinder.selection is not None:
            _unwinder.hidden += 1
            gdb.invalidate_cached_frames()

    def __exit__(self, *_exc):
        if _unwinder.hidden:
            _unwinder.hidden -= 1
            gdb.invalidate_cached_frames()


class _Named(FrameDecorator):
    """The engine's name where gdb has none: stripped programs."""

    def __init__(self, base, named):
        super().__init__(base)
        self.named = named

    def function(self):
        return self.named.function or super().function()

    def filename(self):
        return self.named.file or super().filename()

    def line(self):
        return self.named.line or super().line()

    def frame_args(self):
        return None

    def frame_locals(self):
        return None


class _Filter:
    """Hides the thread's own frame before a task, and names what gdb cannot name."""

    name, priority, enabled = "coreanalyze", 90, True

    def __init__(self):
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        selection = _unwinder.selection
        if selection is None or _unwinder.hidden or not selection.is_here():
            return frames
        return self._shown(frames, selection)

    @staticmethod
    def _shown(frames, selection):
        names, _, sp, _, pc = _ARCHES[selection.arch]
        for decorated in frames:
            frame = decorated.inferior_frame()
            if frame.level() == 0 or frame.pc() == 0:
                continue
            named = None
            if frame.function() is None:
                place = _number(frame, names[sp]), _number(frame, names[pc])
                named = selection.by_place.get(place)
            if not named:
                yield decorated
                continue
            for at in named:  # the calls that were inlined here, then the function
                yield _Named(decorated, at)


_host = _Host()
_commands = shared.Commands(_host)
_unwinder = _Unwinder()
_filter = _Filter()
gdb.unwinder.register_unwinder(None, _unwinder, replace=True)


def _deselect():
    """The debugger's own frames again."""
    if _unwinder.selection is not None:
        _unwinder.selection = None
        gdb.invalidate_cached_frames()


def _select(id):
    """Shows a task; returns its first frame, or None where it has none."""
    session = _commands.session()
    index = session.find(id)
    state, tid = session.state(index)
    _deselect()
    if state == "running" and tid is not None:
        return _select_thread(tid)
    if not session.frames(index):
        raise shared.Failed(f"Task {id} ({state}) has no stack to show: `leaks task {id}`.")
    thread = gdb.selected_thread()
    if thread is None:
        raise shared.Failed("No thread is selected.")
    _unwinder.selection = _Selection(session, index, id, thread)
    gdb.invalidate_cached_frames()
    frame = gdb.newest_frame().older()
    if frame is None:
        _deselect()
        raise shared.Failed(f"gdb does not follow the stack of task {id}; `leaks bt {id}` does.")
    frame.select()
    return frame


def _select_thread(tid):
    for thread in gdb.selected_inferior().threads():
        if tid in thread.ptid:
            thread.switch()
            frame = gdb.newest_frame()
            frame.select()
            return frame
    raise shared.Failed(f"It runs on thread {tid}, which gdb does not list.")


# ---- commands ----------------------------------------------------------------------------------

_SELECT_HELP = """\
Show a parked task as if it were the selected thread: `bt`, `up`, `frame`, `info locals`, `print`.
The thread's own frame stays #0, hidden in `bt`; the task starts at #1. Nothing of the target is
written. `continue`, another thread or `leaks select` alone put everything back. Of a task that
runs, its thread is selected.

Example: what goroutine 17 was given
  leaks select 17
  bt
  info args"""

_APPLY_HELP = """\
Run a gdb command on tasks, each selected in turn, as `thread apply` does with threads.
What was selected before is selected again at the end.

Example: three frames of every task
  leaks apply all bt 3"""


class _Command(gdb.Command):
    """One of the shared commands."""

    def __init__(self, name, text):
        self.name = name
        usage = shared.COMMANDS[name].usage
        self.__doc__ = f"{text}\n\nUsage: {usage}"
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
        if self.name not in ("", *shared.COMMANDS):
            raise shared.Failed(f"There is no `leaks {self.name}`.")
        if line.split()[:1] == ["leaks"] and not self.name:
            line = line.split(None, 1)[1] if " " in line else ""
        if not self.name and line and not line.startswith("-"):
            raise shared.Failed(f"There is no `leaks {line.split()[0]}`; `help leaks` lists what "
                                "there is.")
        _commands.run(self.name, line)

    def complete(self, text, word):
        # gdb breaks words at more than blanks: --sort is "--" and "sort" to it.
        whole = text[len(text.rstrip()):] and "" or (text.split() or [""])[-1]
        found = shared.complete(self.name, text, whole, _commands.kept_ids())
        if found is None:
            return gdb.COMPLETE_FILENAME
        cut = len(whole) - len(word)
        return [text[cut:] for text in found]


class _SelectCommand(_Command):
    def work(self, line):
        words = shared.split(line)
        if not words:
            _deselect()
            if gdb.selected_thread() is not None:
                gdb.newest_frame().select()
            return
        _select(words[0])
        gdb.execute("frame", from_tty=False)
        _name_frame()


def _name_frame():
    """gdb's own line says ?? in a stripped program."""
    frame, selection = gdb.selected_frame(), _unwinder.selection
    if selection is not None and frame.function() is None:
        names, _, sp, _, pc = _ARCHES[selection.arch]
        for at in selection.by_place.get((_number(frame, names[sp]), _number(frame, names[pc])), []):
            if at.function:
                gdb.write(f"{at.function} at {at.file}:{at.line}\n")


class _ApplyCommand(_Command):
    def work(self, line):
        ids, command = self._ids(line)
        before = _unwinder.selection
        thread = gdb.selected_thread()
        level = gdb.selected_frame().level() if thread is not None else 0
        try:
            for id in ids:
                gdb.write(f"\nTask {id}:\n")
                self._one(id, command)
        finally:
            if thread is not None and thread.is_valid():
                thread.switch()
                _unwinder.selection = before
                gdb.invalidate_cached_frames()
                _select_level(level)

    @staticmethod
    def _one(id, command):
        try:
            _select(id)
            gdb.execute(command, from_tty=False)
        except shared.Failed as error:
            gdb.write(f"{error}\n")
        except gdb.error as error:
            gdb.write(f"{error}\n")

    def _ids(self, line):
        session = _commands.session()
        first, _, rest = line.strip().partition(" ")
        if first == "all":
            return list(session.ids()), self._command(rest)
        known, ids = set(session.ids()), []
        rest = line.strip()
        while rest:
            first, _, after = rest.partition(" ")
            if first not in known:
                break
            ids.append(first)
            rest = after.strip()
        if not ids:
            raise shared.Failed(f"There is no task {first or '(no id given)'}. Usage: "
                                + shared.COMMANDS["apply"].usage)
        return ids, self._command(rest)

    @staticmethod
    def _command(text):
        if not text.strip():
            raise shared.Failed("Which command? Usage: " + shared.COMMANDS["apply"].usage)
        return text.strip()


def _register():
    classes = {"select": _SelectCommand, "apply": _ApplyCommand}
    texts = {"select": _SELECT_HELP, "apply": _APPLY_HELP}
    for name, entry in shared.COMMANDS.items():
        base = classes.get(name, _Command)
        text = texts.get(name, entry.text)
        document = f"{text}\n\nUsage: {entry.usage}"
        type(base.__name__, (base,), {"__doc__": document})(name, text)


# ---- events ------------------------------------------------------------------------------------


def _moved(_event=None):
    _commands.drop()
    _host.close()
    _unwinder.selection = None


def _stopped(event):
    _moved(event)
    gdb.invalidate_cached_frames()
    _host.stopped_ns = time.monotonic_ns()


def _prompt():
    """Another thread was selected: the task is no longer shown. A core was loaded: its threads may
    have names. (Without a terminal there is no prompt; then the first command of ours does it.)"""
    _name_threads()
    selection = _unwinder.selection
    if selection is not None and not selection.is_here():
        _deselect()


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
        names = dict(exported_names.read(_Host._core_path()))
        for thread in inferior.threads() if names else ():
            name = names.get(thread.ptid[1])
            if name:
                thread.name = name
    except (OSError, gdb.error, struct.error, TypeError):
        pass  # names are a comfort: without them the threads show their numbers


def _connect():
    gdb.events.stop.connect(_stopped)
    for event in ("cont", "exited", "memory_changed", "register_changed", "inferior_deleted",
                  "clear_objfiles"):
        if hasattr(gdb.events, event):
            getattr(gdb.events, event).connect(_moved)
    gdb.events.new_objfile.connect(_loaded)
    gdb.events.before_prompt.connect(_prompt)


try:
    coreanalyze.library()
except coreanalyze.LibraryError as _error:
    raise gdb.GdbError(str(_error)) from None
_register()
_connect()
_loaded()
