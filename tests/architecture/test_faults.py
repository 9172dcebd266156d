"""Each fault F1–F20 has exactly one test file, whose docstring begins with its number, and its line on the page."""

import ast
import re

import pytest

from tests.architecture.tree import ROOT

FAULTS = range(1, 21)
FOLDER = ROOT / "tests" / "failures"
PAGE = ROOT / "docs" / "faults.md"
NUMBERED = re.compile(r"test_f(\d{2})_[a-z0-9_]+\.py")


def files_of(fault: int) -> list[str]:
    return [path.name for path in FOLDER.glob(f"test_f{fault:02d}_*.py")]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_one_file_that_begins_with_its_number_and_one_line_on_the_page(fault):
    [name] = files_of(fault)

    docstring = ast.get_docstring(ast.parse((FOLDER / name).read_text())) or ""
    assert re.match(rf"F{fault}:? ", docstring), docstring
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| F{fault} |")]
    assert [f"`tests/failures/{name}`" in line for line in lines] == [True]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faults_file_has_a_test_that_says_so(fault):
    [name] = files_of(fault)

    tests = [node for node in ast.walk(ast.parse((FOLDER / name).read_text())) if isinstance(node, ast.FunctionDef)]
    told = [ast.get_docstring(test) or "" for test in tests if test.name.startswith("test_")]
    assert any(re.search(rf"\bF{fault}\b", docstring) for docstring in told)


def test_no_file_is_numbered_after_a_fault_that_is_not_listed():
    numbers = {int(match[1]) for path in FOLDER.iterdir() if (match := NUMBERED.fullmatch(path.name))}

    assert numbers == set(FAULTS)
