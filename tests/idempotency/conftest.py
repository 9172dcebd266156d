"""Callers, and the view that counts its runs."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.idempotency import echo

Client = Callable[[str], APIClient]


@pytest.fixture(autouse=True)
def _echo_only(settings, monkeypatch: pytest.MonkeyPatch):
    settings.ROOT_URLCONF = "tests.idempotency.echo"
    monkeypatch.setattr(echo, "runs", 0)
    monkeypatch.setattr(echo, "inside", lambda: None)


@pytest.fixture
def client_of(db) -> Client:
    def client(username: str) -> APIClient:
        user, _ = User.objects.get_or_create(username=username)
        api = APIClient()
        api.force_authenticate(user)
        return api

    return client


@pytest.fixture
def ann(client_of: Client) -> APIClient:
    return client_of("ann")


@pytest.fixture
def bob(client_of: Client) -> APIClient:
    return client_of("bob")
