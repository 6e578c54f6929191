#!/usr/bin/env python3
"""Includes point one way: a room sees itself and the rooms to its left, nothing else.

    base <- target <- symbols <- unwind <- runtimes <- analysis <- session.c
    output/ and cli/ see coreanalyze.h and base/
    coreanalyze.h sees base/error.h, which sees nothing; describe.h neither: these are installed,
    and every room may see them

A folder in runtimes/ sees runtimes/*.h but no other runtime; runtimes/registry.c, which lists
them, sees all of them.
"""
import pathlib
import re
import sys

ORDER = ["base", "target", "symbols", "unwind", "runtimes", "analysis"]
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]*)"')


def room_of(path):
    """'runtimes/go' for runtimes/go/stack.c, 'base' for base/buf.c, '' for session.c."""
    folders = path.split("/")[:-1]
    return "/".join(folders[:2] if folders[:1] == ["runtimes"] else folders[:1])


def allowed(path, target):
    """Whether the file at path may include target; both relative to coreanalyze/."""
    here, there = room_of(path), room_of(target)
    if path == "coreanalyze.h":
        return target == "base/error.h"
    if path in ("base/error.h", "describe.h"):
        return False
    if target in ("coreanalyze.h", "describe.h") or here == there != "":
        return True
    if here == "":
        # The session is the one part of the library that sees every room.
        if path.startswith("session"):
            return there != "cli"
        return there == "base"
    if here in ("output", "cli"):
        return there == "base"
    if path == "runtimes/registry.c" and there.startswith("runtimes/"):
        return True
    left = ORDER[: ORDER.index(here.split("/")[0])] if here.split("/")[0] in ORDER else None
    if left is None:
        return False
    return there in left or (here.startswith("runtimes/") and there == "runtimes")


def check(root):
    problems = []
    files = [f for f in sorted(root.rglob("*")) if f.suffix in (".c", ".h", ".inc")]
    for file in files:
        path = file.relative_to(root).as_posix()
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            if not (root / target).is_file() or ".." in target.split("/"):
                problems.append(f"{file}:{number}: write includes from coreanalyze/: {target}")
            elif not allowed(path, target):
                problems.append(f"{file}:{number}: {room_of(path) or path} must not see {target}")
    return len(files), problems


def main():
    count, problems = check(pathlib.Path(sys.argv[1]))
    print(*problems, sep="\n", end="\n" if problems else "")
    if not count:
        problems.append("no files")
        print(f"includes: no C files under {sys.argv[1]}")
    if not problems:
        print(f"includes: {count} files, every include points the right way")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
