"""The Python module as a door of its own, with the Python that Debian has, and nothing else."""

import json
import os
import re
import subprocess
import sys

import pytest

import csamples
import doors

pytestmark = pytest.mark.skipif(doors.SANITIZED, reason="python is not sanitised")
FOLDER = doors.ROOT / "coreanalyze" / "python"


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("python")) as found:
        yield found


def python(code, *arguments, **env):
    words = [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\n{code}",
             *map(str, arguments)]
    return subprocess.run(words, env=dict(doors.environment(), **env), capture_output=True,
                          text=True, timeout=120)


def test_same_documents(core):
    done = python("import coreanalyze, json\n"
                  "with coreanalyze.open_core(sys.argv[1]) as session:\n"
                  "    print(json.dumps([session.leaks(), session.tasks(), session.info()]))",
                  core.core)
    leaks, tasks, info = json.loads(done.stdout)
    assert leaks == core.by_command(["leaks"], False)
    assert tasks == core.by_command(["tasks"], False)
    assert info == core.by_command(["info"], False)


def test_errors_are_exceptions():
    done = python("import coreanalyze\n"
                  "try:\n    coreanalyze.open_core('/nowhere')\n"
                  "except coreanalyze.CoreanalyzeError as error:\n    print('caught', error)")
    assert done.stdout.startswith("caught /nowhere")


def test_a_missing_library_says_what_to_build():
    done = python("import coreanalyze\ncoreanalyze.version()", COREANALYZE_LIB="/nowhere.so")
    assert "make" in done.stderr and "/nowhere.so" in done.stderr


def test_version_is_the_librarys():
    said = doors.run([os.environ["CA_BINARY"], "--version"]).stdout.split()[-1]
    assert python("import coreanalyze\nprint(coreanalyze.version())").stdout.strip() == said


@pytest.mark.parametrize("code", ["raise KeyboardInterrupt", "raise ValueError('mine')"])
def test_exceptions_of_a_callback_come_through(core, code):
    done = python("import coreanalyze\n"
                  f"def sink(piece):\n    {code}\n"
                  "session = coreanalyze.open_core(sys.argv[1])\n"
                  "try:\n    session.write(coreanalyze.parse(['tasks']), sink)\n"
                  "except (KeyboardInterrupt, ValueError) as error:\n"
                  "    print('caught', type(error).__name__)\n"
                  "print(len(session.leaks()['groups']))", core.core)
    assert done.stdout.startswith("caught") and done.stdout.split()[-1].isdigit(), done.stderr


def test_structs_are_those_of_the_header(tmp_path):
    """Each ctypes struct is as large as the C one, with its members at the same places."""
    done = python(
        "import coreanalyze_c as c, ctypes\n"
        "for name, kind in sorted(vars(c).items()):\n"
        "    if isinstance(kind, type) and issubclass(kind, ctypes.Structure) "
        "and kind is not ctypes.Structure:\n"
        "        print(name, ctypes.sizeof(kind), *(f'{f[0]}={getattr(kind, f[0]).offset}' "
        "for f in kind._fields_))")
    assert not done.returncode, done.stderr
    kinds = [line.split() for line in done.stdout.splitlines()]
    names = {"Error": "ca_error", "Ops": "ca_target_ops", "TaskInfo": "ca_task_info"}
    lines = []
    for name, size, *members in kinds:
        tag = names.get(name) or "ca_" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        lines.append(f"_Static_assert(sizeof(struct {tag}) == {size}, \"{name}\");")
        for member in members:
            field, offset = member.split("=")
            lines.append(f"_Static_assert(offsetof(struct {tag}, {field}) == {offset}, "
                         f"\"{name}.{field}\");")
    assert len(lines) > 100
    source = tmp_path / "sizes.c"
    source.write_text("#include <coreanalyze.h>\n" + "\n".join(lines) + "\n")
    built = doors.run(["gcc", "-fsyntax-only", f"-I{doors.ROOT}/coreanalyze", source])
    assert not built.returncode, built.stderr


def test_options_are_the_commands(core):
    """What Python completes is what the command takes."""
    done = python("import coreanalyze\nprint(*(o.name for o in coreanalyze.options()))")
    names = done.stdout.split()
    assert "--verdict" in names and "--help" in names
    for name in names:
        said = doors.run([os.environ["CA_BINARY"], "leaks", core.core, name]).stderr
        assert "no option" not in said, said


# ---- what is wrong with the library ------------------------------------------------------------


def library_of_version(folder, version):
    """A library with that version, and nothing else."""
    source, library = folder / "fake.c", folder / "libcoreanalyze.so"
    source.write_text(f'const char *ca_version(void) {{ return "{version}"; }}\n')
    done = doors.run(["gcc", "-shared", "-fPIC", "-o", library, source])
    assert not done.returncode, done.stderr
    return library


def ways_in(library):
    env = dict(doors.environment(), COREANALYZE_LIB=str(library))
    ways = {"python": [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\n"
                       "import coreanalyze\ncoreanalyze.open_core('x')"],
            "gdb": [doors.GDB, "-nx", "-batch", "-ex", f"source {doors.ROOT}/gdb/leaks.py", "-ex",
                    "echo alive\\n"],
            "lldb": [doors.LLDB, "-x", "-b", "-o",
                     f"command script import {doors.ROOT}/lldb/leaks.py", "-o", "version"]}
    for way, words in ways.items():
        if words[0]:
            done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
            yield way, done.stdout + done.stderr


@pytest.mark.parametrize("what", ["missing", "other version", "older", "not ours"])
def test_one_clear_message(what, tmp_path):
    version = doors.run([os.environ["CA_BINARY"], "--version"]).stdout.split()[-1]
    if what == "missing":
        library = tmp_path / "nowhere.so"
    elif what == "not ours":
        library = next(path for path in ("/lib/x86_64-linux-gnu/libc.so.6",
                                         "/lib/aarch64-linux-gnu/libc.so.6", "/lib/libc.so.6")
                       if os.path.exists(path))
    else:
        library = library_of_version(tmp_path, "99.7.1" if what == "other version" else version)
    for way, said in ways_in(library):
        assert "`make`" in said and str(library) in said, (way, said)
        if what == "other version":
            assert "99.7.1" in said and ".".join(version.split(".")[:2]) in said, (way, said)
        if way != "python":
            assert "Traceback" not in said and ("alive" in said or "lldb version" in said), said


def test_triage(core, tmp_path):
    """The example: the top group of each core of a folder, as JSON lines."""
    os.link(core.core, core.folder / "one.core")
    (core.folder / "none").write_text("not a core")
    done = doors.run([sys.executable, doors.ROOT / "samples" / "triage.py", core.folder])
    assert not done.returncode, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2
    groups = core.by_command(["leaks"], False)["groups"]
    for line in lines:
        assert line["group"]["count"] == groups[0]["count"]
        assert line["group"]["verdict"] == groups[0]["verdict"]
    (core.folder / "one.core").unlink()


def test_the_module_is_typed():
    """Every public call says what it takes and gives."""
    done = python("import coreanalyze, inspect\n"
                  "for name in coreanalyze.__all__:\n"
                  "    what = getattr(coreanalyze, name)\n"
                  "    assert what.__doc__, name\n"
                  "    calls = [what] if inspect.isfunction(what) else [\n"
                  "        c for n, c in vars(what).items() if inspect.isfunction(c) and n[0] != '_']\n"
                  "    for call in calls:\n"
                  "        found = inspect.signature(call)\n"
                  "        assert found.return_annotation is not inspect.Signature.empty, call\n"
                  "        for p in found.parameters.values():\n"
                  "            assert p.name == 'self' or p.annotation is not p.empty, (call, p)\n"
                  "print('typed')")
    assert done.stdout == "typed\n", done.stderr


def test_ctrl_c_at_any_time(core):
    """An alarm raises KeyboardInterrupt somewhere in the writing, as Ctrl-C does: no noise.
    (Not while the request is freed: what Python's __del__ raises, Python prints.)"""
    done = python("import coreanalyze, signal, time\n"
                  "def stop(*_):\n    raise KeyboardInterrupt\n"
                  "signal.signal(signal.SIGALRM, stop)\n"
                  "session = coreanalyze.open_core(sys.argv[1])\n"
                  "request = coreanalyze.parse(['tasks', '--format', 'json'])\n"
                  "caught = 0\n"
                  "for i in range(300):\n"
                  "    signal.setitimer(signal.ITIMER_REAL, 0.0002 + i * 0.00001)\n"
                  "    try:\n"
                  "        try:\n"
                  "            session.write(request, len)\n"
                  "        finally:\n"
                  "            signal.setitimer(signal.ITIMER_REAL, 0)\n"
                  "    except KeyboardInterrupt:\n        caught += 1\n"
                  "print(caught, len(session.tasks()['tasks']))", core.core)
    assert not done.stderr, done.stderr[-2000:]
    caught, tasks = map(int, done.stdout.split())
    assert caught > 50 and tasks == 1201
