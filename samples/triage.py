#!/usr/bin/env python3
"""Files the top group of each core of a folder: one line of JSON a core, on standard output.

    samples/triage.py /var/crash >>leaks.jsonl

A line has `core`, and `group` (the worst group, without its long lists) or `error`.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "coreanalyze" / "python"))

import coreanalyze  # noqa: E402

LONG = ("frames", "ids", "evidence", "waiting_for")


def is_core(path: Path) -> bool:
    """Whether this is an ELF file of type core."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(18)
    return head[:4] == b"\x7fELF" and head[16:18] == b"\x04\x00"


def line_of(path: Path) -> dict:
    try:
        with coreanalyze.open_core(path) as session:
            groups = session.leaks(limit=1)["groups"]
    except coreanalyze.CoreanalyzeError as error:
        return {"core": str(path), "error": str(error)}
    group = {key: groups[0][key] for key in groups[0] if key not in LONG} if groups else None
    return {"core": str(path), "group": group}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    for path in sorted(Path(sys.argv[1]).iterdir()):
        if is_core(path):
            print(json.dumps(line_of(path)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
