"""coreanalyze from Python: what every task of a stopped program waits for.

    import coreanalyze

    with coreanalyze.open_core("core.4711") as session:
        for group in session.leaks()["groups"]:
            print(group["verdict"], group["count"], group["site"])

The answers are the JSON documents of the `coreanalyze` command, parsed. The module needs Python
3.9 or newer and libcoreanalyze.so, nothing else; gdb and lldb load it as it is.

Which library is taken: $COREANALYZE_LIB where it is set; else build/libcoreanalyze.so of the
checkout that holds this file; else the one installed with this file; else the system's.

Every session is used by one thread at a time. A session is closed by `close()`, by `with`, or when
it is collected.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from ctypes import (
    POINTER, byref, c_char, c_char_p, c_int, c_size_t, c_void_p, cast, memmove, sizeof,
)
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import coreanalyze_c as _c
from coreanalyze_c import REGS_MAX, UNKNOWN, LibraryError, library

__all__ = [
    "Adapter", "CoreanalyzeError", "Frame", "LibraryError", "Local", "Mapping", "Option",
    "Request", "Session", "Thread", "attach", "from_target", "open_core", "options", "parse",
    "version",
]

# Codes of CoreanalyzeError.
NOMEM, INVALID, IO, FORMAT, FAULT, NOT_FOUND, MISMATCH, UNSUPPORTED, PERMISSION, BUSY, CANCELLED = (
    range(1, 12))


class CoreanalyzeError(Exception):
    """What the library could not do. `code` is one of the constants above; `address`, in the
    target, is None where none is involved."""

    def __init__(self, message: str, code: int = INVALID, address: Optional[int] = None):
        super().__init__(message)
        self.code = code
        self.address = address


def version() -> str:
    """The library's version, "1.0.0"."""
    return library().ca_version().decode()


def _text(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else value.decode("utf-8", "replace")


def _bytes(value: Any) -> Optional[bytes]:
    return None if value is None else os.fsencode(value)


def _check(error: Any) -> None:
    """Raises what a call returned, and frees it."""
    if not error:
        return
    what = error.contents
    raised = CoreanalyzeError(_text(what.message) or "out of memory", what.code,
                              what.address if what.has_address else None)
    library().ca_error_destroy(error)
    raise raised


# ---- options -----------------------------------------------------------------------------------

# Keyword of open_core, attach and from_target -> kind.
_OPTIONS = {
    "exe": str, "sysroot": str, "debug_binary": str, "runtime_files": list, "rules": str,
    "own": list, "threshold": int, "min_age_ns": int, "force": bool, "no_proof": bool,
    "no_stop": bool, "hold": bool, "copy_limit": int,
}

# Returning False cancels. (what, done, total); total 0: not known.
Progress = Callable[[str, int, int], Optional[bool]]


def _options(values: Dict[str, Any], progress: Any) -> _c.Options:
    options = _c.Options(size=sizeof(_c.Options))
    for name, value in values.items():
        kind = _OPTIONS.get(name)
        if kind is None:
            raise TypeError(f"unknown option {name!r}; there are: {', '.join(sorted(_OPTIONS))}")
        if value is None:
            continue
        if kind is list:
            words = [value] if isinstance(value, (str, bytes, os.PathLike)) else list(value)
            # c_char_p arrays keep their strings alive, and the struct keeps the array.
            value = (c_char_p * (len(words) + 1))(*map(_bytes, words), None)
            setattr(options, name, cast(value, POINTER(c_char_p)))
        else:
            setattr(options, name, _bytes(value) if kind is str else kind(value))
    if progress is not None:
        options.progress = progress
    return options


class _Guard:
    """Runs Python under C: an exception, KeyboardInterrupt first of all, stops the C call and is
    raised again after it. (A debugger's Ctrl-C does not end a C call by itself.)"""

    def __init__(self, progress: Optional[Progress] = None):
        self.progress = progress
        self.raised: Optional[BaseException] = None
        self.c_progress = _c.PROGRESS(self._progress)

    def run(self, function: Callable[[], Any], failed: Any = False) -> Any:
        if self.raised is not None:
            return failed
        try:
            return function()
        except BaseException as error:  # it must not be lost in C
            self.raised = error
            return failed

    def call(self, function: Callable[[], Any]) -> None:
        """Makes the C call, and raises what it returned or what was raised under it."""
        before, sys.unraisablehook = sys.unraisablehook, self._lost
        try:
            error = function()
        finally:
            sys.unraisablehook = before
        self.check(error)

    def _lost(self, unraisable: Any) -> None:
        """Ctrl-C between C and the first line of Python: ctypes has ended the C call for it."""
        if self.raised is None:
            self.raised = unraisable.exc_value or unraisable.exc_type()

    def _progress(self, _arg: Any, what: Optional[bytes], done: int, total: int) -> bool:
        if self.progress is None:
            # Python looks for Ctrl-C between two of its instructions: this call is enough.
            return self.raised is None
        return self.run(lambda: self.progress(_text(what) or "", done, total) is not False)

    def check(self, error: Any) -> None:
        """After the C call: the Python exception, if there was one, else the C error."""
        raised, self.raised = self.raised, None
        if raised is not None:
            if error:
                library().ca_error_destroy(error)
            raise raised
        if error and error.contents.code == CANCELLED:
            library().ca_error_destroy(error)
            raise KeyboardInterrupt
        _check(error)


# ---- targets in a debugger's hands -------------------------------------------------------------


class Thread(NamedTuple):
    """A thread of a target: registers by DWARF number; tls is fs_base, or tpidr on arm64."""

    tid: int
    registers: Dict[int, int]
    tls: int = 0
    name: str = ""
    vectors: bytes = b""  # all other registers, in any order: they may hold pointers


class Mapping(NamedTuple):
    """A stretch of the target's address space; flags as in ELF: 4 read, 2 write, 1 execute."""

    start: int
    end: int
    file_offset: int
    flags: int
    path: Optional[str]


class Adapter:
    """What a target in somebody else's hands must answer; from_target() takes one."""

    arch = "amd64"
    path: Optional[str] = None
    executable: Optional[str] = None
    pid: Optional[int] = None
    now_ns: Optional[int] = None  # CLOCK_MONOTONIC of the target's machine when it stopped
    wall_ns: Optional[int] = None  # CLOCK_REALTIME likewise

    def read(self, address: int, size: int) -> Optional[bytes]:
        """Exactly size bytes, or None when any of them is not there."""
        raise NotImplementedError

    def threads(self) -> Sequence[Thread]:
        raise NotImplementedError

    def mappings(self) -> Sequence[Mapping]:
        raise NotImplementedError


class _AdapterOps:
    """The C side of an Adapter. It must live as long as the session does."""

    def __init__(self, adapter: Adapter, guard: _Guard):
        self.adapter, self.guard = adapter, guard
        self._threads: Optional[Sequence[Thread]] = None
        self._mappings: Optional[Sequence[Mapping]] = None
        self._path: Optional[bytes] = None
        self._held: Any = None
        self.ops = _c.Ops(
            size=sizeof(_c.Ops), read=_c.READ(self._read), thread=_c.THREAD(self._thread),
            mapping=_c.MAPPING(self._mapping), arch=_bytes(adapter.arch),
            path=_bytes(adapter.path), executable=_bytes(adapter.executable),
            pid=UNKNOWN if adapter.pid is None else adapter.pid,
            now_ns=UNKNOWN if adapter.now_ns is None else adapter.now_ns,
            wall_ns=UNKNOWN if adapter.wall_ns is None else adapter.wall_ns,
            vectors=_c.VECTORS(self._vectors))

    def _read(self, _arg: Any, address: int, buffer: int, size: int) -> bool:
        data = self.guard.run(lambda: self.adapter.read(address, size), None)
        if data is None or len(data) != size:
            return False
        memmove(buffer, bytes(data), size)
        return True

    def _thread(self, _arg: Any, i: int, tid: Any, regs: Any, tls: Any, name: Any) -> bool:
        return self.guard.run(lambda: self._fill_thread(i, tid, regs, tls, name))

    def _fill_thread(self, i: int, tid: Any, regs: Any, tls: Any, name: Any) -> bool:
        if self._threads is None:
            self._threads = self.adapter.threads()
        if i >= len(self._threads):
            return False
        thread = self._threads[i]
        tid[0], tls[0] = thread.tid, thread.tls
        for number, value in thread.registers.items():
            regs.contents.value[number] = value & (2**64 - 1)
            regs.contents.known |= 1 << number
        name.contents.value = os.fsencode(thread.name)[:15]
        return True

    def _vectors(self, _arg: Any, i: int, data: Any, size: Any) -> bool:
        return self.guard.run(lambda: self._fill_vectors(i, data, size))

    def _fill_vectors(self, i: int, data: Any, size: Any) -> bool:
        if self._threads is None or i >= len(self._threads):
            return False
        self._held = c_char_p(self._threads[i].vectors)  # alive until the next call
        data[0], size[0] = cast(self._held, c_void_p), len(self._threads[i].vectors)
        return size[0] > 0

    def _mapping(self, _arg: Any, i: int, start: Any, end: Any, offset: Any, flags: Any,
                 path: Any) -> bool:
        return self.guard.run(lambda: self._fill_mapping(i, start, end, offset, flags, path))

    def _fill_mapping(self, i: int, start: Any, end: Any, offset: Any, flags: Any,
                      path: Any) -> bool:
        if self._mappings is None:
            self._mappings = self.adapter.mappings()
        if i >= len(self._mappings):
            return False
        mapping = self._mappings[i]
        start[0], end[0], offset[0] = mapping.start, mapping.end, mapping.file_offset
        flags[0] = mapping.flags
        self._path = _bytes(mapping.path)  # alive until the next call
        path[0] = self._path
        return True


# ---- sessions ----------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A frame of a task's stack, innermost first."""

    pc: int
    sp: int
    function: Optional[str]
    file: Optional[str]
    line: Optional[int]
    inlined: bool
    runtime: bool


class Local(NamedTuple):
    """A local variable or argument; value is None where there is none, and why says why."""

    name: str
    type: Optional[str]
    value: Optional[str]
    why: Optional[str]
    argument: bool


# Takes a piece of a document; returning False ends it.
Sink = Callable[[bytes], Optional[bool]]


class Session:
    """What was found in one target at one instant. Made by open_core, attach and from_target."""

    def __init__(self, handle: int, guard: _Guard, kept: Tuple[Any, ...] = ()):
        self._handle: Optional[int] = handle
        self._library = library()
        self._guard = guard
        self._kept = kept

    def close(self) -> None:
        """Gives back what the session holds. Closing twice does nothing."""
        handle, self._handle = self._handle, None
        if handle:
            self._library.ca_session_destroy(handle)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open(self) -> int:
        if self._handle is None:
            raise CoreanalyzeError("the session is closed")
        return self._handle

    def write(self, request: "Request", sink: Sink) -> int:
        """Writes the document of a parsed request, piece by piece. Returns the exit status of the
        command: 1 where leaks were found, else 0. Ctrl-C in the sink ends the writing and is
        raised from here."""
        guard = self._guard

        def take(_arg: Any, text: int, size: int) -> bool:
            return guard.run(lambda: sink(ctypes.string_at(text, size)) is not False)

        status = c_int()
        guard.call(lambda: library().ca_session_write(self._open(), byref(request.c),
                                                      _c.SINK(take), None, byref(status)))
        return status.value

    def _document(self, command: str, argument: Optional[str] = None,
                  **fields: Any) -> Dict[str, Any]:
        request = _c.Request(command=_bytes(command), argument=_bytes(argument), json=True,
                           limit=UNKNOWN)
        for name, value in fields.items():
            if value is not None:
                setattr(request, name, _bytes(value) if isinstance(value, str) else value)
        pieces: List[bytes] = []
        self.write(Request(request, {}, None), lambda piece: pieces.append(piece))
        return json.loads(b"".join(pieces))

    def leaks(self, *, verdict: Optional[str] = None, sort: Optional[str] = None,
              limit: Optional[int] = None) -> Dict[str, Any]:
        """The tasks grouped by blocking and creation site, worst verdict first, then largest.
        verdict limits to a comma-separated list; sort is count, age or retained."""
        return self._document("leaks", verdict=verdict, sort=sort, limit=limit)

    def tasks(self, *, verdict: Optional[str] = None, sort: Optional[str] = None,
              limit: Optional[int] = None) -> Dict[str, Any]:
        """Every task."""
        return self._document("tasks", verdict=verdict, sort=sort, limit=limit)

    def task(self, id: str) -> Dict[str, Any]:
        """One task in full. Raises CoreanalyzeError (NOT_FOUND) when there is none."""
        return self._document("task", str(id))

    def explain(self, id: str) -> Dict[str, Any]:
        """Why a task has its verdict."""
        return self._document("explain", str(id))

    def info(self) -> Dict[str, Any]:
        """The target, the runtimes, counts, threads, memory, gaps."""
        return self._document("info")

    def ids(self) -> Iterator[str]:
        """The ids of all tasks, in order."""
        buffer = (c_char * 48)()
        for i in range(library().ca_session_task_count(self._open())):
            library().ca_session_task_id(self._open(), i, byref(buffer))
            yield buffer.value.decode("utf-8", "replace")

    def find(self, id: str) -> int:
        """The index of a task for the calls below. Raises CoreanalyzeError (NOT_FOUND)."""
        index = c_size_t()
        _check(library().ca_session_find_task(self._open(), _bytes(str(id)), byref(index)))
        return index.value

    def frames(self, index: int) -> List[Frame]:
        """The stack of a task, innermost frame first."""
        task = _c.TaskInfo()
        _check(library().ca_session_task(self._open(), index, byref(task)))
        return [
            Frame(frame.pc, frame.sp, _text(frame.function), _text(frame.file),
                  frame.line if frame.line > 0 else None, frame.inlined, frame.runtime)
            for frame in task.frames[:task.frame_count]
        ]

    def state(self, index: int) -> Tuple[str, Optional[int]]:
        """The state of a task, and the kernel's id of the thread that runs it, or None."""
        task = _c.TaskInfo()
        _check(library().ca_session_task(self._open(), index, byref(task)))
        return _text(task.state) or "", None if task.thread == UNKNOWN else task.thread

    def registers(self, index: int, frame: int = 0) -> Dict[int, int]:
        """The known registers of a frame of a parked task, by DWARF number."""
        regs = _c.Regs()
        _check(library().ca_session_frame_regs(self._open(), index, frame, byref(regs)))
        return {n: regs.value[n] for n in range(REGS_MAX) if regs.known >> n & 1}

    def locals(self, index: int, frame: int = 0) -> List[Local]:
        """The variables of a frame, by the target's debug information."""
        variables, count = POINTER(_c.LocalInfo)(), c_size_t()
        self._guard.call(lambda: library().ca_session_locals(self._open(), index, frame,
                                                             byref(variables), byref(count)))
        return [
            Local(_text(v.name) or "", _text(v.type), _text(v.value), _text(v.why), v.argument)
            for v in variables[:count.value]
        ]

    def export_core(self, out: str, *, verdict: Optional[str] = None, group: Optional[str] = None,
                    overwrite: bool = False) -> int:
        """Writes a core in which every parked task is a thread; returns how many. group is the id
        of a task: only its group."""
        options = _c.ExportOptions(size=sizeof(_c.ExportOptions), verdict=_bytes(verdict),
                                 group=_bytes(group), overwrite=overwrite)
        count = c_size_t()
        self._guard.call(lambda: library().ca_session_export_core(
            self._open(), _bytes(out), byref(options), byref(count)))
        return count.value


def _open_session(progress: Optional[Progress], values: Dict[str, Any],
                  call: Callable[[Any, Any], Any], guard: Optional[_Guard] = None,
                  kept: Tuple[Any, ...] = ()) -> Session:
    guard = guard or _Guard(progress)
    options = _options(values, guard.c_progress)
    handle = c_void_p()
    try:
        guard.call(lambda: call(byref(options), byref(handle)))
    except BaseException:
        if handle.value:
            library().ca_session_destroy(handle)
        raise
    return Session(handle.value, guard, (options, *kept))


def open_core(path: Any, *, progress: Optional[Progress] = None, **options: Any) -> Session:
    """Opens a core file. Options, as of the command: exe, sysroot, debug_binary, runtime_files
    (a list), rules, own (a list), threshold, min_age_ns, force, no_proof."""
    lib = library()
    return _open_session(progress, options,
                         lambda o, ret: lib.ca_session_open_core(_bytes(path), o, ret))


def attach(pid: int, *, progress: Optional[Progress] = None, **options: Any) -> Session:
    """Reads a process, which stands still for a moment. More options: no_stop; copy_limit (bytes);
    hold keeps it stopped until the session is closed, which locals() and export_core() need."""
    lib = library()
    return _open_session(progress, options,
                         lambda o, ret: lib.ca_session_attach(int(pid), o, ret))


def from_target(adapter: Adapter, *, progress: Optional[Progress] = None,
                **options: Any) -> Session:
    """Opens a target in somebody else's hands, a debugger's. It must stand still as long as the
    session is used."""
    lib = library()
    guard = _Guard(progress)
    ops = _AdapterOps(adapter, guard)
    return _open_session(
        progress, options,
        lambda o, ret: lib.ca_session_from_ops(byref(ops.ops), None, o, ret), guard, (ops,))


# ---- command lines -----------------------------------------------------------------------------


class Request:
    """A command with its options, as every door of coreanalyze understands it."""

    def __init__(self, c: _c.Request, options: Dict[str, Any], line: Any):
        self.c = c
        self.options = options  # for open_core, attach, from_target
        self._line = line  # what the pointers of c point into
        self._library = library()

    @property
    def argument(self) -> Optional[str]:
        return _text(self.c.argument)

    def __del__(self) -> None:
        line, self._line = self._line, None
        if line:
            self._library.ca_command_line_destroy(line)


def _option_values(options: _c.Options) -> Dict[str, Any]:
    """The options that differ from their defaults, as keywords of open_core."""
    values: Dict[str, Any] = {}
    for name, kind in _OPTIONS.items():
        value = getattr(options, name)
        if not value:
            continue
        if kind is list:
            words, i = [], 0
            while value[i] is not None:
                words.append(os.fsdecode(value[i]))
                i += 1
            value = words
        values[name] = os.fsdecode(value) if isinstance(value, bytes) else value
    return values


def parse(words: Sequence[str]) -> Request:
    """Parses the words of a command line, without the target: ["tasks", "--limit", "4"]. Raises
    CoreanalyzeError (INVALID) with what is wrong."""
    array = (c_char_p * (len(words) + 1))(*map(_bytes, words), None)
    line = POINTER(_c.CommandLine)()
    _check(library().ca_request_parse(len(words), array, _c.DOOR_DEBUGGER, byref(line)))
    return Request(line.contents.request, _option_values(line.contents.options), line)


class Option(NamedTuple):
    """An option of the command; argument and values are None where there is none, and where it is
    free."""

    name: str
    argument: Optional[str]
    values: Optional[List[str]]
    commands: List[str]
    debugger: bool


def options() -> List[Option]:
    """All options, as the library knows them: for help and completion."""
    found: List[Option] = []
    info = _c.OptionInfo()
    while library().ca_option(len(found), byref(info)):
        values = _text(info.values)
        found.append(Option(_text(info.name) or "", _text(info.argument),
                            values.split("|") if values else None,
                            (_text(info.commands) or "").split(), info.debugger))
    return found
