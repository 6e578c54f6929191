#!/usr/bin/env python3
"""Public names agree: libcoreanalyze.map exports, without wildcards, all that coreanalyze.h declares,
and beyond that only errors; and every global symbol of the library starts with ca_."""
import pathlib
import re
import subprocess
import sys


def declared(header):
    """Names of the functions and variables that the header declares."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", header.read_text(), flags=re.S)
    text = re.sub(r"^\s*#.*(?:\\\n.*)*", " ", text, flags=re.M)
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)\s*(?=[;{,])", " ", text, flags=re.S)
    text = re.sub(r'extern\s*"C"\s*\{', " ", text)
    # Bodies and members of structs are no declarations of functions.
    while True:
        shorter = re.sub(r"\{[^{}]*\}", ";", text)
        if shorter == text:
            break
        text = shorter
    names = set()
    for declaration in text.split(";"):
        if re.search(r"\b(typedef|static)\b", declaration):
            continue
        match = re.search(r"(?<!\(\*)\b(ca_\w+)\s*\(", declaration)
        if match:
            names.add(match.group(1))
        elif re.search(r"\bextern\b", declaration):
            variable = re.search(r"\b(ca_\w+)\s*(\[\s*\w*\s*\])?\s*$", declaration)
            if variable:
                names.add(variable.group(1))
    return names


def exported(symbol_map):
    text = re.sub(r"/\*.*?\*/|#[^\n]*", " ", symbol_map.read_text(), flags=re.S)
    text = re.sub(r"local:[^}]*", " ", text)
    return set(re.findall(r"\b(ca_[\w*]+)\s*;", text))


def defined(archive):
    out = subprocess.run(["nm", "-g", "--defined-only", archive], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {line.split()[2] for line in out.splitlines() if len(line.split()) == 3}


def main():
    root, archive = pathlib.Path(sys.argv[1]), sys.argv[2]
    header, symbol_map = root / "coreanalyze.h", root / "libcoreanalyze.map"
    absent = [str(p) for p in (header, symbol_map, pathlib.Path(archive)) if not p.is_file()]
    if absent:
        print("exports: not there:", *absent)
        return 1
    problems = []
    names = defined(archive)
    if not names:
        problems.append(f"{archive} defines nothing")
    # Sanitizers and compilers add names of their own, which start with underscores.
    for name in sorted(n for n in names if not n.startswith(("ca_", "_"))):
        problems.append(f"global symbol without the prefix ca_: {name}")
    public = declared(header)
    if not public:
        problems.append(f"{header.name} declares nothing")
    listed = exported(symbol_map)
    for name in sorted(public - listed):
        problems.append(f"{header.name} declares {name}, {symbol_map.name} does not export it")
    # The header brings base/error.h along; what creates errors may stay inside the library.
    errors = declared(root / "base" / "error.h")
    for name in sorted(listed - public - errors):
        problems.append(f"{symbol_map.name} exports {name}, {header.name} does not declare it")
    if "ca_error_destroy" not in listed:
        problems.append(f"{symbol_map.name} must export ca_error_destroy")
    for name in sorted(listed - names):
        problems.append(f"{symbol_map.name} exports {name}, the library does not define it")
    print(*problems, sep="\n", end="\n" if problems else "")
    if not problems:
        print(f"exports: {len(public)} public names, {len(names)} global symbols, all agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
