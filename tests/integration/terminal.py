"""A terminal that a test types into and looks at: tmux, with a server of its own."""

import re
import shutil
import subprocess
import time

TMUX = shutil.which("tmux")


class Terminal:
    """A program in a terminal of 100 columns and 30 lines. Lines that scrolled away are kept."""

    count = 0

    def __init__(self, words, env, folder):
        Terminal.count += 1
        self.socket = str(folder / f"tmux{Terminal.count}")
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "-s", "test",
                   "-c", str(folder), *map(str, words), env=env)
        self._tmux("set-option", "-g", "history-limit", "20000")

    def _tmux(self, *words, env=None, check=True):
        done = subprocess.run([TMUX, "-S", self.socket, *words], env=env, capture_output=True,
                              text=True, errors="replace", timeout=30)
        assert not check or not done.returncode, done.stderr
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._tmux("kill-server", check=False)

    def type(self, text):
        """Keys as they are, without Enter."""
        self._tmux("send-keys", "-t", "test", "-l", text)

    def key(self, name):
        """A key by tmux's name: Enter, Tab, C-c."""
        self._tmux("send-keys", "-t", "test", name)

    def screen(self, whole=False):
        """What is to be seen; whole: with what has scrolled away."""
        text = self._tmux("capture-pane", "-p", "-J", "-t", "test", *(["-S", "-"] if whole else []))
        return text.rstrip("\n")

    def clear(self):
        """An empty screen but for the prompt, where the program takes C-l for that."""
        self.key("C-l")
        time.sleep(0.1)
        self._tmux("clear-history", "-t", "test")

    def ended(self):
        return "test" not in self._tmux("list-sessions", check=False)

    def wait(self, pattern, timeout=60, whole=True):
        """Waits until the pattern (of re, with re.M) is to be seen; returns all there is."""
        end = time.monotonic() + timeout
        text = ""
        while time.monotonic() < end:
            text = self.screen(whole)
            if re.search(pattern, text, re.M):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} does not appear:\n{text[-4000:]}")


class Debugger(Terminal):
    """A debugger, which shows a prompt when it has done what it was told."""

    def __init__(self, words, env, folder, prompt):
        super().__init__(words, env, folder)
        self.prompt = prompt
        self.wait(rf"^{re.escape(prompt)}$", whole=False)

    def ready(self, timeout=60):
        """Waits for the prompt, with nothing behind it; returns what came since the last clear."""
        return self.wait(rf"^{re.escape(self.prompt.rstrip())} *\Z", timeout)

    def do(self, line, timeout=60):
        """Types a line; returns what came in answer."""
        self.enter(line)
        return self.ready(timeout)

    def enter(self, line):
        """Types a line, sees it there, and ends it."""
        self.clear()
        self.type(line)
        self.wait(rf"^{re.escape(self.prompt + line)}")
        self.key("Enter")
