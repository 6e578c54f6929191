"""make install: the command, the library, the Python module and both debuggers' commands, from where
they were put and from nowhere else; make uninstall leaves nothing."""

import os
import subprocess

import pytest

import csamples
import doors

pytestmark = pytest.mark.skipif(doors.SANITIZED, reason="what is installed is not sanitised")


def make(*words):
    done = subprocess.run(["make", "-s", *words], cwd=doors.ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr


def run(*words, **more):
    env = {key: value for key, value in os.environ.items() if key != "COREANALYZE_LIB"}
    env.update(DEBUGINFOD_URLS="", NO_COLOR="1", **more)
    done = subprocess.run([str(word) for word in words], env=env, cwd="/", text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    return done.stdout


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("core")) as found:
        yield found


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    make("install", f"prefix={prefix}")
    yield prefix
    make("uninstall", f"prefix={prefix}")
    assert [path for path in prefix.rglob("*") if not path.is_dir()] == []
    assert not (prefix / "share" / "coreanalyze").exists()


WHERE = "import os, coreanalyze, coreanalyze_c; print('from', coreanalyze.__file__, " \
    "os.path.realpath(coreanalyze_c.library()._name))"


def is_from(prefix, said):
    module, library = next(line for line in said.splitlines()
                           if line.startswith("from /")).split()[1:]
    assert module.startswith(f"{prefix}/") and library.startswith(f"{prefix}/lib/")


def test_command(prefix, core):
    assert "1,200 suspect" in run(prefix / "bin" / "coreanalyze", "leaks", core.core)


def test_python(prefix, core):
    said = run("/usr/bin/python3", "-c", f"{WHERE}\nprint(coreanalyze.open_core({str(core.core)!r})"
               ".leaks()['summary'])", PYTHONPATH=str(prefix / "share" / "coreanalyze" / "python"))
    assert "'suspect': 1200" in said
    is_from(prefix, said)


def test_gdb(prefix, core):
    """What gdb reads by itself when it starts, where the prefix is /usr or /usr/local."""
    if not doors.GDB:
        pytest.skip("gdb is not installed")
    said = run(doors.GDB, "-nx", "-batch", "-x", prefix / "etc/gdb/gdbinit.d/coreanalyze.gdb",
               "-ex", f"python {WHERE}", "-ex", "leaks", core.binary, core.core)
    assert "1,200 suspect" in said
    is_from(prefix, said)


def test_lldb(prefix, core):
    if not doors.LLDB:
        pytest.skip("lldb is not installed")
    said = run(doors.LLDB, "-x", "-b", "-o",
               f"command script import {prefix}/share/coreanalyze/lldb/leaks.py",
               "-o", f"target create {core.binary} -c {core.core}", "-o", "leaks",
               "-o", f"script {WHERE}", "-o", "leaks help")
    assert "1,200 suspect" in said and "lets no script complete" in said
    is_from(prefix, said)
