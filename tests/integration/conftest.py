"""What the integration tests share: the program under test, the toolchains, and the counts that
are printed at the end of the run."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import build
import crash
import leftovers
import strictjson
import toolchains
import versions_table

ROOT = Path(__file__).resolve().parent.parent.parent


def pytest_addoption(parser):
    parser.addoption(
        "--full", action="store_true", help="every toolchain and shape (also: CA_FULL=1)"
    )


def pytest_configure():
    leftovers.configure()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    leftovers.after_test(item.nodeid)


def is_full(config):
    return config.getoption("--full") or os.environ.get("CA_FULL", "") not in ("", "0")


def pytest_generate_tests(metafunc):
    if "toolchain_name" in metafunc.fixturenames:
        metafunc.parametrize("toolchain_name", toolchains.wanted(is_full(metafunc.config)))


class Record:
    """Counts over the whole run. `rules` are the exceptions that comparisons made use of."""

    def __init__(self):
        self.rules = Counter()
        self.goroutines = self.frames = self.crashes = 0
        self.lines = []  # figures for the summary
        self.equal = Counter()  # goroutines without a difference, by (version, arch, shape)


RECORD = Record()


@pytest.fixture(scope="session")
def record():
    return RECORD


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    versions_table.keep(RECORD.equal)
    # tests/check-full asks for it.
    summary = os.environ.get("CA_SUMMARY")
    if summary:
        what = {key: getattr(RECORD, key)
                for key in ("crashes", "goroutines", "frames", "rules", "lines")}
        what["missing"] = toolchains.MISSING
        Path(summary).write_text(json.dumps(what))
    if leftovers.finish():
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    write = terminalreporter.write_line
    if RECORD.crashes:
        write(
            f"truth: {RECORD.crashes} crashes, {RECORD.goroutines} goroutines, "
            f"{RECORD.frames} frames compared with what Go printed"
        )
    for rule, count in sorted(RECORD.rules.items()):
        write(f"  exception {rule}: {count}")
    for line in RECORD.lines:
        write(line)
    for line in leftovers.LEFT:
        write(line)
    for name, why in toolchains.MISSING.items():
        write(f"toolchain {name} is missing, {toolchains.SKIPPED[name]} tests skipped: {why}")


@pytest.fixture(scope="session")
def full(request):
    return is_full(request.config)


@pytest.fixture
def toolchain(toolchain_name):
    """A toolchain of tests/versions.txt."""
    return toolchains.need(toolchain_name)


class Program:
    """The command under test."""

    def __init__(self, path):
        self.path = path

    def run(self, *arguments, timeout=60):
        """Run it with ARGUMENTS: a CompletedProcess with bytes in stdout and stderr."""
        return subprocess.run(
            [str(self.path), *map(str, arguments)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
        )

    def json(self, *arguments, timeout=60):
        """The document it prints with --format json. Exit status 0 and 1 are answers."""
        done = self.run(*arguments, "--format", "json", timeout=timeout)
        what = f"coreanalyze {' '.join(map(str, arguments))}"
        if done.returncode not in (0, 1):
            pytest.fail(f"{what}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
        try:
            return strictjson.loads(done.stdout)
        except strictjson.NotJSON as error:
            pytest.fail(f"{what}: not JSON: {error}")


@pytest.fixture(scope="session")
def coreanalyze():
    path = Path(os.environ.get("CA_BINARY") or ROOT / "build" / "coreanalyze")
    if not path.exists():
        pytest.fail(f"{path} is not built: run make, or say in CA_BINARY where it is")
    return Program(path)


@pytest.fixture
def crashed(tmp_path):
    """A function that builds a sample, lets it crash and gives the Crash. The cores go when the
    test has passed, or is over."""
    folders = []

    def one(toolchain, program, *arguments, shape="plain", die="panic", godebug="", **options):
        binary = build.build(toolchain, program, shape)
        folder = tmp_path / f"run{len(folders)}"
        folders.append(folder)
        env = {"SAMPLE_DIE": die, "GODEBUG": godebug, **options.pop("env", {})}
        result = crash.run(binary, arguments, folder, env, **options)
        assert result.core is not None, f"no core; it printed:\n{result.stderr[-2000:]}"
        return result

    yield one
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
