"""Stops a program at an instruction, all its threads at once, and leaves it stopped and untraced, so
that others can attach to it or write its core; then lets it go on. By ptrace, amd64 only: a debugger
takes seconds for each stop, and loses a program now and then."""

import contextlib
import ctypes
import os
import platform
import re
import signal
import subprocess
import time
from pathlib import Path

HERE = platform.machine() == "x86_64"

CONT, SINGLESTEP, GETREGS, SETREGS, DETACH = 7, 9, 12, 13, 17
SETOPTIONS, GETEVENTMSG, SEIZE = 0x4200, 0x4201, 0x4206
TRACECLONE, EXITKILL = 1 << 3, 1 << 20
EVENT_CLONE = 3
WALL = 0x40000000
REGISTERS, RIP = 27, 16  # words of struct user_regs_struct, and which is rip

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


def ptrace(request, tid, data=0):
    if LIBC.ptrace(request, tid, None, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def places(binary, name):
    """The addresses of functions whose names match."""
    nm = subprocess.run(["nm", str(binary)], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0], 16) for line in nm.splitlines()
            if re.fullmatch(name, line.split(None, 2)[-1])]


class Gone(Exception):
    """The program has ended."""


class Instant:
    """A program that was started to be stopped. `pid`, and after its end `status`."""

    def __init__(self, command, folder, out, err, env):
        self.status, self.saved, self.threads = None, {}, {}
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.setsid()
                os.chdir(folder)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                for name, fd in ((out, 1), (err, 2)):
                    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), fd)
                LIBC.ptrace(0, 0, None, None)  # TRACEME: exec stops
                os.execve(command[0], command, env)
            os._exit(127)
        os.waitpid(self.pid, 0)
        ptrace(SETOPTIONS, self.pid, TRACECLONE | EXITKILL)
        self.threads[self.pid] = True  # tid: it is stopped

    def _poke(self, address, code):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            old = memory.read(len(code))
            memory.seek(address)
            memory.write(code)
        return old

    def _wait(self, tid=None):
        """The next thread that stopped, and why: a signal's number, or 0. Raises Gone."""
        while True:
            found, status = os.waitpid(tid or -self.pid, WALL)
            if os.WIFSTOPPED(status):
                self.threads[found] = True
                number = os.WSTOPSIG(status)
                if status >> 16 == EVENT_CLONE:
                    new = ctypes.c_ulong()
                    ptrace(GETEVENTMSG, found, ctypes.addressof(new))
                    self.threads.setdefault(new.value, False)
                return found, 0 if status >> 16 or number == signal.SIGSTOP else number
            self.threads.pop(found, None)
            if found == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
                raise Gone
            if found == tid:
                return found, 0

    def _go(self, tid, number=0):
        self.threads[tid] = False
        with contextlib.suppress(ProcessLookupError):
            ptrace(CONT, tid, number)

    def _registers(self, tid):
        registers = (ctypes.c_uint64 * REGISTERS)()
        ptrace(GETREGS, tid, ctypes.addressof(registers))
        return registers

    def _step_off(self, places):
        """Who stands on one of the places has been there."""
        for tid in list(self.threads):
            while self._registers(tid)[RIP] in places:
                ptrace(SINGLESTEP, tid)  # the stop's own events come first
                self._wait(tid)

    def _hit(self, tid):
        """The place that the thread has just stepped on, and back on it; None: none."""
        registers = self._registers(tid)
        place = registers[RIP] - 1
        if place not in self.saved:
            return None
        registers[RIP] = place
        ptrace(SETREGS, tid, ctypes.addressof(registers))
        return place

    def run_to(self, places, timeout=120):
        """Run until a thread is about to run the instruction at one of PLACES; then everything
        stands still, with nothing changed. The place, or None: the program ended."""
        self._attach()
        deadline = time.monotonic() + timeout
        try:
            self._step_off(places)
            for place in places:
                self.saved[place] = self._poke(place, b"\xcc")
            for tid in list(self.threads):
                self._go(tid)
            while True:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.pid} did not come to {places}")
                tid, number = self._wait()
                try:
                    place = self._hit(tid) if number == signal.SIGTRAP else None
                except ProcessLookupError:  # it is being killed
                    continue
                if place:
                    self._hold()
                    return place
                self._go(tid, number)
        except Gone:
            self.threads, self.saved = {}, {}
            return None

    def _hold(self):
        """Stop the other threads, take the traps out, and let all go, stopped."""
        carry = {}
        while not all(self.threads.values()):
            tid = next(tid for tid, stopped in self.threads.items() if not stopped)
            LIBC.syscall(234, self.pid, tid, int(signal.SIGSTOP))  # tgkill
            found, number = self._wait(tid)
            if number == signal.SIGTRAP:
                self._hit(found)
            elif number:
                carry[found] = number
        for place, code in self.saved.items():
            self._poke(place, code)
        self.saved = {}
        os.kill(self.pid, signal.SIGSTOP)
        for tid in self.threads:
            with contextlib.suppress(ProcessLookupError):
                ptrace(DETACH, tid, carry.get(tid, 0))
        for tid in self.threads:
            self._until_stopped(tid)
        self.threads = {}

    def _until_stopped(self, tid):
        stat = Path(f"/proc/{self.pid}/task/{tid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)

    def _attach(self):
        if self.threads or self.status is not None:
            return
        for tid in map(int, os.listdir(f"/proc/{self.pid}/task")):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it is at its end
                ptrace(SEIZE, tid, TRACECLONE | EXITKILL)
                self.threads[tid] = False
        for tid in list(self.threads):
            self._wait(tid)
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(Gone, ChildProcessError):
                while True:
                    tid, _ = self._wait()
                    self._go(tid)
