"""What `make` says about the Python it is given, and what it does with a .venv that was cut off half-way."""

import shutil
import subprocess
import sys

import pytest

from local.folder import PROJECT_DIR

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="GNU make is not installed")


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make_installed(folder, python):
    """In a copy of the project that needs no package."""
    shutil.copy(PROJECT_DIR / "Makefile", folder)
    (folder / "requirements-dev.txt").touch()
    command = ["make", "--no-print-directory", ".installed", f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("python", ["/bin/false", "/bin/true", "/nowhere/python"])
def test_a_program_that_is_no_python_is_called_that(tmp_path, python):
    result = make_installed(tmp_path, python)

    assert result.returncode != 0
    assert f"{python} is not a Python that runs" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_is_too_old_is_called_that(tmp_path):
    old = script(tmp_path / "old-python", "echo old 3.9")

    result = make_installed(tmp_path, old)

    assert result.returncode != 0
    assert f"{old} is older than Python 3.11" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_half_made_environment_is_made_anew(tmp_path):
    script(tmp_path / ".venv/bin/python", "exit 1")

    result = make_installed(tmp_path, sys.executable)

    assert result.returncode == 0, result.stderr
    assert subprocess.run([tmp_path / ".venv/bin/python", "-c", "import pip"], check=False).returncode == 0
