"""Requests with one key at the same moment: one runs, the others wait for it within bounds (I2)."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.test import APIClient

from idempotency import services, waiting
from idempotency.models import IdempotencyKey
from tests.idempotency import echo
from tests.idempotency.conftest import Client

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_SECONDS = 20.0


def post(client: APIClient, key: str = "k1"):
    return client.post("/echo/x", {"say": "hello"}, format="json", headers={"Idempotency-Key": key})


def at_once(work: Callable[[], Any], count: int) -> list[Any]:
    """Runs the work in so many threads, released together; answers what each returned."""
    start = threading.Barrier(count)
    answers: list[Any] = []

    def run() -> None:
        start.wait()
        try:
            answers.append(work())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return answers


class Held:
    """The first request stands still inside its transaction until it is let go; then it may fail."""

    def __init__(self, client: APIClient, monkeypatch: pytest.MonkeyPatch, *, then: Sequence[Exception] = ()) -> None:
        self.then = iter(then)
        self.arrived, self.release = threading.Event(), threading.Event()
        monkeypatch.setattr(echo, "inside", self._stand)
        self.answers: list[Any] = []
        self.thread = threading.Thread(target=self._post, args=(client,))
        self.thread.start()
        assert self.arrived.wait(PATIENCE_SECONDS)

    def _stand(self) -> None:
        self.arrived.set()
        self.release.wait(PATIENCE_SECONDS)
        for failure in self.then:
            raise failure

    def _post(self, client: APIClient) -> None:
        try:
            self.answers.append(post(client))
        finally:
            connections.close_all()

    def let_go(self) -> Any:
        self.release.set()
        self.thread.join(PATIENCE_SECONDS)
        return self.answers[0]


def waiters() -> int:
    """Backends that wait for another transaction's end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
        )
        return int(cursor.fetchone()[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.02)):
        if condition():
            return
        deadline.wait(0.02)
    raise AssertionError("It never came true.")


def test_twenty_at_once_run_once_and_get_the_same_bytes(client_of: Client):
    clients = iter([client_of("ann") for _ in range(20)])
    lock = threading.Lock()

    def one() -> Any:
        with lock:
            client = next(clients)
        return post(client)

    answers = at_once(one, 20)

    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replay" in answer for answer in answers) == 19
    assert echo.runs == 1
    assert Group.objects.count() == 1


def test_a_twin_waits_and_replays(client_of: Client, monkeypatch: pytest.MonkeyPatch):
    held = Held(client_of("ann"), monkeypatch)
    twin = client_of("ann")
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: (answers.append(post(twin)), connections.close_all()))
    thread.start()
    until(lambda: waiters() == 1)
    first = held.let_go()
    thread.join(PATIENCE_SECONDS)
    assert answers[0].content == first.content
    assert answers[0]["Idempotent-Replay"] == "true"
    assert echo.runs == 1


def test_a_twin_of_one_that_fails_runs_itself(client_of: Client, monkeypatch: pytest.MonkeyPatch):
    failures = [APIException("The first one fails.")]
    held = Held(client_of("ann"), monkeypatch, then=failures)
    twin = client_of("ann")
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: (answers.append(post(twin)), connections.close_all()))
    thread.start()
    until(lambda: waiters() == 1)
    assert held.let_go().status_code == 500
    thread.join(PATIENCE_SECONDS)
    assert answers[0].status_code == 201
    assert "Idempotent-Replay" not in answers[0]
    assert echo.runs == 2
    assert Group.objects.count() == 1


def test_a_wait_beyond_its_bound_is_a_409_with_retry_after(client_of: Client, monkeypatch: pytest.MonkeyPatch):
    held = Held(client_of("ann"), monkeypatch)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    try:
        answer = post(client_of("ann"))
    finally:
        connection.close()
    assert answer.status_code == 409
    assert answer["Retry-After"] == "1"
    assert answer.json()["type"].endswith("/idempotency-key-in-use")
    assert held.let_go().status_code == 201
    assert echo.runs == 1
    assert IdempotencyKey.objects.count() == 1


def test_another_key_does_not_wait(client_of: Client, monkeypatch: pytest.MonkeyPatch):
    held = Held(client_of("ann"), monkeypatch)
    monkeypatch.setattr(echo, "inside", lambda: None)
    assert post(client_of("ann"), "k2").status_code == 201
    assert post(client_of("bob"), "k1").status_code == 201
    held.let_go()
    assert echo.runs == 3


def test_when_too_many_threads_wait_the_next_twin_is_told_at_once(
    client_of: Client, monkeypatch: pytest.MonkeyPatch, settings
):
    settings.IDEMPOTENCY = {**settings.IDEMPOTENCY, "REQUEST_THREADS": 4, "WAITING_THREADS_MAX_SHARE": 0.25}
    held = Held(client_of("ann"), monkeypatch)
    monkeypatch.setattr(echo, "inside", lambda: None)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '60s'")  # without the limit this request would wait for a minute
    with waiting.waiting_threads.claiming():
        monkeypatch.setattr(waiting, "MOMENT_SECONDS", 0.0)  # the claim above has waited for longer than that
        twin = post(client_of("ann"))
        other = post(client_of("ann"), "k2")
    assert twin.status_code == 409
    assert other.status_code == 201
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "1min"
    connection.close()
    assert held.let_go().status_code == 201


def test_a_use_that_vanishes_between_conflict_and_reading_is_claimed_again(monkeypatch: pytest.MonkeyPatch):
    use = _use()
    IdempotencyKey.objects.create(**_row(use))
    purges = iter([IdempotencyKey.objects.all().delete])
    original = services._execute

    def execute(sql: str, parameters: Any) -> int:
        changed = original(sql, parameters)
        if sql == services.CLAIM and (purge := next(purges, None)):
            purge()
        return changed

    monkeypatch.setattr(services, "_execute", execute)
    with transaction.atomic():
        assert services.claim(use) is None
    assert IdempotencyKey.objects.get().id == use.id


def _use() -> services.Use:
    return services.Use(id=UUID(int=1), caller="user:1", method="POST", path="/x", key="k", fingerprint=b"f" * 32)


def _row(use: services.Use) -> dict[str, Any]:
    return {
        **vars(use),
        "id": UUID(int=2),
        "status_code": 201,
        "body": b"{}",
        "expires_at": timezone.now() + timedelta(hours=1),
    }
