"""The State Threads sample on builds of the library with debug information, as on Debian's."""

import subprocess

import pytest

import csamples
import libst


def library(flavour):
    if not csamples.available("state-threads"):
        pytest.skip("libst-dev is not installed")
    try:
        return getattr(libst, flavour)()
    except libst.Missing as error:
        pytest.skip(f"source of State Threads: {error}")


@pytest.mark.parametrize("flavour", ["optimised", "debugging"])
def test_server_runs_on_it(flavour):
    folder = library(flavour)
    csamples.make()
    sample = csamples.samples("state-threads")[0]
    environment = {"LD_LIBRARY_PATH": str(folder)}
    with csamples.waiting(sample.binary(), ["leak", "500"], environment) as (process, text):
        mapped = open(f"/proc/{process.pid}/maps", encoding="utf-8").read()
        assert str(folder.resolve()) in mapped
        tasks = csamples.parse(text)
    assert len(tasks) == csamples.count(sample.account["leak"], 500)


@pytest.mark.parametrize("flavour", ["optimised", "debugging"])
def test_it_has_debug_information(flavour):
    file = library(flavour) / "libst.so.1"
    sections = subprocess.run(
        ["readelf", "-SW", file], capture_output=True, text=True, check=True
    ).stdout
    assert ".debug_info" in sections and ".symtab" in sections
    symbols = subprocess.run(["nm", file], capture_output=True, text=True, check=True).stdout
    assert "_st_this_vp" in symbols
