"""The `leaks` commands of coreanalyze in lldb: `command script import lldb/leaks.py`.

This file is a target adapter and commands; what they say comes from libcoreanalyze. Nothing of the
target is written: a task that is selected is shown as a thread by leaks_threads.py, an operating
system plug-in, which is loaded when it is first wanted.

lldb has no type system for Go: with a Go frame selected, `frame variable` and `expression` know
nothing; `leaks locals` does. It follows Go's stacks for a frame or two only where Go's own unwind
information leaves out rbp (Go 1.24 and newer); `leaks bt` shows them whole.
"""

import os
import sys
import time

import lldb

_HERE = os.path.dirname(os.path.realpath(__file__))
# In a checkout and, beside this folder, where `make install` puts it.
for _folder in (os.path.join(_HERE, "..", "coreanalyze", "python"),
                os.path.join(_HERE, "..", "python")):
    _folder = os.path.normpath(_folder)
    if os.path.exists(os.path.join(_folder, "coreanalyze.py")) and _folder not in sys.path:
        sys.path.insert(0, _folder)

import coreanalyze  # noqa: E402
import leaks_commands as shared  # noqa: E402

# lldb's names by DWARF number.
_AMD64 = ("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip").split()
_ARM64 = [f"x{n}" for n in range(29)] + ["fp", "lr", "sp", "pc"]
REGISTERS = {"amd64": (_AMD64, "fs_base"), "arm64": (_ARM64, "tpidr")}


def _arch(target):
    machine = target.GetTriple().split("-")[0]
    found = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    if machine not in found:
        raise shared.Failed(f"Programs for {machine} are not known; amd64 and arm64 are.")
    return found[machine]


# ---- the target --------------------------------------------------------------------------------


class _Adapter(coreanalyze.Adapter):
    """What lldb has in its hands: a process that its server traces, or a remote target."""

    def __init__(self, process, arch, now_ns):
        self.process = process
        self.arch = arch
        self.pid = process.GetProcessID()
        self.executable = _file(process.GetTarget().GetExecutable())
        self.now_ns = None
        self.memory = None
        if _is_local(self.pid):
            self.now_ns = now_ns
            try:
                self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass  # lldb reads it for us, slower

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
        error = lldb.SBError()
        data = self.process.ReadMemory(address, size, error)
        return data if error.Success() else None

    def threads(self):
        names, tls = REGISTERS[self.arch]
        found = []
        for i in range(self.process.GetNumThreads()):
            thread = self.process.GetThreadAtIndex(i)
            if thread.GetThreadID() in chosen.tids:
                continue
            frame = thread.GetFrameAtIndex(0)
            registers = {}
            for number, name in enumerate(names):
                value = frame.FindRegister(name)
                if value.IsValid() and value.GetError().Success():
                    registers[number] = value.GetValueAsUnsigned()
            base = frame.FindRegister(tls)
            found.append(coreanalyze.Thread(
                thread.GetThreadID(), registers,
                base.GetValueAsUnsigned() if base.IsValid() else 0, thread.GetName() or ""))
        return sorted(found)

    def mappings(self):
        if self.memory is not None:
            with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="surrogateescape") as text:
                return list(_proc_maps(text))
        return list(self._regions()) or list(self._sections())

    def _regions(self):
        regions, region = self.process.GetMemoryRegions(), lldb.SBMemoryRegionInfo()
        for i in range(regions.GetSize()):
            if not regions.GetMemoryRegionAtIndex(i, region) or not region.IsMapped():
                continue
            flags = 4 * region.IsReadable() + 2 * region.IsWritable() + region.IsExecutable()
            start, path = region.GetRegionBase(), region.GetName()
            yield coreanalyze.Mapping(start, region.GetRegionEnd(), self._offset(start), flags,
                                      path or None)

    def _offset(self, address):
        """lldb's regions have no file offsets; its sections do."""
        section = self.process.GetTarget().ResolveLoadAddress(address).GetSection()
        while section.IsValid() and section.GetParent().IsValid():
            section = section.GetParent()
        if not section.IsValid():
            return 0
        load = section.GetLoadAddress(self.process.GetTarget())
        return max(0, section.GetFileOffset() - (load - address))

    def _sections(self):
        target = self.process.GetTarget()
        for i in range(target.GetNumModules()):
            module = target.GetModuleAtIndex(i)
            for j in range(module.GetNumSections()):
                section = module.GetSectionAtIndex(j)
                start = section.GetLoadAddress(target)
                if start != lldb.LLDB_INVALID_ADDRESS and section.GetFileByteSize():
                    yield coreanalyze.Mapping(start, start + section.GetByteSize(),
                                              section.GetFileOffset(), section.GetPermissions(),
                                              _file(module.GetFileSpec()))


_FLAGS = {"r": 4, "w": 2, "x": 1}


def _proc_maps(lines):
    for line in lines:
        words = line.rstrip("\n").split(None, 5)
        start, _, end = words[0].partition("-")
        yield coreanalyze.Mapping(int(start, 16), int(end, 16), int(words[2], 16),
                                  sum(_FLAGS.get(letter, 0) for letter in words[1]),
                                  words[5] if len(words) > 5 else None)


def _status(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as text:
        for line in text:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    return 0


def _is_local(pid):
    """Whether the process is of this machine: then our own child, lldb-server, traces it."""
    try:
        return _status(_status(pid, "TracerPid"), "PPid") == os.getpid()
    except (OSError, ValueError):
        return False


def _file(spec):
    return spec.fullpath if spec.IsValid() and spec.GetFilename() else None


class _Host(shared.Host):
    def __init__(self):
        self.debugger = None
        self.result = None
        self.adapter = None
        self.stopped = None, 0  # a stop, and CLOCK_MONOTONIC when we first saw it

    def write(self, text):
        if self.interrupted():
            raise KeyboardInterrupt
        self.result.write(text)

    def interrupted(self):
        if hasattr(self.debugger, "InterruptRequested"):
            return self.debugger.InterruptRequested()
        return self.debugger.GetCommandInterpreter().WasInterrupted()

    def colour(self):
        return self.debugger.GetUseColor() and os.isatty(1) and "NO_COLOR" not in os.environ

    def width(self):
        return self.debugger.GetTerminalWidth()

    def process(self):
        process = self.debugger.GetSelectedTarget().GetProcess()
        if not process.IsValid() or process.GetState() in (lldb.eStateExited, lldb.eStateDetached,
                                                           lldb.eStateUnloaded):
            raise shared.Failed("There is nothing to look at: load a core (`target create -c "
                                "FILE`), `run` a program, or `attach` to one.")
        if process.GetState() != lldb.eStateStopped:
            raise shared.Failed("The program is running: stop it first (Ctrl-C or `process "
                                "interrupt`).")
        return process

    @staticmethod
    def _core_path(process):
        if process.GetPluginName() != "elf-core":
            return None
        return _file(process.GetCoreFile()) if hasattr(process, "GetCoreFile") else None

    def key(self):
        process = self.process()
        key = (process.GetUniqueID(), process.GetStopID(), self._core_path(process),
               _file(process.GetTarget().GetExecutable()))
        if self.stopped[0] != key:
            self.stopped = key, time.monotonic_ns()
        return key

    def open(self, options):
        process = self.process()
        # lldb keeps the target still as long as the session is used.
        options = dict(options, hold=True, progress=lambda *_: not self.interrupted())
        path = self._core_path(process)
        chosen.clear()
        if path and os.path.isfile(path):
            exe = _file(process.GetTarget().GetExecutable())
            if exe and os.path.isfile(exe):
                options.setdefault("exe", exe)
            return coreanalyze.open_core(path, **options)
        if self.adapter is not None:
            self.adapter.close()
        self.adapter = _Adapter(process, _arch(process.GetTarget()), self.stopped[1])
        return coreanalyze.from_target(self.adapter, **options)


# ---- tasks as threads --------------------------------------------------------------------------

_FIRST_TID = 100000000


class Chosen:
    """The tasks that leaks_threads.py shows as threads; the plug-in asks this object."""

    def __init__(self):
        self.key = None
        self.arch = "amd64"
        self.tids = {}  # tid -> (name, registers)

    def clear(self):
        self.tids = {}

    def current(self, process):
        """Those of this stop; after the target moved there are none."""
        return self.tids if self.key == (process.GetUniqueID(), process.GetStopID()) else {}

    def show(self, debugger, process, tasks):
        self.key = process.GetUniqueID(), process.GetStopID()
        self.arch = _arch(process.GetTarget())
        self.tids = tasks
        # Setting it again is what makes lldb ask again.
        _quietly(debugger, "settings clear target.process.python-os-plugin-path")
        plugin = os.path.join(_HERE, "leaks_threads.py")
        if tasks:
            _quietly(debugger, f'settings set target.process.python-os-plugin-path "{plugin}"')


def _quietly(debugger, command):
    result = lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand(command, result)
    if not result.Succeeded():
        raise shared.Failed((result.GetError() or command).strip())


chosen = Chosen()


class _Commands(shared.Commands):
    """The commands that need lldb's threads, beside the shared ones."""

    def _choose(self, ids):
        """Makes the tasks threads; returns their thread ids. Of a task that runs, its thread."""
        session = self.session()
        tasks, tids = {}, []
        for id in ids:
            index = session.find(id)
            state, tid = session.state(index)
            if state == "running" and tid is not None:
                tids.append(tid)
                continue
            if not session.frames(index):
                raise shared.Failed(f"Task {id} ({state}) has no stack to show: `leaks task {id}`.")
            tids.append(_FIRST_TID + index)
            tasks[tids[-1]] = f"task {id}", session.registers(index)
        chosen.show(self.host.debugger, self.host.process(), tasks)
        return tids

    def _go_to(self, tid):
        process = self.host.process()
        if not process.SetSelectedThreadByID(tid):
            raise shared.Failed(f"lldb does not show thread {tid}.")
        process.GetSelectedThread().SetSelectedFrame(0)

    def select(self, words):
        if not words:
            chosen.show(self.host.debugger, self.host.process(), {})
            return
        self._go_to(self._choose(words[:1])[0])
        self.host.execute("frame info")

    def threads(self, words):
        if not words:
            chosen.show(self.host.debugger, self.host.process(), {})
            self.host.write("No tasks are threads now.\n")
            return
        tids = self._choose(self._ids(words))
        self.host.write(f"{len(tids)} tasks are threads now: `thread list`, `thread backtrace "
                        "all`.\n")

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
        known = list(self.session().ids())
        first, _, rest = line.strip().partition(" ")
        ids, before = [], self.host.process().GetSelectedThread().GetThreadID()
        if first == "all":
            ids, line = known, rest
        known = set(known)
        while first in known and first != "all":
            ids.append(first)
            line = rest
            first, _, rest = line.strip().partition(" ")
        if not ids or not line.strip():
            raise shared.Failed("Usage: " + shared.COMMANDS["apply"].usage)
        try:
            for id, tid in zip(ids, self._choose(ids)):
                self.host.write(f"\nTask {id}:\n")
                self._go_to(tid)
                self.host.execute(line.strip())
        finally:
            chosen.show(self.host.debugger, self.host.process(), {})
            self.host.process().SetSelectedThreadByID(before)


# ---- the command -------------------------------------------------------------------------------

shared.COMMANDS["select"] = shared.COMMANDS["select"]._replace(text="""\
Show a parked task as a thread of its own, selected: `bt`, `up`, `frame variable`.
Nothing of the target is written. `continue` or `leaks select` alone put everything back. Of a task
that runs, its thread is selected. Go: lldb has no variables of Go, and where it does not follow
Go's stack, `leaks bt` and `leaks locals` do.

Example: the stack of task pth:3
  leaks select pth:3
  bt""")
shared.COMMANDS["apply"] = shared.COMMANDS["apply"]._replace(text="""\
Run an lldb command on tasks, each selected in turn.
What was selected before is selected again at the end.

Example: three frames of every task
  leaks apply all bt 3""")
shared.COMMANDS["threads"] = shared.Help("leaks threads [all | ID... | --group ID]", """\
Show chosen tasks as threads in `thread list`: all, some, or the group of one. Alone: none.

Example: the group of goroutine 17
  leaks threads --group 17""", [], True)


class LeaksCommand:
    """`leaks`, with its subcommands: lldb lets a script complete neither ids nor options."""

    def __init__(self, debugger, _internal):
        self.host = host
        host.debugger = debugger

    def __call__(self, debugger, line, _context, result):
        host.debugger, host.result = debugger, result
        host.execute = self._execute
        result.SetStatus(lldb.eReturnStatusSuccessFinishResult)
        try:
            self._run(line.strip())
        except KeyboardInterrupt:
            result.SetError("interrupted")
        except (shared.Failed, coreanalyze.CoreanalyzeError, coreanalyze.LibraryError) as error:
            result.SetError(str(error))

    def _run(self, line):
        first, _, rest = line.partition(" ")
        if not first or first.startswith("-"):
            commands.run("", line)
        elif first == "leaks":
            commands.run("", rest)
        elif first == "help":
            host.write(_help(rest.strip()))
        elif first not in shared.COMMANDS:
            raise shared.Failed(f"There is no `leaks {first}`; `leaks help` lists what there is.")
        elif first == "apply":
            commands.apply(rest)
        else:
            commands.run(first, rest)

    @staticmethod
    def _execute(command):
        inner = lldb.SBCommandReturnObject()
        # A command inside a command has the outer one's thread unless told.
        here = host.process().GetSelectedThread()
        context = lldb.SBExecutionContext(here.GetSelectedFrame())
        host.debugger.GetCommandInterpreter().HandleCommand(command, context, inner)
        host.write(inner.GetOutput() or "")
        if not inner.Succeeded():
            host.write(inner.GetError() or "")

    def get_short_help(self):
        return "List goroutines and coroutines, the leaked ones first."

    def get_long_help(self):
        return _help("")


def _help(name):
    if name:
        if name not in shared.COMMANDS:
            raise shared.Failed(f"There is no `leaks {name}`.")
        entry = shared.COMMANDS[name]
        return f"{entry.text}\n\nUsage: {entry.usage}\n"
    entry = shared.COMMANDS[""]
    lines = [entry.text, "", "Subcommands, each with `leaks help NAME`:"]
    for known, other in shared.COMMANDS.items():
        if known:
            lines.append(f"  {known:<12} {other.text.splitlines()[0]}")
    return "\n".join(lines) + f"\n\nUsage: {entry.usage}\n"


host = _Host()
commands = _Commands(host)


def __lldb_init_module(debugger, _internal):
    try:
        coreanalyze.library()
    except coreanalyze.LibraryError as error:
        print(error, file=sys.stderr)
        return
    debugger.HandleCommand(f"command script add -o -c {__name__}.LeaksCommand leaks")
