"""System checks: each setting of the audit and of the reconciliation that would break it."""

import pytest
from django.core.checks import run_checks

from audit import runs
from orders_project.checks import TAG, refuse_unsafe_configuration


def errors():
    return [(message.id, message.msg, message.hint) for message in run_checks(tags=[TAG])]


def test_the_settings_of_this_repository_are_sound():
    assert errors() == []


@pytest.mark.parametrize(
    ("group", "key", "meant"),
    [("AUDIT", "SETLED_SECONDS", "SETTLED_SECONDS"), ("RECONCILIATION", "INTERVAL_SECOND", "INTERVAL_SECONDS")],
)
def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(settings, group, key, meant):
    setattr(settings, group, {**getattr(settings, group), key: 1})

    assert errors() == [("audit.E001", f"{group} has an unknown key {key}.", f"Did you mean {meant}?")]


@pytest.mark.parametrize(
    ("group", "key", "least", "below"),
    [
        ("AUDIT", "SETTLED_SECONDS", 0, -1),
        ("AUDIT", "INTERVAL_SECONDS", 1, 0),
        ("AUDIT", "STATEMENT_TIMEOUT_SECONDS", 1, 0),
        ("AUDIT", "ROWS_MAX", 1, 0),
        ("RECONCILIATION", "SETTLED_SECONDS", 0, -100.0),
        ("RECONCILIATION", "SETTLED_SECONDS", 0, float("nan")),
        ("RECONCILIATION", "INTERVAL_SECONDS", 1, 0),
    ],
)
def test_a_figure_below_its_least_is_refused(settings, group, key, least, below):
    setattr(settings, group, {**getattr(settings, group), key: least})
    assert errors() == []

    setattr(settings, group, {**getattr(settings, group), key: below})
    assert errors() == [("audit.E002", f"{group}['{key}'] must be at least {least}, not {below:g}.", None)]


@pytest.mark.parametrize("soft_limit", [1, 3, 12, 13])
def test_a_run_of_the_audit_ends_before_its_worker_is_cut_off(settings, soft_limit):
    settings.CELERY_TASK_SOFT_TIME_LIMIT = soft_limit

    assert 0 < runs.run_ends_seconds() < soft_limit
    assert errors() == []


def test_no_process_serves_with_them(settings):
    settings.AUDIT = {"SETTLED_SECONDS": -5}

    with pytest.raises(SystemExit, match=r"AUDIT\['SETTLED_SECONDS'\]"):
        refuse_unsafe_configuration()
