"""Both debuggers as a person drives them, in a terminal: paging, completion, Ctrl-C, and what works
afterwards."""

import os
import re

import pytest

import build
import csamples
import doors
import terminal
import toolchains

pytestmark = [
    pytest.mark.skipif(doors.SANITIZED, reason="the debuggers are not sanitised"),
    pytest.mark.skipif(not terminal.TMUX, reason="tmux is not installed"),
]

MORE = r"^--Type <RET> for more, q to quit, c to continue without paging--"
MANY = 25_000  # tasks of the long listing


def gdb(folder):
    if not doors.GDB:
        pytest.skip("gdb is not installed")
    found = terminal.Debugger([doors.GDB, "-nx", "-q"], doors.environment(), folder, "(gdb) ")
    assert "rror" not in found.do(f"source {doors.ROOT}/gdb/leaks.py")
    return found


def lldb(folder):
    if not doors.LLDB:
        pytest.skip("lldb is not installed")
    found = terminal.Debugger([doors.LLDB, "-x", "-X"], doors.environment(), folder, "(lldb) ")
    assert "rror" not in found.do(f"command script import {doors.ROOT}/lldb/leaks.py")
    return found


@pytest.fixture(scope="module")
def sample():
    csamples.make()
    return csamples.OUT / "c" / "forgotten_sender"


def first_id(text):
    return re.search(r"^ *(\S+:\d+) +waiting", text, re.M)[1]


def leave(one):
    """Quit, and say that the program may be killed."""
    one.enter("quit")
    one.wait(r"\(y or n\)|\[Y/n\]")
    one.type("y")
    one.key("Enter")
    for _ in range(200):
        if one.ended():
            return
        terminal.time.sleep(0.05)
    raise AssertionError("it does not end:\n" + one.screen())


def test_gdb(sample, tmp_path):
    with gdb(tmp_path) as one:
        one.do(f"file {sample}")
        one.do("set env SAMPLE_DIE wait")
        one.do("break account_end")
        assert "Breakpoint 1, account_end" in one.do("run leak >/dev/null")
        assert "1,200 suspect in 1 group" in one.do("leaks")

        # paging: a page, another one, enough
        one.enter("leaks tasks --limit 0")
        page = one.wait(MORE)
        task = first_id(page)
        one.key("Enter")
        second = one.wait(MORE + "(?s:.*)" + MORE)
        assert len(set(re.findall(r"\S+:\d+ +waiting", second))) > 40
        one.type("q")
        one.key("Enter")
        one.ready()
        # and all of it
        one.enter("leaks tasks --limit 0")
        one.wait(MORE)
        one.type("c")
        one.key("Enter")
        assert len(re.findall(r"^ *\S+:\d+ +\w+ ", one.ready(), re.M)) >= 1201

        # completion of a command, an option, an id
        one.clear()
        one.type("leaks sel")
        one.key("Tab")
        one.wait(r"^\(gdb\) leaks select\s*$")
        one.type(task[:-1])
        one.key("Tab")
        one.key("Tab")
        one.wait(rf"^(?!\(gdb\)).*\b{task.split(':')[1]}\b")  # gdb shows what is behind the colon
        one.type(task[-1])
        one.key("Enter")
        shown = one.ready()
        assert re.search(r"^#1 .*", shown, re.M)
        assert re.search(r"^#\d+ .* in work \(", one.do("bt"), re.M)
        assert " in work (" in one.do("frame function work")
        assert "value = 42" in one.do("info locals")
        assert "= 42" in one.do("print value")
        assert "co_task_main" in one.do("up")
        assert "account_end" in one.do("thread 1")
        back = one.do("bt")
        assert "#0  account_end" in back and " work (" not in back

        # on, and a stop by Ctrl-C
        one.do("delete 1")
        one.do(f"leaks select {task}")
        one.enter("continue")
        one.wait(r"^Continuing\.")
        one.key("C-c")
        one.wait("SIGINT")
        assert "SIGINT" in one.ready()
        stack = one.do("bt")
        assert "pause" in stack or "account_end" in stack
        assert "1,200 suspect" in one.do("leaks")
        assert " in work (" in one.do(f"leaks apply {task} bt")
        one.do(f"leaks select {task}")
        leave(one)


def test_lldb(sample, tmp_path):
    with lldb(tmp_path) as one:
        one.do(f"target create {sample}")
        # By name lldb 19 sets one more in the middle of another function's instruction.
        one.do("breakpoint set -f account.c -l 121")
        launch = "process launch -E SAMPLE_DIE=wait -o /dev/null -- leak"
        one.enter(launch)
        one.wait("stop reason = breakpoint")
        one.ready()
        assert "1,200 suspect in 1 group" in one.do("leaks")
        listing = one.do("leaks tasks --limit 0")
        assert len(re.findall(r"^ *\S+:\d+ +\w+ ", listing, re.M)) >= 1201
        task = first_id(listing)

        # completion of an option
        one.clear()
        one.type("leaks tasks --so")
        one.key("Tab")
        one.wait(r"^\(lldb\) leaks tasks --sort\s*$")
        one.type("age --limit 1")
        one.key("Enter")
        assert "1,200 more" in one.ready()

        assert f"task {task}" in one.do(f"leaks select {task}") + one.do("thread info")
        assert "`work(" in one.do("bt")
        while "`work(" not in one.do("frame info"):
            one.do("up")
        assert "answer = 0x" in one.do("frame variable")
        assert "value (int) = 42" in one.do(f"leaks locals {task}")
        one.enter("thread select 1")  # lldb 19 says where it is after its next prompt
        one.wait("account_end")
        one.ready()
        back = one.do("bt")
        assert "account_end" in back and "`work(" not in back

        one.do("breakpoint delete 1")
        one.do(f"leaks select {task}")
        one.enter("continue")
        one.wait("resuming")
        one.key("C-c")
        one.wait("SIGSTOP|SIGINT")
        one.ready()
        assert "`work(" not in one.do("bt") and "1,200 suspect" in one.do("leaks")
        assert "`work(" in one.do(f"leaks apply {task} bt")
        leave(one)


@pytest.fixture(scope="module", params=["plain", "stripped"])
def go_sample(request):
    return build.build(toolchains.newest(), "many", request.param)


def test_gdb_go(go_sample, tmp_path):
    with gdb(tmp_path) as one:
        one.do(f"file {go_sample}")
        one.do("handle SIGURG nostop noprint")
        one.do("set env SAMPLE_DIE wait")
        one.enter("run 500")
        one.wait("^ready")
        one.key("C-c")
        one.wait("SIGINT")
        one.ready()
        one.do("set pagination off")
        assert re.search(r"50\d goroutines", one.do("leaks")), one.screen()
        one.do("set pagination on")
        one.enter("leaks tasks --limit 0")
        one.wait(MORE)
        one.key("Enter")
        one.wait(MORE + "(?s:.*)" + MORE)
        one.type("q")
        one.key("Enter")
        one.ready()
        one.do("set pagination off")
        listing = one.do("leaks tasks --limit 0")
        assert len(re.findall(r"^ *\d+ +(?:waiting|running|syscall) ", listing, re.M)) >= 500
        task = re.search(r"^ *(\d+) +waiting .*fetch", listing, re.M)[1]
        before = one.do("info registers rip rsp")
        assert "main.(*store).fetch" in one.do(f"leaks select {task}") + one.do("bt")
        assert "main.(*store).fetch" in one.do(f"leaks bt {task}")
        one.do("up")
        assert re.search(r"^#\d+ ", one.do("frame"), re.M)
        if "stripped" not in str(go_sample):
            assert re.search(r"^key", one.do(f"leaks locals {task}"), re.M)
        one.do("leaks select")
        values = [re.findall(r"0x[0-9a-f]+", text) for text in
                  (before, one.do("info registers rip rsp"))]
        assert values[0] and values[0] == values[1]
        one.do(f"leaks select {task}")
        one.enter("continue")
        one.wait(r"^Continuing\.")
        one.key("C-c")
        one.wait("SIGINT")
        one.ready()
        assert "main.(*store).fetch" not in one.do("bt 3")
        assert re.search(r"50\d goroutines", one.do("leaks"))
        leave(one)


def test_lldb_go(go_sample, tmp_path):
    with lldb(tmp_path) as one:
        one.do(f"target create {go_sample}")
        one.do("process handle SIGURG -s false -n false")
        one.enter("process launch -E SAMPLE_DIE=wait -- 500")
        one.wait("^ready")
        one.key("C-c")
        one.wait("stop reason = signal SIG(STOP|INT)")
        one.ready()
        assert re.search(r"50\d goroutines", one.do("leaks"))
        listing = one.do("leaks tasks --limit 0")
        assert len(re.findall(r"^ *\d+ +(?:waiting|running|syscall) ", listing, re.M)) >= 500
        task = re.search(r"^ *(\d+) +waiting .*fetch", listing, re.M)[1]
        one.do(f"leaks select {task}")
        assert f"task {task}" in one.do("thread info")
        top = re.search(r"frame #0: (0x[0-9a-f]+)", one.do("bt"))[1]
        whole = one.do(f"leaks bt {task}")
        assert re.search(r"^#0 +(0x[0-9a-f]+)", whole, re.M)[1] == top
        assert "main.(*store).fetch" in whole
        if "stripped" not in str(go_sample):
            assert re.search(r"^key", one.do(f"leaks locals {task}"), re.M)
        one.enter("continue")
        one.wait("resuming")
        one.key("C-c")
        one.wait("SIGSTOP|SIGINT")
        one.ready()
        assert f"task {task}" not in one.do("thread list")
        assert re.search(r"50\d goroutines", one.do("leaks"))
        leave(one)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    chain = toolchains.newest()
    with doors.frozen(build.build(chain, "many", "plain"), [str(MANY)],
                      tmp_path_factory.mktemp("many")) as found:
        yield found


def test_gdb_ctrl_c_in_a_long_listing(many, tmp_path):
    with gdb(tmp_path) as one:
        one.do("set pagination off")
        one.do(f"file {many.binary}", 120)
        one.do(f"core-file {many.core}", 120)
        one.do("leaks info", 120)
        for words in ("tasks --limit 0", "tasks --format json"):
            one.enter(f"leaks {words}")
            one.wait(r"waiting|\"frames\"", whole=False)
            one.key("C-c")
            text = one.ready(120)
            assert not re.search(rf"^ *{MANY} +waiting|\]\}}\n", text, re.M), "over before Ctrl-C"
            works(one, text)


def test_lldb_ctrl_c_in_a_long_listing(many, tmp_path):
    """lldb shows what a command says when it is done; Ctrl-C ends the work before that."""
    with lldb(tmp_path) as one:
        one.do(f"target create {many.binary} -c {many.core}", 120)
        one.do("leaks info", 120)
        one.enter("leaks tasks --format json")
        terminal.time.sleep(0.2)
        one.key("C-c")
        text = one.ready(120)
        assert "nterrupted" in text, "over before Ctrl-C"
        works(one, text)


def works(one, text):
    """The debugger is as it was."""
    assert "Traceback" not in text and "internal-error" not in text
    assert re.search(r"^ *\*? *(#0|frame #0)", one.do("bt 1"), re.M)
    assert "goroutines" in one.do("leaks --limit 1")
    task = re.search(r"^ *(\d+) +waiting", one.do("leaks tasks --limit 5"), re.M)[1]
    one.do(f"leaks select {task}")
    assert re.search(r"main\.|runtime\.gopark", one.do("bt"))
    one.do("leaks select")
    assert "main.(*store)" not in one.do("bt 3")
