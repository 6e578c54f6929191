"""Every built-in layout row is what the debug information of its toolchain says."""

import os
import subprocess

import pytest

from conftest import ROOT


def test_rows(toolchain_name, toolchain):
    done = subprocess.run(
        [str(ROOT / "tools/layouts"), "--check", toolchain_name],
        capture_output=True, text=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
    )
    if done.returncode:
        pytest.fail(f"{toolchain}:\n{done.stdout}{done.stderr}", pytrace=False)
    assert f"go1.{toolchain.minor} amd64: equal" in done.stdout
    assert f"go1.{toolchain.minor} arm64: equal" in done.stdout
