"""export-core: a core in which every parked task is a thread, and an input that stays as it was."""

import hashlib
import re
import shutil

import pytest

import csamples
import doors


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    csamples.make()
    with doors.frozen(csamples.OUT / "c" / "forgotten_sender", ["leak"],
                      tmp_path_factory.mktemp("export")) as found:
        yield found


def export(core, out, *words):
    return doors.run([doors.os.environ["CA_BINARY"], "export-core", out, core.core, *words])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_parked_task_is_a_thread(core, tmp_path):
    before, out = digest(core.core), tmp_path / "out.core"
    done = export(core, out)
    assert done.returncode == 0, done.stderr
    parked = [task for task in core.by_command(["tasks"], False)["tasks"]
              if task["state"] != "running"]
    said = doors.run([doors.GDB, "-nx", "-batch", "-ex", "set width 0", "-ex", "info threads",
                      core.binary, out]).stdout
    assert len(re.findall(r"\bLWP 1000\d+", said.split("Id", 1)[1])) == len(parked)
    assert digest(core.core) == before
    if shutil.which("eu-stack"):
        stacks = doors.run(["eu-stack", f"--core={out}", f"--executable={core.binary}"]).stdout
        assert stacks.count(" work") >= len(parked) - 1
    assert doors.json.loads(doors.run([doors.os.environ["CA_BINARY"], "tasks", out, "--format",
                                       "json"]).stdout)["tasks"]


def test_limits(core, tmp_path):
    done = export(core, tmp_path / "some.core", "--verdict", "suspect", "--threshold", "10")
    assert done.returncode == 0 and done.stdout.startswith("1200 "), done.stdout + done.stderr
    assert export(core, tmp_path / "none.core", "--verdict", "system").returncode == 2
    assert not (tmp_path / "none.core").exists()


def test_never_over_the_input(core, tmp_path):
    before = digest(core.core)
    link = tmp_path / "link"
    link.symlink_to(core.core)
    for out in (core.core, link):
        for words in ([], ["--force"]):
            assert export(core, out, *words).returncode == 2
    assert digest(core.core) == before


def test_an_existing_file_stays(core, tmp_path):
    out = tmp_path / "out"
    out.write_text("mine")
    assert export(core, out).returncode == 2 and out.read_text() == "mine"
    assert export(core, out, "--force").returncode == 0 and out.stat().st_size > 1000
