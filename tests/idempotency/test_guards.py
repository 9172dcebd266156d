"""The last line of I2: Postgres refuses what the decorator would never store."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from idempotency.models import IdempotencyKey

pytestmark = pytest.mark.django_db


def use(**changes: Any) -> IdempotencyKey:
    values: dict[str, Any] = {
        "caller": "user:1",
        "method": "POST",
        "path": "/orders",
        "key": "k1",
        "fingerprint": b"f" * 32,
        "status_code": 201,
        "body": b"{}",
        "expires_at": timezone.now() + timedelta(hours=24),
    }
    return IdempotencyKey.objects.create(**{**values, **changes})


def refused(**changes: Any) -> str:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        use(**changes)
    return str(caught.value.__cause__.diag.constraint_name)


def test_a_second_use_of_one_key_by_one_caller_on_one_route_is_refused_by_postgres():
    use()
    assert refused() == "one_use_per_caller_key_and_route"


@pytest.mark.parametrize("other", [{"caller": "user:2"}, {"method": "PUT"}, {"path": "/x"}, {"key": "k2"}])
def test_another_scope_is_another_use(other: dict[str, str]):
    use()
    use(**other)
    assert IdempotencyKey.objects.count() == 2


@pytest.mark.parametrize("status_code", [100, 199, 300, 404, 409, 500])
def test_an_answer_that_is_no_success_is_refused_by_postgres(status_code: int):
    assert refused(status_code=status_code) == "only_whole_successful_answers_are_stored"


@pytest.mark.parametrize("half", [{"status_code": None}, {"body": None}])
def test_half_an_answer_is_refused_by_postgres(half: dict[str, None]):
    assert refused(**half) == "only_whole_successful_answers_are_stored"


def test_an_answer_beyond_64_kib_is_refused_by_postgres():
    use(body=b"x" * 65_536)
    assert refused(key="k2", body=b"x" * 65_537) == "a_stored_answer_is_bounded"


def test_a_blank_key_is_refused_by_postgres():
    assert refused(key="") == "an_idempotency_key_is_not_blank"


def test_a_key_that_expires_before_its_use_is_refused_by_postgres():
    assert refused(expires_at=timezone.now() - timedelta(hours=1)) == "a_key_expires_after_its_use"
