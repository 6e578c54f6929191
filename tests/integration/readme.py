"""What README.md and docs/ show is what the programs print: finds the shown commands, runs them,
compares. `python3 tests/integration/readme.py --write` puts what was printed into the documents.

A fenced block whose first line begins with `$ ` is run, line by line, by bash, in a folder that
holds links to build/, gdb/, lldb/, samples/ and coreanalyze/ of this checkout. `(gdb) ` and `(lldb) `
lines below a `$ gdb` or `$ lldb` are given to that debugger; lines with `> ` go on with the command
above. A line `...` stands for any lines.

Files that the commands name are made as a comment of the document says, anywhere in it:

    <!-- make core.shop: go all timeout -->     samples/go/all, run as `shop timeout` until it dies
    <!-- make core.srv: c state-threads/server leak 6000 -->   the same for a C sample
    <!-- make shop.pid: go all timeout -->      the same program, alive; the file holds its pid
    <!-- make shop: go all -->                  the program alone

Documents in docs/ are run when they hold such a comment. The toolchain is Debian's, and the
programs run with GOMAXPROCS=1, so that goroutines get the same numbers every time.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import build
import crash
import csamples
import toolchains

ROOT = Path(__file__).resolve().parent.parent.parent
REFRESH = "python3 tests/integration/readme.py --write"
LINKS = ["build", "gdb", "lldb", "samples", "coreanalyze", "docs"]
DEBUGGERS = {"gdb": "(gdb) ", "lldb": "(lldb) ", "lldb-19": "(lldb) "}
TIMEOUT = 120


def documents():
    """README.md, and those of docs/ that say how their files are made."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(path for path in docs if recipes(path.read_text()))]


def recipes(text):
    """What the comments say: a dict from the file's name to the words of its recipe."""
    found = re.findall(r"<!-- make (\S+): (.*?) -->", text)
    return {name: shlex.split(words) for name, words in found}


class Step:
    """A command as it is shown, with its prompt, and the lines shown below it."""

    def __init__(self, prompt, command):
        self.prompt, self.command, self.shown = prompt, command, []


class Block:
    """A fenced block: the document, the numbers of its first line and of the line after its last,
    and its steps."""

    def __init__(self, path, start, end, lines):
        self.path, self.start, self.end = path, start, end
        self.steps = []
        inner = None
        for line in lines:
            if line.startswith("$ "):
                self.steps.append(Step("$ ", line[2:]))
                inner = DEBUGGERS.get(line[2:].split()[0])
            elif inner and line.startswith(inner.strip()):
                self.steps.append(Step(inner, line[len(inner):]))
            elif line.startswith("> ") and not self.steps[-1].shown:
                self.steps[-1].command += "\n" + line[2:]
            else:
                self.steps[-1].shown.append(line)

    def __str__(self):
        return f"{self.path.relative_to(ROOT)}:{self.start + 1}"

    def commands(self):
        return [step.command for step in self.steps]


def blocks(path):
    """The blocks of a document that are run."""
    found, lines = [], path.read_text().split("\n")
    fence = start = None
    for number, line in enumerate(lines):
        mark = re.match(r"(```+|~~~+)", line)
        if fence is None and mark:
            fence, start = mark[1], number + 1
        elif fence is not None and line.rstrip() == fence:
            if lines[start].startswith("$ "):
                found.append(Block(path, start, number, lines[start:number]))
            fence = None
    return found


# ---- the files that commands name


class Folder:
    """The folder in which the commands run. Files are made when a command names them."""

    def __init__(self, path):
        self.path = Path(path)
        self.processes = []
        self.made = {}
        for name in LINKS:
            if (ROOT / name).exists() and not (self.path / name).exists():
                (self.path / name).symlink_to(ROOT / name)

    def prepare(self, block):
        for name, words in recipes(block.path.read_text()).items():
            if not any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", command)
                       for command in block.commands()):
                continue
            if self.made.setdefault(name, words) != words:
                raise RuntimeError(f"{block}: {name} is made differently in another document")
            if not (self.path / name).exists():
                self._make(name, words)

    def _make(self, name, words):
        kind, program, *arguments = words
        short = re.sub(r"^core\.|\.pid$", "", name)
        binary = self.path / short
        if not binary.exists():
            shutil.copy(self._built(kind, program), binary)
        env = {"GOMAXPROCS": "1", "GODEBUG": ""}
        if kind == "c":
            env["SAMPLE_DIE"] = "abort"
        if name.startswith("core."):
            result = crash.run(binary, arguments, self.path / ("run." + short), env)
            if result.core is None:
                raise RuntimeError(f"no core of {binary} {arguments}: {result.stderr[-2000:]}")
            result.core.rename(self.path / name)
        elif name.endswith(".pid"):
            self._start(name, [str(binary), *arguments], dict(os.environ, **env, SAMPLE_DIE="wait"))

    def _built(self, kind, program):
        if kind == "go":
            return build.build(toolchains.find("debian"), program)
        csamples.make()
        return csamples.OUT / program

    def _start(self, name, command, env):
        process = subprocess.Popen(
            command, cwd=self.path, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        for line in process.stdout:
            if line == "ready\n":
                break
        time.sleep(0.2)
        (self.path / name).write_text(f"{process.pid}\n")

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()


# ---- running


def environment(program):
    """PROGRAM is the command under test; it is found first on the PATH."""
    paths = [str(Path(program).parent), os.environ.get("PATH", "/usr/bin:/bin")]
    env = {
        "PATH": ":".join(paths), "HOME": os.environ.get("HOME", "/"), "TERM": "dumb",
        "COLUMNS": "100", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "DEBUGINFOD_URLS": "",
    }
    for name in ("CA_LIBRARY", "GOCACHE"):
        if name in os.environ:
            env[name] = os.environ[name]
    return env


def run(block, folder, program):
    """What each step of the block prints, as lists of lines. Standard error is part of it."""
    folder.prepare(block)
    outputs, steps = [], list(block.steps)
    while steps:
        shell = steps.pop(0)
        inner = []
        while steps and steps[0].prompt != "$ ":
            inner.append(steps.pop(0).command)
        command = _driven(shell.command, inner) if inner else shell.command
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder.path, env=environment(program), timeout=TIMEOUT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        text = done.stdout.decode("utf-8", "replace")
        for place in (folder.path, ROOT):
            text = text.replace(f"{place}/", "")
        outputs += _split(text, len(inner)) if inner else [_lines(text)]
    return outputs


def _driven(command, inner):
    """The debugger's command line, made to run the inner commands with a mark before each."""
    name, _, rest = command.partition(" ")
    words = []
    for number, line in enumerate(inner):
        if name == "gdb":
            words += ["-ex", f"echo @@{number}@@\\n", "-ex", line]
        else:
            words += ["-o", f'script print("@@{number}@@")', "-o", line]
    batch = "-batch -nx" if name == "gdb" else "--batch --no-lldbinit"
    return f"{name} {batch} {rest} {shlex.join(words)}"


def _split(text, count):
    parts = []
    for number in range(count):
        before, mark, text = text.partition(f"@@{number}@@\n")
        if not mark:
            raise RuntimeError(f"the debugger did not come to its command {number + 1}:\n{before}")
        parts.append(_lines(before))
    parts.append(_lines(text))
    # lldb repeats its commands, gdb does not.
    return [[line for line in part if not line.startswith("(lldb) ")] for part in parts]


def _lines(text):
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


# ---- comparing

CHANGES = [
    (r"0x[0-9a-f]+", "ADDRESS"),
    (r"\b\d[\d,.]* ?(?:B|kB|MB|GB|bytes)\b", "SIZE"),
    (r"\b\d[\d.]*(?: ?(?:ns|µs|us|ms|s|min)|[mhd])\b(?: \d+[smh]\b)?", "TIME"),
    (r"\b(goroutine|task|explain|thread|pid|process|Thread|LWP)( |: *|=)\d+(?:, \d+)*", r"\1\2NUMBER"),
    (r'("(?:id|by|pid|thread|tid)": ?"?)\d+', r"\1NUMBER"),
    (r"(_ns\"?: ?)-?\d+", r"\1NUMBER"),
    (r"^(\s*)\d+(?=\s{2,})", r"\1NUMBER"),
    (r"\b[0-9a-f]{40}\b", "BUILD-ID"),
    (r"(/[\w.+@-]+)+/(?=[\w.-]+\.(?:go|c|h|cpp|py|s|S):\d)", "PATH/"),
    (r"[ \t]+", " "),
]


def normal(line):
    """LINE without what differs from one run to the next: addresses, numbers of goroutines and
    processes, times, sizes, folders, widths of columns. Counts stay."""
    for pattern, instead in CHANGES:
        line = re.sub(pattern, instead, line)
    return line.strip()


def same(shown, printed):
    """Whether the SHOWN lines, with `...` for any lines, are what was PRINTED."""
    wanted, there = [normal(line) for line in shown], [normal(line) for line in printed]
    while wanted and not wanted[-1]:
        wanted.pop()
    if "..." not in wanted:
        return wanted == there
    parts, part = [], []
    for line in wanted + ["..."]:
        if line == "...":
            parts.append(part)
            part = []
        else:
            part.append(line)
    first, *middle, last = parts
    if there[: len(first)] != first or (last and there[len(there) - len(last):] != last):
        return False
    at, end = len(first), len(there) - len(last)
    for part in middle:
        while at + len(part) <= end and there[at : at + len(part)] != part:
            at += 1
        if at + len(part) > end:
            return False
        at += len(part)
    return at <= end


def refreshed(step, printed):
    """The lines to show below STEP: those that were there if they still hold."""
    if same(step.shown, printed):
        return step.shown
    shown = step.shown
    if shown and shown[-1].strip() == "..." and len(printed) > len(shown):
        return printed[: len(shown) - 1] + ["..."]
    # An empty line before the next command is ours, not the program's.
    return printed + ([""] if shown and not shown[-1] else [])


def write(path, folder, program):
    """Puts what the commands of the document print into it. Returns what was refreshed."""
    lines, changed = path.read_text().split("\n"), []
    for block in reversed(blocks(path)):
        new = []
        for step, printed in zip(block.steps, run(block, folder, program)):
            command = (step.prompt + step.command).replace("\n", "\n> ")
            new += [*command.split("\n"), *refreshed(step, printed)]
        if new != lines[block.start : block.end]:
            changed.append(str(block))
            lines[block.start : block.end] = new
    path.write_text("\n".join(lines))
    return changed[::-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="put what was printed in the documents")
    parser.add_argument("documents", nargs="*", type=Path, help="README.md and docs/, unless given")
    arguments = parser.parse_args()
    if not arguments.write:
        parser.error("nothing to do without --write; tests/integration/test_readme.py compares")
    program = Path(os.environ.get("CA_BINARY") or ROOT / "build" / "coreanalyze")
    if not program.exists():
        sys.exit(f"{program} is not built: run make")
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        try:
            for document in [path.resolve() for path in arguments.documents] or documents():
                for block in write(document, folder, program):
                    print(f"refreshed {block}")
        finally:
            folder.close()


if __name__ == "__main__":
    main()
