"""A shop with things to find: callers of every kind, products, orders on their way, under names that never change."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.authtoken.models import Token

from tests.inventory.builders import stocked
from tests.orders.builders import place
from tests.support.drive import deliver
from tests.support.shop import START

ORDERS = [UUID(int=(0x01A1F94A_0000_7000_8000 << 48) + number) for number in range(5)]


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Tokens by role, and the session of somebody who may see every admin page."""

    tokens: dict[str, str]
    session: str


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Refusals are logged, which is thousands of lines here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def callers(transactional_db: None, settings: Any, monkeypatch: Any) -> Callers:
    # What a login costs is no question here.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)
    stocked("WIDGET", 1_000_000, EUR=999, JPY=1600, KWD=3250)
    stocked("GADGET", 1_000_000, EUR=2450)
    ann = User.objects.create_user("ann", password="ann-of-the-fuzz")
    people = {"customer": ann, "other": User.objects.create_user("bob")}
    people["staff"] = User.objects.create_user("staff", is_staff=True)
    people["root"] = User.objects.create_superuser("root", password="root-of-the-fuzz")
    for order_id in ORDERS:
        place(ann, ("WIDGET", 1), order_id=order_id)
    deliver(START)
    for role, person in people.items():
        Token.objects.create(user=person, key=token_of(role))
    browser = Client()
    browser.force_login(people["root"])
    return Callers(tokens={role: token_of(role) for role in people}, session=browser.cookies["sessionid"].value)


def token_of(role: str) -> str:
    """The same in every run, so that a request can be sent again as it was."""
    return role.encode().hex().ljust(40, "0")
