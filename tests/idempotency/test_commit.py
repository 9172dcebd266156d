"""A COMMIT whose reply is lost may have happened: it is looked up on a fresh connection before any answer (S3)."""

from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from rest_framework.test import APIClient

from idempotency import services
from idempotency.models import IdempotencyKey
from tests.idempotency import echo

pytestmark = pytest.mark.django_db(transaction=True)


def post(client: APIClient, key: str | None = "k1"):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/echo/x", {"say": "hello"}, format="json", headers=headers)


def cut_commit(monkeypatch: pytest.MonkeyPatch, *, commits: bool) -> None:
    """The next COMMIT happens, or does not, and its reply is lost with the connection."""
    original = connection.commit

    def commit() -> None:
        monkeypatch.setattr(connection, "commit", original)
        if commits:
            original()
        connection.connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(connection, "commit", commit)


def test_a_commit_that_happened_is_found_and_answered(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    cut_commit(monkeypatch, commits=True)
    answer = post(ann)
    assert answer.status_code == 201
    assert "Idempotent-Replay" not in answer
    assert Group.objects.count() == 1
    assert post(ann).content == answer.content
    assert echo.runs == 1


def test_a_commit_that_did_not_happen_is_a_503_and_the_retry_runs(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    cut_commit(monkeypatch, commits=False)
    answer = post(ann)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"
    assert answer.json()["type"].endswith("/outcome-unknown")
    assert not Group.objects.exists()
    assert post(ann).status_code == 201
    assert Group.objects.count() == 1


def test_a_look_up_that_fails_too_is_a_503(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    def unreachable(_: services.Use) -> bool:
        raise OperationalError("connection refused")

    cut_commit(monkeypatch, commits=True)
    monkeypatch.setattr(services, "has_landed", unreachable)
    answer = post(ann)
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/outcome-unknown")
    # The retry learns what became of it.
    assert post(ann)["Idempotent-Replay"] == "true"
    assert echo.runs == 1


def test_a_take_over_by_another_use_is_not_taken_for_ours(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    """The look-up asks for this very use, not for the key."""
    post(ann)
    stranger = IdempotencyKey.objects.get()
    use = services.Use(
        id=UUID(int=7),
        caller=stranger.caller,
        method="POST",
        path=stranger.path,
        key=stranger.key,
        fingerprint=bytes(stranger.fingerprint),
    )
    assert services.has_landed(use) is False


def test_without_a_key_and_without_an_id_the_outcome_stays_unknown(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    cut_commit(monkeypatch, commits=True)
    assert post(ann, None).status_code == 503


def test_an_error_before_commit_is_not_called_unknown(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    def broken() -> None:
        raise OperationalError("terminating connection due to administrator command")

    monkeypatch.setattr(echo, "inside", broken)
    answer = post(ann)
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/service-unavailable")
    assert not Group.objects.exists()
