"""The table of Go versions in README.md, from what the truth tests have compared: run them with
CA_FULL=1, then `python3 tests/integration/versions_table.py`. It stands between two comments."""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "build" / "versions.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- versions: begin -->", "<!-- versions: end -->"
SHAPES = ["plain", "stripped", "pie", "pie-stripped", "cgo-stripped", "trimpath"]


def keep(equal):
    """Add the counts of one run, by (version, arch, shape), to those of the runs before. The last
    run of each decides."""
    if not equal:
        return
    counts = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    counts.update({" ".join(key): count for key, count in equal.items()})
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(counts, indent=1, sort_keys=True))


def table(counts):
    """Rows of Markdown: how many goroutines were equal, one column for each shape."""
    rows = {}
    for key, count in counts.items():
        version, arch, shape = key.split(" ")
        rows.setdefault((arch, tuple(int(n) for n in version.split(".")), version), {})[shape] = count
    lines = ["| Go | machine | " + " | ".join(SHAPES) + " |", "| --- " * (len(SHAPES) + 2) + "|"]
    for (arch, _, version), row in sorted(rows.items(), key=lambda item: item[0][:2]):
        cells = [f"{row[shape]:,}" if shape in row else "" for shape in SHAPES]
        lines.append(f"| {version} | {arch} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    if not KEPT.exists():
        sys.exit(f"{KEPT} is not there: run the truth tests first")
    text = README.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{README.name} has no place for the table: {BEGIN} and {END}")
    new = f"{BEGIN}\n{table(json.loads(KEPT.read_text()))}\n{END}"
    README.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: new, text, flags=re.S))


if __name__ == "__main__":
    main()
