"""The stages of `make proof`: together within their bound, each a command that exists, and a failure is never lost."""

import sys
from pathlib import Path

import pytest

from local import proof
from local.folder import PROJECT_DIR
from local.screen import Screen


def stage(code, *, budget_minutes=1):
    return proof.Stage(name="a stage", command=(sys.executable, "-c", code), budget_minutes=budget_minutes)


def test_the_budgets_add_up_to_twenty_minutes_at_most():
    assert sum(stage.budget_minutes for stage in proof.proof()) <= 20


@pytest.mark.parametrize("stages", [proof.proof, proof.nightly])
def test_what_a_stage_runs_exists(stages):
    for chosen in stages():
        for word in chosen.command[1:]:
            if word.startswith("tests/"):
                assert (PROJECT_DIR / word).is_dir(), word
            if word.startswith(("local.", "tests.")):
                assert (PROJECT_DIR / word.replace(".", "/") / "__main__.py").is_file(), word


def marks(stage):
    """What a stage of pytest selects; no mark for any other program."""
    words = stage.command
    return words[words.index("-m", words.index("pytest")) + 1].split(" or ") if "pytest" in words else []


@pytest.mark.parametrize(
    ("stages", "mark"), [(proof.proof, "proof"), (proof.nightly, "proof"), (proof.nightly, "nightly")]
)
def test_every_marked_test_is_run_by_a_stage(stages, mark):
    """A test marked proof in a folder that no stage names would never run; nor would one whose mark none selects."""
    chosen = [stage for stage in stages() if mark in marks(stage)]
    folders = {word for stage in chosen for word in stage.command if word.startswith("tests/")}
    marked = {path for path in Path(PROJECT_DIR, "tests").rglob("test_*.py") if f"mark.{mark}" in path.read_text()}
    forgotten = {
        str(path.relative_to(PROJECT_DIR))
        for path in marked - {Path(__file__)}
        if not any(str(path.relative_to(PROJECT_DIR)).startswith(folder + "/") for folder in folders)
    }
    assert marked
    assert forgotten == set()


def test_every_stage_runs_and_a_failure_is_told_with_what_it_said(tmp_path, capfd):
    results = proof.run(
        [stage("print('why it failed'); raise SystemExit(3)"), stage("print('well')")], Screen(), logs=tmp_path
    )

    assert [(result.status, result.last_line) for result in results] == [(3, "why it failed"), (0, "well")]
    told = capfd.readouterr().out
    assert "why it failed" in told
    assert "FAILED (3)" in told


def test_a_stage_that_hangs_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "PATIENCE", 0.01)

    (result,) = proof.run([stage("import time; time.sleep(600)")], Screen(), logs=tmp_path)

    assert result.status != 0
