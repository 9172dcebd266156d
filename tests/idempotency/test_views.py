"""`GET /idempotency-keys/{key}`: the caller's own uses, and nobody else's."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from idempotency.models import IdempotencyKey

pytestmark = pytest.mark.django_db(transaction=True)


def post(client: APIClient, key: str, path: str = "/echo/x") -> None:
    answer = client.post(path, {}, format="json", headers={"Idempotency-Key": key})
    assert answer.status_code == 201


def test_a_caller_sees_their_uses_of_a_key(ann: APIClient):
    post(ann, "k1")
    post(ann, "k1", "/echo/y")
    post(ann, "k2")

    answer = ann.get("/idempotency-keys/k1").json()

    assert answer["key"] == "k1"
    assert [(use["method"], use["path"], use["state"], use["order"], use["status_code"]) for use in answer["uses"]] == [
        ("POST", "/echo/x", "finished", "1", 201),
        ("POST", "/echo/y", "finished", "2", 201),
    ]
    assert set(answer["uses"][0]) == {"method", "path", "state", "status_code", "order", "created_at", "expires_at"}


def test_somebody_elses_key_is_a_404(ann: APIClient, bob: APIClient):
    post(ann, "k1")
    assert bob.get("/idempotency-keys/k1").status_code == 404
    assert bob.get("/idempotency-keys/never-used").status_code == 404


def test_an_anonymous_caller_is_a_401(ann: APIClient):
    post(ann, "k1")
    assert APIClient().get("/idempotency-keys/k1").status_code == 401


def test_an_expired_use_says_so(ann: APIClient):
    post(ann, "k1")
    past = timezone.now() - timedelta(days=1)
    IdempotencyKey.objects.update(created_at=past - timedelta(days=1), expires_at=past)
    assert ann.get("/idempotency-keys/k1").json()["uses"][0]["state"] == "expired"


@pytest.mark.parametrize(("key", "path"), [("a/b", "a/b"), ("a b?c", "a%20b%3Fc"), ("100%", "100%25")])
def test_a_key_with_odd_characters_is_found(ann: APIClient, key: str, path: str):
    post(ann, f'"{key}"')
    assert ann.get(f"/idempotency-keys/{path}").json()["key"] == key


@pytest.mark.parametrize("path", ["%00", "a%00b", "%ff%fe", "x" * 2_000])
def test_a_key_that_cannot_exist_is_a_404(ann: APIClient, path: str):
    assert ann.get(f"/idempotency-keys/{path}").status_code == 404
