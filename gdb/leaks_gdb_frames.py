"""A parked task in the place of a thread's callers: for gdb's own bt, up, frame, info locals, print.

An unwinder lets the thread's own frame stay #0 and continues with the task's frames behind it; a
frame filter hides #0 and names what gdb cannot name. Nothing of the target is written.
"""

import gdb
import gdb.unwinder
from gdb.FrameDecorator import FrameDecorator

import leaks_commands as shared
import leaks_target
from leaks_gdb_target import FULL, arch, number


class Selection:
    """A task in the place of one thread's callers. physical: the registers of each frame that is
    not an inlined part of another one; native: gdb's own CFI follows them from the first."""

    def __init__(self, session, index, id, thread):
        self.id = id
        self.stale = False
        self.thread = thread.num, thread.ptid
        self.arch_name = arch()
        self.arch = leaks_target.ARCHES[self.arch_name]
        self.frames = session.frames(index)
        self.physical = self._physical(session, index)
        # Go: the runtime's tables give no more than pc, sp and fp, for every frame.
        self.native = len(session.registers(index, 0)) > 3
        self.own = self._place(gdb.newest_frame())
        self.by_sp = {regs[self.arch.sp]: i for i, regs in enumerate(self.physical)}
        self.by_place = {}
        for at in self.frames:
            self.by_place.setdefault((at.sp, at.pc), []).append(at)

    def _physical(self, session, index):
        found = []
        for frame in range(len(self.frames)):
            regs = session.registers(index, frame)
            if not found or regs[self.arch.sp] != found[-1][self.arch.sp]:
                found.append(regs)
        return found

    def _place(self, frame):
        return (number(frame, self.arch.names[self.arch.sp]),
                number(frame, self.arch.names[self.arch.pc]))

    def cfa(self, at, otherwise):
        """Where the frame ends: gdb takes the id's sp for DW_OP_call_frame_cfa. Not always the
        next frame's sp: wrappers are left out. Go keeps the frame pointer two words below."""
        fp = self.physical[at].get(self.arch.fp) if self.arch_name == "amd64" else None
        return otherwise if fp is None else fp + 16

    def is_here(self):
        thread = gdb.selected_thread()
        return thread is not None and (thread.num, thread.ptid) == self.thread

    def is_own(self, frame):
        """One of the thread's own frames: what it runs, with the calls that are inlined there."""
        return self._place(frame) == self.own

    def named(self, frame):
        """The engine's frames for one of gdb's that gdb has no name for."""
        return self.by_place.get(self._place(frame), []) if frame.function() is None else []


class _FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class _Unwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("coreanalyze")
        self.selection = None
        self.hidden = 0
        self.hooked = False

    def __call__(self, pending):
        selection = self.selection
        if selection is None or self.hidden or not selection.is_here():
            return None
        known = selection.arch
        here = (int(pending.read_register(known.names[known.sp])) & FULL,
                int(pending.read_register(known.names[known.pc])) & FULL)
        first = selection.physical[0]
        if here == selection.own:
            # An id on the task's stack: gdb refuses callers that lie below their callee.
            return self._info(pending, (first[known.sp], here[1]), first, known)
        at = selection.by_sp.get(here[0])
        if at is None or selection.physical[at][known.pc] != here[1] or selection.native:
            return None
        last = at + 1 == len(selection.physical)
        older = {known.sp: here[0] + 8, known.pc: 0} if last else selection.physical[at + 1]
        place = selection.cfa(at, older[known.sp]), _function_start(here[1])
        return self._info(pending, place, older, known)

    @staticmethod
    def _info(pending, place, registers, known):
        # Go programs have no type `unsigned long` to look up.
        kind = pending.architecture().integer_type(64, False)
        sp, pc = (gdb.Value(value).cast(kind) for value in place)
        info = pending.create_unwind_info(_FrameId(sp, pc))
        for register, value in registers.items():
            info.add_saved_register(known.names[register], gdb.Value(value).cast(kind))
        return info


def _function_start(pc):
    """gdb's own frame ids have it: with the same ones it finds a frame again after a stop."""
    block = gdb.block_for_pc(pc)
    while block is not None and block.function is None:
        block = block.superblock
    return pc if block is None else block.start


class Hidden:
    """While it lasts, gdb sees the threads as they are."""

    def __enter__(self):
        if unwinder.selection is not None:
            unwinder.hidden += 1
            gdb.invalidate_cached_frames()

    def __exit__(self, *_exc):
        if unwinder.hidden:
            unwinder.hidden -= 1
            gdb.invalidate_cached_frames()


class Unmoved:
    """While it lasts, threads may be switched, and gdb sees them as they are; then the user's
    thread and frame are selected again."""

    def __enter__(self):
        self.thread = gdb.selected_thread()
        self.level = gdb.selected_frame().level() if self.thread is not None else 0
        self.hidden = Hidden()
        self.hidden.__enter__()

    def __exit__(self, *_exc):
        if self.thread is not None and self.thread.is_valid():
            self.thread.switch()
        self.hidden.__exit__()
        if self.thread is not None and self.thread.is_valid():
            select_level(self.level)


def select_level(level):
    frame = gdb.newest_frame()
    while level > 0 and frame.older() is not None:
        level -= 1
        frame = frame.older()
    frame.select()


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
    name, priority, enabled = "coreanalyze", 90, True

    def filter(self, frames):
        selection = unwinder.selection
        if selection is None or unwinder.hidden or not selection.is_here():
            return frames
        return self._shown(frames, selection)

    @staticmethod
    def _shown(frames, selection):
        for decorated in frames:
            frame = decorated.inferior_frame()
            if selection.is_own(frame) or frame.pc() == 0:
                continue
            named = selection.named(frame)
            if not named:
                yield decorated
            for at in named:  # the calls that were inlined here, then the function
                yield _Named(decorated, at)


unwinder = _Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
gdb.frame_filters[_Filter.name] = _Filter()


def deselect():
    """The debugger's own frames again."""
    if unwinder.selection is not None:
        unwinder.selection = None
        gdb.invalidate_cached_frames()


def select(session, id):
    """Shows a task, and selects its first frame; of one that runs, its thread."""
    index = session.find(id)
    state, tid = session.state(index)
    if state == "running" and tid is not None:
        deselect()
        _select_thread(tid)
        return
    if not session.frames(index):
        raise shared.Failed(f"Task {id} ({state}) has no stack to show: `leaks task {id}`.")
    thread = gdb.selected_thread()
    if thread is None:
        raise shared.Failed("No thread is selected.")
    deselect()
    selection = Selection(session, index, id, thread)
    unwinder.selection = selection
    gdb.invalidate_cached_frames()
    frame = gdb.newest_frame()
    while frame is not None and selection.is_own(frame):
        frame = frame.older()
    if frame is None:
        deselect()
        raise shared.Failed(f"gdb does not follow the stack of task {id}; `leaks bt {id}` does.")
    frame.select()


def _select_thread(tid):
    for thread in gdb.selected_inferior().threads():
        if tid in thread.ptid:
            thread.switch()
            gdb.newest_frame().select()
            return
    raise shared.Failed(f"It runs on thread {tid}, which gdb does not list.")


# ---- commands that must not see the task -------------------------------------------------------

# What resumes the thread takes the ids of its frames first; gdb tells scripts only afterwards.
_MOVING = ("step", "next", "stepi", "nexti", "finish", "until", "advance", "thread")
_REFUSED = {"return": "it would write the task's registers to the thread",
            "jump": "it would move the thread, not the task"}


class _Before(gdb.Command):
    """What the hooks run: not for people. An error here is one line, and ends the command."""

    def __init__(self):
        super().__init__("maintenance leaks-before", gdb.COMMAND_MAINTENANCE)

    def invoke(self, command, from_tty):
        if unwinder.selection is None:
            return
        if command in _REFUSED:
            raise gdb.GdbError(f"`{command}` is for threads, and task {unwinder.selection.id} is "
                               f"selected: {_REFUSED[command]}. `leaks select` alone goes back.")
        deselect()


def add_hooks():
    """A user's own hook of that name stays."""
    if unwinder.hooked:
        return
    unwinder.hooked = True
    _Before()
    for command in (*_MOVING, *_REFUSED):
        try:
            gdb.execute(f"show user hook-{command}", to_string=True)
        except gdb.error:
            gdb.execute(f"define hook-{command}\nmaintenance leaks-before {command}\nend",
                        to_string=True)
