"""Who may import whom (docs/architecture.md), held by import-linter's contracts in pyproject.toml."""

import sys
import tomllib

from local.checks import IMPORT_LINTER
from tests.architecture.tree import APPS, DEPLOYED, ROOT, run


def test_the_import_contracts_hold():
    result = run(sys.executable, "-c", IMPORT_LINTER, "--no-cache")

    assert result.returncode == 0, result.stdout


def test_every_app_is_part_of_the_contracts():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

    assert set(contracts["root_packages"]) == {*DEPLOYED, "local"}
    private = {module for contract in contracts["contracts"] for module in contract.get("protected_modules", [])}
    assert {f"{app}.models" for app in APPS} <= private


def test_every_app_and_nothing_else_is_copied_into_the_image():
    copied = {
        line.split()[1]
        for line in (ROOT / "Dockerfile").read_text().split("FROM runtime AS sandbox")[0].splitlines()
        if line.startswith("COPY ") and len(line.split()) == 3 and line.split()[1] == line.split()[2]
    }

    assert copied == set(DEPLOYED)


def test_no_package_of_ours_is_missing_from_these_tests():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert packages - {"tests", "local", "benchmarks"} == set(DEPLOYED)
