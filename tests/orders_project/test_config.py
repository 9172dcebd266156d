"""`manage.py config`: what holds here and why, without its secrets, and what is set in vain."""

import json
import os
import subprocess
import sys

import pytest

from local.folder import PROJECT_DIR
from orders_project import environment
from orders_project.environment import Variable
from tests.architecture.test_environment import _documented

KEPT = ("PATH", "HOME", "LANG")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Runs it in a process of its own, in an environment of its own, with a local folder of its own."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "env").write_text("OUTBOX_MAX_ATTEMPTS=7\nSAGA_STEP_MAX_ATTEMPTS=3\nOUTBOX_POLL_INTERVALL_MS=1\n")
    given = {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "ORDERS_LOCAL_DIR": str(folder),
        "DATABASE_URL": "postgres://orders:very-secret@127.0.0.1:1/orders",
        "SECRET_KEY": "very-secret",
        "SAGA_STEP_MAX_ATTEMPTS": "5",
        "PROVIDER_CAL_SLOTS": "3",
        "PGPORT": "5432",
        "UNRELATED": "1",
    }

    def run(*options):
        return subprocess.run(
            [sys.executable, "manage.py", "config", *options],
            cwd=PROJECT_DIR,
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def told(config):
    result = config("--json", "--strict")
    assert result.returncode == 1
    return json.loads(result.stdout)


def test_every_variable_has_its_value_and_its_source(told):
    shown = {one["name"]: (one["value"], one["source"]) for one in told["variables"]}
    assert shown["SAGA_STEP_MAX_ATTEMPTS"] == ("5", "environment")
    name, source = shown["OUTBOX_MAX_ATTEMPTS"]
    assert (name, source.endswith("/env")) == ("7", True)
    assert shown["OUTBOX_CLAIM_SECONDS"] == ("15.0", "default")
    assert shown["DEBUG"] == ("0", "default")


def test_no_secret_is_shown(config, told):
    shown = {one["name"]: one["value"] for one in told["variables"]}
    assert shown["DATABASE_URL"] == "postgres://orders:••••@127.0.0.1:1/orders"
    assert shown["SECRET_KEY"] == "••••"
    assert shown["METRICS_TOKEN"] == ""
    assert "very-secret" not in json.dumps(told) + config().stdout


def test_what_is_set_in_vain_is_told_with_what_may_be_meant(told):
    near = {one["name"]: one["near"] for one in told["read_by_nobody"]}
    assert near == {
        "PROVIDER_CAL_SLOTS": "PROVIDER_CALL_SLOTS", "OUTBOX_POLL_INTERVALL_MS": "OUTBOX_POLL_INTERVAL_MS",
    }  # fmt: skip


def test_only_what_is_changed_is_shown_on_request_and_a_warning_is_no_failure(config):
    result = config("--changed")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "DATABASE_URL", "ORDERS_LOCAL_DIR", "OUTBOX_MAX_ATTEMPTS", "SAGA_STEP_MAX_ATTEMPTS", "SECRET_KEY",
    ]  # fmt: skip
    assert "PROVIDER_CAL_SLOTS (environment) is read by nobody: did you mean PROVIDER_CALL_SLOTS?" in result.stderr


def test_every_variable_that_is_documented_is_known():
    """Else it would be called a stranger, once it is set."""
    known = {one.name for one in environment.variables()} | environment.READ_ELSEWHERE
    assert _documented() - known == set()
    assert environment.READ_ELSEWHERE - _documented() == {"DJANGO_SETTINGS_MODULE"}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("CELERY_BROKER_URL", "redis://:p4ss@host:6379/0", "redis://:••••@host:6379/0"),
        ("CELERY_BROKER_URL", "redis://host:6379/0", "redis://host:6379/0"),
        ("EMAIL_URL", "smtp+tls://user:p4ss@mail:587", "smtp+tls://user:••••@mail:587"),
        ("PAYMENT_API_KEY", "k", "••••"),
        ("DATABASE_URL", "postgres://a:b@[bad/x", "••••"),
        ("LOG_LEVEL", "INFO", "INFO"),
    ],
)
def test_passwords_in_addresses_are_masked(name, value, shown):
    assert Variable(name=name, value=value, source="default").shown == shown
