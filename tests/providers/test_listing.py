"""Listings: read to their end or an error, never without end; and what stands there is compared, not judged by us."""

from collections.abc import Iterator
from typing import Any

import pytest

from payments.gateways.sandbox import SandboxGateway
from providers import listing
from providers.client import ProviderClient
from providers.errors import OutcomeUnknown
from shipping.carriers.sandbox import SandboxCarrier

PLACE = {"base_url": "http://provider.test", "api_key": "key"}


class Pages(ProviderClient):
    """Answers with these pages, one after the other, and with the last one for ever."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        super().__init__(provider="payments", base_url=PLACE["base_url"], api_key=PLACE["api_key"])
        self.pages = list(pages)
        self.asked: list[dict[str, Any]] = []

    def request(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        self.asked.append(given["params"])
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]


def page(*ids: str, more: bool) -> dict[str, Any]:
    return {"data": [{"id": one} for one in ids], "has_more": more}


def read(pages: Pages, *, key: str = "") -> Iterator[dict[str, Any]]:
    return listing.entries(pages, "/charges", after="", key=key, page_size=2)


def test_pages_follow_each_other_to_the_end():
    pages = Pages(page("a", "b", more=True), page("c", more=False))
    assert [entry["id"] for entry in read(pages)] == ["a", "b", "c"]
    assert [asked["after"] for asked in pages.asked] == ["", "b"]


@pytest.mark.parametrize("again", [page("a", "b", more=True), page(more=True)], ids=["the same page", "an empty page"])
def test_a_cursor_that_does_not_move_is_an_error_and_not_asked_for_again(again):
    pages = Pages(page("a", "b", more=True), again)
    with pytest.raises(OutcomeUnknown, match="does not move"):
        list(read(pages))
    assert len(pages.asked) == 2


def test_more_of_one_key_is_an_error_after_one_question():
    pages = Pages(page("a", more=True))
    with pytest.raises(OutcomeUnknown, match="does not move"):
        list(read(pages, key="k"))
    assert len(pages.asked) == 1


ODD: dict[str, Any] = {
    "idempotency_key": None,
    "order_id": "",
    "charge_id": 7,
    "shipment_id": "x" * 256,
    "currency": "\n",
}
SANE: dict[str, Any] = {"id": "r", "amount_minor": 5, "refunded_minor": 0, "created_ms": 1}
LISTINGS = {
    "charges": SandboxGateway, "refunds": SandboxGateway, "shipments": SandboxCarrier, "cancellations": SandboxCarrier,
}  # fmt: skip


def listed(name: str, entry: dict[str, Any]) -> Any:
    gateway = LISTINGS[name](url="http://provider.test", api_key="key")
    gateway._client = Pages({"data": [entry], "has_more": False})
    return list(getattr(gateway, name)())


@pytest.mark.parametrize("name", LISTINGS)
def test_an_entry_with_odd_texts_is_listed_with_what_can_be_told_of_it(name):
    """One that somebody made by hand must not end the comparison of all others."""
    [one] = listed(name, SANE | ODD | {"status": "disputed"})
    assert (one.provider_reference, one.provider_key, one.status) == ("r", "", "disputed")


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("broken", [{"id": ""}, {"created_ms": "today"}], ids=["no id", "no time"])
def test_an_entry_that_cannot_be_placed_is_an_error(name, broken):
    with pytest.raises(OutcomeUnknown):
        listed(name, SANE | ODD | {"status": "captured"} | broken)
