"""The `leaks` commands of coreanalyze in gdb 13 and newer: `source gdb/leaks.py`.

Only the way to the modules is here: what is sourced shares its names with all of the user's Python.
"""

import os
import sys

import gdb


def _say(text):
    """gdb would show an exception of a script with all the lines that led to it."""
    gdb.write(text + "\n", gdb.STDERR)


def _load():
    here = os.path.dirname(os.path.realpath(__file__))
    loaded = sys.modules.get("leaks_gdb")
    if loaded is not None:
        if os.path.dirname(os.path.realpath(loaded.__file__)) != here:
            _say(f"coreanalyze: the leaks commands of {loaded.__file__} are loaded already, at "
                 "start by gdb's own scripts perhaps; `gdb -nx` loads none.")
        return
    # In a checkout and, beside this folder, where `make install` puts it.
    for folder in (here, os.path.join(here, "..", "coreanalyze", "python"),
                   os.path.join(here, "..", "python")):
        folder = os.path.normpath(folder)
        if os.path.isdir(folder) and folder not in sys.path:
            sys.path.insert(0, folder)
    import coreanalyze
    try:
        coreanalyze.library()
    except coreanalyze.LibraryError as error:
        _say(str(error))
        return
    import leaks_gdb  # noqa: F401


_load()
