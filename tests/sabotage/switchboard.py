"""Pytest plugin that removes exactly one guard for a run: `-p tests.sabotage.switchboard --sabotage NAME`.

`NAME/layer` removes one layer of it ("code", "Postgres"). Without --sabotage nothing is removed; the run is only told.
Guarantee: a guard that could not be removed ends the run, which is then no catch. Production code knows of none of it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from .guards import find
from .removal import Removal

removals: list[Removal] = []
removed_from_database: list[bool] = []
outcomes: dict[str, dict[str, str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sabotage")
    group.addoption("--sabotage", metavar="NAME[/LAYER]", help="the guard to remove for this run")
    group.addoption("--sabotage-report", metavar="PATH", help="where to write, as JSON, how each test ended")


def pytest_collection_finish(session: pytest.Session) -> None:
    """After Django is set up and the tests are imported, before any of them runs."""
    if name := session.config.getoption("--sabotage"):
        guard, _, layer = name.partition("/")
        removals[:] = find(guard).removals(layer or None)
        _remove(database=False)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Any:
    """Once the test database is set up, the guards of Postgres go."""
    result = yield
    if fixturedef.argname == "django_db_setup" and not removed_from_database:
        removed_from_database.append(True)
        with request.getfixturevalue("django_db_blocker").unblock():
            _remove(database=True)
    return result


def _remove(*, database: bool) -> None:
    try:
        for removal in removals:
            if removal.needs_database is database:
                removal.remove()
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be concluded from this run
        pytest.exit(f"the guard could not be removed: {error}", returncode=pytest.ExitCode.INTERNAL_ERROR)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.excinfo is not None:
        # Extra attributes of a report travel from an xdist worker to its controller.
        report.exception = call.excinfo.typename
        report.says = _one_line(str(call.excinfo.value))
    return report


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.failed:
        outcomes[report.nodeid] = {
            "outcome": report.outcome,
            "when": report.when,
            "exception": getattr(report, "exception", ""),
            "says": getattr(report, "says", ""),
        }


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--sabotage-report")
    if path and not hasattr(session.config, "workerinput"):
        Path(path).write_text(json.dumps(outcomes))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
