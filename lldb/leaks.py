"""The `leaks` commands of coreanalyze in lldb: `command script import lldb/leaks.py`.

This file is the command; what it says comes from libcoreanalyze. leaks_lldb_target.py shows the
engine what lldb has in its hands. Nothing of the target is written: a task that is selected is
shown as a thread by leaks_threads.py, an operating system plug-in, which is loaded when it is first
wanted.

lldb has no type system for Go: with a Go frame selected, `frame variable` and `expression` know
nothing; `leaks locals` does. It follows Go's stacks for a frame or two only where Go's own unwind
information leaves out rbp (Go 1.24 and newer); `leaks bt` shows them whole.
"""

import os
import shlex
import sys
import time

import lldb

_HERE = os.path.dirname(os.path.realpath(__file__))
# In a checkout and, beside this folder, where `make install` puts it.
for _folder in (_HERE, os.path.join(_HERE, "..", "coreanalyze", "python"),
                os.path.join(_HERE, "..", "python")):
    _folder = os.path.normpath(_folder)
    if os.path.isdir(_folder) and _folder not in sys.path:
        sys.path.insert(0, _folder)

import coreanalyze  # noqa: E402

try:
    coreanalyze.library()
    _missing = None
except coreanalyze.LibraryError as _error:
    _missing = str(_error)
else:
    import leaks_commands as shared
    from leaks_lldb_target import Adapter, core_path, file_of
    from leaks_lldb_tasks import Commands, chosen

try:  # lldb 19 and newer
    from lldb.plugins.parsed_cmd import ParsedCommand
except ImportError:
    ParsedCommand = None


class _Host(shared.Host if _missing is None else object):
    def __init__(self):
        self.debugger = None
        self.result = None
        self.adapter = None
        self.stopped = None, (0, 0)  # a stop, and the clocks when we first saw it

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

    def key(self):
        process = self.process()
        key = (process.GetUniqueID(), process.GetStopID(), core_path(process),
               file_of(process.GetTarget().GetExecutable()))
        if self.stopped[0] != key:
            self.stopped = key, (time.monotonic_ns(), time.time_ns())
        return key

    def open(self, options):
        process = self.process()
        # lldb keeps the target still as long as the session is used.
        options = dict(options, hold=True, progress=lambda *_: not self.interrupted())
        path = core_path(process)
        if path and os.path.isfile(path):
            exe = file_of(process.GetTarget().GetExecutable())
            if exe and os.path.isfile(exe):
                options.setdefault("exe", exe)
            return coreanalyze.open_core(path, **options)
        if self.adapter is not None:
            self.adapter.close()
        self.adapter = Adapter(process, self.stopped[1], chosen.current(process))
        return coreanalyze.from_target(self.adapter, **options)

    def execute(self, command):
        inner = lldb.SBCommandReturnObject()
        # A command inside a command has the outer one's thread unless told.
        here = self.process().GetSelectedThread()
        context = lldb.SBExecutionContext(here.GetSelectedFrame())
        self.debugger.GetCommandInterpreter().HandleCommand(command, context, inner)
        self.write(inner.GetOutput() or "")
        if not inner.Succeeded():
            self.write(inner.GetError() or "")


class LeaksCommand:
    """`leaks`, with its subcommands, of one line of words."""

    def __init__(self, debugger, _internal):
        host.debugger = debugger

    def __call__(self, debugger, line, _context, result):
        _run(debugger, line.strip(), result)

    def get_short_help(self):
        return "List goroutines and coroutines, the leaked ones first."

    def get_long_help(self):
        return _help("")


def _run(debugger, line, result):
    host.debugger, host.result = debugger, result
    result.SetStatus(lldb.eReturnStatusSuccessFinishResult)
    try:
        _dispatch(line)
    except KeyboardInterrupt:
        result.SetError("interrupted")
    except (shared.Failed, coreanalyze.CoreanalyzeError, coreanalyze.LibraryError) as error:
        result.SetError(str(error))


def _dispatch(line):
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


def _help(name):
    if name:
        if name not in shared.COMMANDS:
            raise shared.Failed(f"There is no `leaks {name}`.")
        return shared.help_of(name) + "\n"
    lines = [shared.help_of(""), "", "Subcommands, each with `leaks help NAME`:"]
    for known, other in shared.COMMANDS.items():
        if known:
            lines.append(f"  {known:<12} {other.text.splitlines()[0]}")
    lines += ["", _COMPLETES]
    return "\n".join(lines) + "\n"


if ParsedCommand is not None and _missing is None:
    _COMPLETES = "lldb completes the options; it lets no script complete their values, or ids."

    class ParsedLeaksCommand(ParsedCommand):
        """The same with options that lldb knows, so that it completes them."""

        def __init__(self, debugger, internal):
            self.words = []
            super().__init__(debugger, internal)

        def setup_command_definition(self):
            parser = self.get_parser()
            for option in coreanalyze.options():
                if not option.debugger:
                    continue
                name = option.name[2:]
                where = "for " + ", ".join(option.commands)
                text = f"{option.argument}; {where}" if option.argument else where
                parser.add_option("e", name, text, None, **_kind(option))
                # What is there at all counts: an empty letter is wrong, any type wants a value.
                if name != "exe":
                    del parser.options_dict[name]["short_option"]
                if not option.argument:
                    del parser.options_dict[name]["value_type"]
            parser.add_argument_set([parser.make_argument_element(lldb.eArgTypeNone, "star")])

        def option_parsing_started(self):
            self.words = []

        def set_option_value(self, _context, name, value):
            self.words += [f"--{name}={value}" if value else f"--{name}"]
            return True

        def __call__(self, debugger, arguments, _context, result):
            words = [arguments.GetItemAtIndex(i).GetStringValue(4096)
                     for i in range(arguments.GetSize())]
            _run(debugger, _line(words, self.words), result)

        def get_short_help(self):
            return "List goroutines and coroutines, the leaked ones first."

        def get_long_help(self):
            return _help("")
else:
    _COMPLETES = "This lldb lets a script complete neither ids nor options."

def _kind(option):
    if option.values and option.argument != "LIST":
        return {"value_type": lldb.eArgTypeNone, "enum_values": [[v, v] for v in option.values]}
    if option.argument in ("FILE", "DIR"):
        return {"value_type": lldb.eArgTypeFilename}
    return {"value_type": lldb.eArgTypeName if option.argument else lldb.eArgTypeNone}


def _line(arguments, options):
    """The words as one line again: the command, its options, the rest. Of `apply` the rest is a
    command as it was written."""
    if arguments[:1] == ["apply"]:
        return " ".join(arguments)
    if arguments[:1] == ["export-core"] and "--group" in options and len(arguments) == 3:
        # lldb gives no order: the word that is no task's id is the file.
        options.remove("--group")
        group = arguments.pop(2 if arguments[2] in commands.session().ids() else 1)
        options.append(f"--group={group}")
    return shlex.join(arguments[:1] + options + arguments[1:])


def __lldb_init_module(debugger, _internal):
    if _missing is not None:
        print(_missing, file=sys.stderr)
        return
    if ParsedCommand is not None and _added(debugger, "-p", "ParsedLeaksCommand"):
        return
    _added(debugger, "", "LeaksCommand")


def _added(debugger, flag, name):
    result = lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand(
        f"command script add -o {flag} -c {__name__}.{name} leaks", result)
    return result.Succeeded() and debugger.GetCommandInterpreter().UserCommandExists("leaks")


if _missing is None:
    host = _Host()
    commands = Commands(host)
