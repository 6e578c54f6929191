"""No process that a test started may outlive the run: a plugin that looks after them.

What loses its parent (a sample whose debugger was killed, say) becomes a child of this process, so
that it is seen. conftest.py calls these from pytest's hooks of the same names."""

import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36

FIRST_SEEN = {}  # (pid, start time) -> the test
LEFT = []  # lines for the summary


def _processes():
    """(pid, start time) -> (parent, state, command line), of all there are."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            with open(f"/proc/{name}/cmdline", "rb") as cmdline:
                words = cmdline.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, IndexError):
            continue
        found[int(name), fields[19]] = (int(fields[1]), fields[0], words.strip())
    return found


def _offspring():
    """The living ones that descend from this process."""
    everybody = _processes()
    parents = {pid: parent for (pid, _), (parent, _, _) in everybody.items()}

    def is_ours(pid):
        seen = set()
        while pid in parents and pid not in seen:
            seen.add(pid)
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return {key: words for key, (_, state, words) in everybody.items()
            if state not in "ZX" and is_ours(key[0])}


def configure():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def after_test(name):
    for key in _offspring():
        FIRST_SEEN.setdefault(key, name)


def finish():
    """Ends what is left; true when there was something."""
    for _ in range(50):
        left = _offspring()
        if not left:
            return False
        time.sleep(0.1)
    for key, words in left.items():
        LEFT.append(f"left running by {FIRST_SEEN.get(key, 'no test')}: {key[0]} {words}")
        os.kill(key[0], signal.SIGKILL)
    return True
