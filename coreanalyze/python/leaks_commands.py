"""The `leaks` commands that gdb and lldb share: words, help, the kept session, what is printed.

gdb/leaks.py and lldb/leaks.py each give a Host, which knows its debugger, and show the commands of
this file under its own command system. Only what needs the debugger's frames (select, apply) is
written twice. The options are the library's: nothing here lists them.
"""

from __future__ import annotations

import codecs
import os
import shlex
import textwrap
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import coreanalyze

VERDICTS = "leaked, suspect, waiting, active and system"


class Help(NamedTuple):
    usage: str
    text: str
    takes_id: bool = False


COMMANDS: Dict[str, Help] = {
    "": Help("leaks [OPTION]...", """\
List the tasks (goroutines, coroutines) in groups, with the leaked ones first.
A group is what waits at one place and was made at one place. Verdicts are """ + VERDICTS + """;
a leaked task can never run again, and the evidence says why.

Example: the leaked groups only, the one that holds most memory first
  leaks --verdict leaked --sort retained"""),
    "tasks": Help("leaks tasks [OPTION]...", """\
List the tasks, one line each: id, state, reason, age, where it waits, where it was made.
--group groups them.

Example: all that wait, the oldest first
  leaks tasks --verdict waiting --sort age --limit 0"""),
    "task": Help("leaks task ID [OPTION]...", """\
Show one task in full: its stack, what it waits for, who else waits there, where it was made.
--locals adds the variables of its frames.

Example: goroutine 17 with every frame
  leaks task 17 --full""", True),
    "explain": Help("leaks explain ID [OPTION]...", """\
Say why a task has its verdict: the evidence, or the path from a root that keeps it alive.

Example: why goroutine 17 is not leaked
  leaks explain 17""", True),
    "info": Help("leaks info [OPTION]...", """\
Show the target, the runtimes found in it, counts, threads, memory, and what could not be read.

Example: the same for a script
  leaks info --format json"""),
    "bt": Help("leaks bt ID", """\
Show the stack of a task, innermost frame first, as the engine reads it.
The numbers are those that `leaks locals` takes.

Example: the stack of goroutine 17
  leaks bt 17""", True),
    "locals": Help("leaks locals ID [FRAME]", """\
Show the variables of a frame of a task, by the program's debug information.
FRAME is a number of `leaks bt`; without one, the first frame that is the program's own.

Example: the variables of frame 3 of goroutine 17
  leaks locals 17 3""", True),
    # The debuggers add what theirs does.
    "select": Help("leaks select [ID]", "", True),
    "apply": Help("leaks apply all|ID... COMMAND", "", True),
    "export-core": Help("leaks export-core FILE [OPTION]...", """\
Write a core file in which every parked task is a thread, for any debugger.
--verdict takes verdicts with commas between; --group takes the id of a task and exports its group;
--force replaces FILE when it exists (never the core that is looked at).

Example: the leaked tasks only
  leaks export-core leaked.core --verdict leaked"""),
}

LISTINGS = ("", "tasks", "task", "explain", "info")


def options_of(name: str) -> List[coreanalyze.Option]:
    """The options of a command that mean something in a debugger."""
    return [option for option in coreanalyze.options()
            if option.debugger and (name or "leaks") in option.commands]


def help_of(name: str) -> str:
    """The whole help of a command: what it does, an example, its options, its usage."""
    entry = COMMANDS[name]
    words = [option.name + (f" {'|'.join(option.values)}" if option.values and
                            option.name != "--verdict" else
                            f" {option.argument}" if option.argument else "")
             for option in options_of(name)]
    lines = [entry.text, ""]
    if words:
        lines += textwrap.wrap("Options: " + ", ".join(words), 96, break_on_hyphens=False) + [""]
    return "\n".join([*lines, f"Usage: {entry.usage}"])


class Failed(Exception):
    """A command cannot be done; the text is for the user."""


class Host:
    """The debugger, as the commands see it."""

    def write(self, text: str) -> None:
        raise NotImplementedError

    def key(self) -> Tuple[Any, ...]:
        """Changes when the debugger looks at another target."""
        raise NotImplementedError

    def open(self, options: Dict[str, Any]) -> coreanalyze.Session:
        raise NotImplementedError

    def colour(self) -> bool:
        return False

    def width(self) -> int:
        return 0


class Commands:
    """The commands with the session they share. The session is kept until the target moves."""

    def __init__(self, host: Host):
        self.host = host
        self._session: Optional[coreanalyze.Session] = None
        self._key: Any = None
        self._options: Dict[str, Any] = {}

    def drop(self) -> None:
        """The target moved: what was found is no longer true."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def session(self, options: Optional[Dict[str, Any]] = None) -> coreanalyze.Session:
        """The kept session, or a new one where the target or the options are others. options None:
        whatever the last command was given."""
        if options is None:
            options = self._options
        key = (self.host.key(), sorted((k, str(v)) for k, v in options.items()))
        if self._session is None or key != self._key:
            self.drop()
            self._session = self.host.open(options)
            self._key, self._options = key, options
        return self._session

    def kept(self) -> bool:
        return self._session is not None

    def kept_ids(self) -> List[str]:
        """For completion: the ids of the kept session, nothing is opened."""
        return [] if self._session is None else list(self._session.ids())

    def listing(self, name: str, words: List[str]) -> None:
        request = coreanalyze.parse([name or "leaks", *words])
        c = request.c
        c.colour, c.width = self.host.colour(), self.host.width()
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        session = self.session(request.options)
        session.write(request, lambda piece: self.host.write(decode(piece)))

    def find(self, words: List[str], usage: str) -> Tuple[coreanalyze.Session, int]:
        if not words:
            raise Failed(f"Which task? Usage: {usage}")
        session = self.session()
        return session, session.find(words[0])

    def bt(self, words: List[str]) -> None:
        session, index = self.find(words, COMMANDS["bt"].usage)
        frames = session.frames(index)
        for number, frame in enumerate(frames):
            self.host.write(frame_text(number, frame) + "\n")
        if not frames:
            self.host.write("No stack: `leaks task` says why.\n")

    def locals(self, words: List[str]) -> None:
        session, index = self.find(words, COMMANDS["locals"].usage)
        frames = session.frames(index)
        number = frame_number(words[1:2], frames)
        self.host.write(frame_text(number, frames[number]) + "\n")
        variables = session.locals(index, number)
        for variable in variables:
            value = f"<{variable.why}>" if variable.value is None else variable.value
            kind = f" ({variable.type})" if variable.type else ""
            self.host.write(f"{variable.name}{kind} = {value}\n")
        if not variables:
            self.host.write("No locals.\n")

    def export_core(self, words: List[str]) -> None:
        if not words:
            raise Failed(f"One FILE is wanted. Usage: {COMMANDS['export-core'].usage}")
        request = coreanalyze.parse(["export-core", *words])
        options, c = dict(request.options), request.c
        overwrite = options.pop("force", False)
        out = os.path.expanduser(request.argument or "")
        count = self.session(options or None).export_core(
            out, verdict=text_of(c.verdict), group=text_of(c.group_of), overwrite=overwrite)
        self.host.write(f"{count} tasks are threads in {out}.\n")

    def apply_words(self, line: str) -> Tuple[List[str], str]:
        """The ids and the command of `apply`'s line."""
        ids, usage = list(self.session().ids()), COMMANDS["apply"].usage
        first, _, rest = line.strip().partition(" ")
        if first != "all":
            known, ids, rest = set(ids), [], line.strip()
            while rest.partition(" ")[0] in known:
                first, _, rest = rest.partition(" ")
                ids.append(first)
                rest = rest.strip()
            if not ids:
                raise Failed(f"There is no task {first or '(no id given)'}. Usage: {usage}")
        if not rest.strip():
            raise Failed(f"Which command? Usage: {usage}")
        return ids, rest.strip()

    def run(self, name: str, line: str) -> None:
        """One command of those that need nothing of the debugger's frames."""
        words = split(line)
        if name in LISTINGS:
            self.listing(name, words)
        else:
            getattr(self, name.replace("-", "_"))(words)


def split(line: str) -> List[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise Failed(f"{error} in: {line}") from None


def frame_text(number: int, frame: coreanalyze.Frame) -> str:
    """A frame as debuggers print it."""
    where = f" at {frame.file}:{frame.line}" if frame.file and frame.line else ""
    inlined = " (inlined)" if frame.inlined else ""
    return f"#{number:<3}0x{frame.pc:016x} in {frame.function or '??'}{inlined}{where}"


def frame_number(words: List[str], frames: List[coreanalyze.Frame]) -> int:
    if not frames:
        raise Failed("This task has no stack that could be read.")
    if not words:
        own = [number for number, frame in enumerate(frames) if not frame.runtime]
        return own[0] if own else 0
    if not words[0].isdigit() or int(words[0]) >= len(frames):
        raise Failed(f"There is no frame {words[0]}; the stack has 0 to {len(frames) - 1}.")
    return int(words[0])


def text_of(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else os.fsdecode(value)


def complete(name: str, text: str, word: str, ids: List[str]) -> Optional[List[str]]:
    """What may follow text, the line after the command's name, whose last word is word. None: a
    file name."""
    before = text[:len(text) - len(word)].split() if word else text.split()
    last = before[-1] if before else ""
    known = {option.name: option for option in options_of(name)}
    option, equals, value = word.partition("=")
    if equals and option in known:
        return [f"{option}={found}" for found in _values(known[option], value, ids) or []]
    if last in known and (known[last].argument or (name, last) == ("export-core", "--group")):
        return _values(known[last], word, ids)
    if word.startswith("-"):
        return [option for option in known if option.startswith(word)]
    if name == "export-core":
        return None
    if COMMANDS[name].takes_id and (name == "apply" or not before):
        found = [i for i in ids if i.startswith(word)]
        if name == "apply" and not before and "all".startswith(word):
            found.insert(0, "all")
        return found
    return []


def _values(option: coreanalyze.Option, word: str, ids: List[str]) -> Optional[List[str]]:
    if option.name == "--group":
        return [i for i in ids if i.startswith(word)]
    if option.argument in ("FILE", "DIR"):
        return None
    # Lists take several, with commas between.
    done, comma, rest = word.rpartition(",") if option.argument == "LIST" else ("", "", word)
    return [done + comma + value for value in option.values or [] if value.startswith(rest)]
