"""Purge: only what has expired, in batches (I14)."""

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from idempotency import operations
from idempotency.models import IdempotencyKey

pytestmark = pytest.mark.django_db


def use(key: str, *, expired_for: timedelta) -> None:
    expires_at = timezone.now() - expired_for
    IdempotencyKey.objects.create(
        caller="user:1",
        method="POST",
        path="/orders",
        key=key,
        fingerprint=b"f" * 32,
        status_code=201,
        body=b"{}",
        created_at=expires_at - timedelta(hours=24),
        expires_at=expires_at,
    )


def keys() -> set[str]:
    return set(IdempotencyKey.objects.values_list("key", flat=True))


@pytest.fixture(autouse=True)
def _five_keys():
    use("alive", expired_for=timedelta(hours=-1))
    for number in range(3):
        use(f"fresh-{number}", expired_for=timedelta(minutes=5))
    use("old", expired_for=timedelta(days=3))


def test_a_purge_removes_what_has_expired_and_nothing_else():
    assert operations.purge().keys == 4
    assert keys() == {"alive"}


def test_a_purge_in_batches_removes_the_same():
    assert operations.purge(batch_size=1).keys == 4
    assert keys() == {"alive"}


def test_a_purge_by_age_leaves_what_expired_later():
    assert operations.purge(older_than=timedelta(days=1)).keys == 1
    assert "old" not in keys()
    assert len(keys()) == 4


def test_a_dry_run_only_counts():
    purged = operations.purge(dry_run=True)
    assert (purged.keys, purged.is_dry_run) == (4, True)
    assert len(keys()) == 5


@pytest.mark.parametrize("bad", [{"older_than": timedelta(days=-1)}, {"batch_size": 0}])
def test_an_age_that_would_reach_living_keys_is_refused(bad: dict):
    with pytest.raises(ValueError, match="age"):
        operations.purge(**bad)
    assert len(keys()) == 5


def test_the_command_purges_and_says_how_many():
    out = StringIO()
    call_command("purge_idempotency_keys", "--dry-run", stdout=out)
    call_command("purge_idempotency_keys", "--older-than", "1d", "--batch-size", "10", stdout=out)
    assert out.getvalue() == (
        "Would purge 4 idempotency keys that expired more than 0 s ago.\n"
        "Purged 1 idempotency keys that expired more than 1 d ago.\n"
    )
    assert len(keys()) == 4


@pytest.mark.parametrize("arguments", [("--older-than", "-1d"), ("--older-than", "week"), ("--batch-size", "0")])
def test_the_command_refuses_nonsense(arguments: tuple[str, str]):
    with pytest.raises(CommandError):
        call_command("purge_idempotency_keys", *arguments)
    assert len(keys()) == 5


@pytest.mark.django_db(transaction=True)
def test_a_purge_leaves_alone_what_a_new_use_is_taking_over():
    """F18: neither removed nor waited for."""
    held, done = threading.Event(), threading.Event()

    def take_over() -> None:
        try:
            with transaction.atomic():
                IdempotencyKey.objects.select_for_update().get(key="old")
                held.set()
                done.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=take_over)
    thread.start()
    try:
        assert held.wait(20)
        assert operations.purge().keys == 3
    finally:
        done.set()
        thread.join()
    assert keys() == {"alive", "old"}


def test_a_batch_keeps_to_its_limit_however_postgres_joins():
    """A nested loop asks a sub-select anew for every row."""
    with transaction.atomic(), connection.cursor() as cursor:
        for kind in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            cursor.execute(f"SET LOCAL enable_{kind} = off")

        assert operations._purge_batch(timedelta(0), 2) == 2
