"""The Python module as a door of its own, with the Python that Debian has, and nothing else."""

import json
import os
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
