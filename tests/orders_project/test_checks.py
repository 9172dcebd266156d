"""System checks: each relation, with the setting that breaks it."""

import sys
from copy import deepcopy
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.checks import run_checks

from orders_project import checks
from orders_project.checks import TAG, is_prefork_worker, refuse_unsafe_configuration


def errors() -> list[str]:
    return [str(message.id).partition(".")[2] for message in run_checks(tags=[TAG])]


def with_key(group: str, key: str, value: Any) -> dict[str, Any]:
    return {**getattr(configured, group), key: value}


def test_the_settings_of_this_repository_are_sound():
    assert run_checks(tags=[TAG]) == []


@pytest.mark.parametrize(
    ("group", "key", "meant"),
    [
        ("OUTBOX", "CLAIM_SECOND", "CLAIM_SECONDS"),
        ("SAGAS", "DEADLINE_HOUR", "DEADLINE_HOURS"),
        ("IDEMPOTENCY", "LIFETIME_HOUR", "LIFETIME_HOURS"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(settings, group, key, meant):
    setattr(settings, group, with_key(group, key, 1))
    (message,) = run_checks(tags=[TAG])
    assert (message.id, message.hint) == ("orders_project.E001", f"Did you mean {meant}?")


def test_a_key_that_resembles_nothing_gets_the_list(settings):
    settings.SAGAS = with_key("SAGAS", "XYZZY", 1)
    (message,) = run_checks(tags=[TAG])
    assert str(message.hint).startswith("Known keys: STEP_MAX_ATTEMPTS")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("DATABASE_STATEMENT_TIMEOUT_SECONDS", "E002"),
        ("DATABASE_LOCK_TIMEOUT_SECONDS", "E003"),
        ("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", "E004"),
        ("CELERY_TASK_SOFT_TIME_LIMIT", "E010"),
    ],
)
@pytest.mark.parametrize("seconds", [0, 15, 60])
def test_a_timeout_that_outlasts_a_claim_or_is_off_is_refused(settings, name, error, seconds):
    setattr(settings, name, seconds)
    assert errors() == [error]


@pytest.mark.parametrize("seconds", [0, 25, 30])
def test_a_batch_to_rabbitmq_that_may_end_after_its_claim_is_refused(settings, seconds):
    settings.RABBITMQ_URL, settings.RABBITMQ_SEND_SECONDS = "amqp://127.0.0.1", seconds
    assert errors() == ["E011"]


def test_who_sends_nothing_to_rabbitmq_is_not_asked_how_long_it_takes(settings):
    settings.RABBITMQ_URL, settings.RABBITMQ_SEND_SECONDS = "", 30
    assert errors() == []


@pytest.mark.parametrize("seconds", [15, 60])
def test_a_task_that_may_outlast_its_claim_is_refused(settings, seconds):
    settings.CELERY_TASK_TIME_LIMIT = seconds
    assert errors() == ["E010"]


@pytest.mark.parametrize(
    ("group", "key", "value", "error"),
    [
        ("OUTBOX", "CLAIM_SECONDS", 10.0, ["E002", "E004", "E010"]),
        ("OUTBOX", "INBOX_RETENTION_DAYS", 7, ["E005"]),
        ("OUTBOX", "BACKOFF_BASE_SECONDS", 301.0, ["E006"]),
        ("OUTBOX", "BACKOFF_BASE_SECONDS", 0.0, ["E006"]),
        ("OUTBOX", "RELAY_BATCH_SIZE", 501, ["E007"]),
        ("OUTBOX", "CLAIM_BATCH_MAX_SIZE", 501, ["E007"]),
        ("OUTBOX", "CLAIM_BATCH_SIZE", 201, ["E007"]),
        ("OUTBOX", "CLAIM_BATCH_SIZE", 0, ["E007"]),
        ("OUTBOX", "POLL_INTERVAL_MS", 0, ["E007"]),
        ("OUTBOX", "MAX_ATTEMPTS", 0, ["E007"]),
        ("SAGAS", "STEP_MAX_ATTEMPTS", 0, ["E007"]),
        ("IDEMPOTENCY", "STORED_ANSWER_MAX_BYTES", 65_537, ["E007"]),
        ("OUTBOX", "RETENTION_DAYS", -1, ["E007"]),
        ("SAGAS", "RETENTION_DAYS", -1, ["E007"]),
        ("SAGAS", "DEADLINE_HOURS", 0.0, ["E007"]),
        ("SAGAS", "DEADLINE_HOURS", float("nan"), ["E007"]),
        ("SAGAS", "SWEEP_INTERVAL_SECONDS", -1.0, ["E007"]),
        ("IDEMPOTENCY", "LIFETIME_HOURS", 0.0, ["E007"]),
        ("IDEMPOTENCY", "REQUEST_THREADS", 0, ["E007"]),
        ("IDEMPOTENCY", "WAITING_THREADS_MAX_SHARE", 0.0, ["E007"]),
        ("IDEMPOTENCY", "WAITING_THREADS_MAX_SHARE", 1.0, ["E007"]),
    ],
)
def test_a_value_that_breaks_a_relation_is_refused(settings, group, key, value, error):
    setattr(settings, group, with_key(group, key, value))
    assert errors() == error


def test_f18_a_retention_of_nothing_is_allowed(settings):
    settings.OUTBOX = with_key("OUTBOX", "RETENTION_DAYS", 0)
    settings.SAGAS = with_key("SAGAS", "RETENTION_DAYS", 0)
    assert errors() == []


def test_a_claim_that_a_providers_call_outlasts_is_refused(settings):
    settings.OUTBOX = with_key("OUTBOX", "REMOTE_CLAIM_SECONDS", 17.0)
    providers = [message.id for message in run_checks(tags=["providers"])]
    assert providers == ["providers.E006"] * len(settings.PROVIDERS)


def test_a_process_that_serves_ends_on_limits_of_a_provider_that_break_a_promise(settings):
    """Not only `manage.py check` asks: a worker would find out in the middle of a charge."""
    settings.OUTBOX = with_key("OUTBOX", "REMOTE_CLAIM_SECONDS", 17.0)
    with pytest.raises(SystemExit, match="must exceed the total deadline"):
        refuse_unsafe_configuration()


def test_a_misspelt_key_of_a_provider_is_refused_with_the_one_that_was_meant(settings):
    settings.PROVIDERS = deepcopy(settings.PROVIDERS) | {"payments": {"CALL_SLOT": 1}}
    (message,) = run_checks(tags=["providers"])
    assert message.hint == "Did you mean CALL_SLOTS?"


def test_the_default_secret_key_is_refused_where_debug_is_off(settings):
    settings.SECRET_KEY = checks.DEFAULT_SECRET_KEY
    settings.DEBUG = True
    assert checks.check_secret_key(None) == []
    settings.DEBUG = False
    assert [message.id for message in checks.check_secret_key(None)] == ["orders_project.E008"]


def test_a_process_that_serves_ends_on_the_default_secret_key(settings):
    refuse_unsafe_configuration()
    settings.SECRET_KEY = checks.DEFAULT_SECRET_KEY
    with pytest.raises(SystemExit, match="SECRET_KEY is the development default"):
        refuse_unsafe_configuration()


def test_the_default_secret_key_in_the_checks_is_the_one_in_the_settings():
    source = (configured.BASE_DIR / "orders_project" / "settings.py").read_text()
    assert f'"SECRET_KEY", "{checks.DEFAULT_SECRET_KEY}"' in source


def test_a_pool_in_a_prefork_worker_is_refused(settings, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/venv/bin/celery", "-A", "orders_project", "worker"])
    settings.DATABASE_POOL_MAX_SIZE = 0
    assert errors() == []
    settings.DATABASE_POOL_MAX_SIZE = 16
    assert errors() == ["E009"]
    monkeypatch.setattr(sys, "argv", ["/venv/bin/gunicorn"])
    assert errors() == []


REMOTE = "celery -A orders_project worker --queues payments,shipping,notifications"


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (f"{REMOTE} --pool threads --concurrency 28", False),
        (f"{REMOTE} --pool threads --concurrency 27", True),
        (f"{REMOTE} -P threads -c 27", True),
        (f"{REMOTE} --pool=threads --concurrency=27", True),
        (f"{REMOTE} -Pthreads -c27", True),
        ("celery -A orders_project worker -Q notifications -P threads -c 8", False),
        ("celery -A orders_project worker -Q notifications -P threads -c 7", True),
        (f"{REMOTE} --pool prefork --concurrency 2", False),
        ("manage.py check", False),
    ],
)
def test_a_worker_with_too_few_threads_for_its_queues_is_refused(monkeypatch, arguments, refused):
    """Slow providers could take them all, and the others' rings would wait."""
    monkeypatch.setattr(sys, "argv", arguments.split())
    assert errors() == (["E012"] if refused else [])


@pytest.mark.parametrize(
    ("arguments", "prefork"),
    [
        ("celery -A orders_project worker", True),
        ("celery -A orders_project worker --pool prefork", True),
        ("celery -A orders_project worker --pool threads", False),
        ("celery -A orders_project worker --pool=threads", False),
        ("celery -A orders_project worker -P threads", False),
        ("celery -A orders_project beat", False),
        ("manage.py relay_outbox", False),
        ("", False),
    ],
)
def test_a_prefork_worker_is_told_from_its_command_line(arguments, prefork):
    assert is_prefork_worker(arguments.split()) is prefork
