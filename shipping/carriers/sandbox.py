"""Carrier of the sandbox (docs/sandbox.md), which speaks as real ones do.

Guarantees that a receipt names exactly the key that was asked for: an answer about anything else is OutcomeUnknown.
Does not guarantee that it is asked only once: the carrier's idempotency key does that.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from providers import answers, listing
from providers.client import ProviderClient
from providers.errors import OutcomeUnknown, Refused
from shipping.carriers.base import (
    CancellationIntent,
    CancellationReceipt,
    LedgerCancellation,
    LedgerShipment,
    ShipmentIntent,
    ShipmentReceipt,
)

PAGE_SIZE = 500


class SandboxCarrier:
    def __init__(self, *, url: str, api_key: str, headers: Mapping[str, str] | None = None) -> None:
        self._client = ProviderClient(provider="shipping", base_url=url, api_key=api_key, headers=headers)

    def create(self, intent: ShipmentIntent) -> ShipmentReceipt:
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in intent.lines]
        body = {"order_id": str(intent.order_id), "lines": lines}
        answer = self._client.request("POST", "/shipping/shipments", json=body, idempotency_key=intent.provider_key)
        return _shipment_receipt(answer, intent)

    def find(self, intent: ShipmentIntent) -> ShipmentReceipt | None:
        found = self._find("/shipping/shipments", intent.provider_key)
        if found is None:
            return None
        receipt = _shipment_receipt(found, intent)
        if answers.text(found, "status") == "cancelled":
            raise Refused("cancelled")
        return receipt

    def cancel(self, intent: CancellationIntent) -> CancellationReceipt:
        path = f"/shipping/shipments/{quote(intent.shipment_reference, safe='')}/cancel"
        answer = self._client.request("POST", path, json={}, idempotency_key=intent.provider_key)
        return _cancellation_receipt(answer, intent)

    def find_cancellation(self, intent: CancellationIntent) -> CancellationReceipt | None:
        found = self._find("/shipping/cancellations", intent.provider_key)
        return _cancellation_receipt(found, intent) if found else None

    def shipments(self, *, after: str = "", key: str = "") -> Iterator[LedgerShipment]:
        pages = listing.entries(self._client, "/shipping/shipments", after=after, key=key, page_size=PAGE_SIZE)
        return map(_ledger_shipment, pages)

    def cancellations(self, *, after: str = "", key: str = "") -> Iterator[LedgerCancellation]:
        pages = listing.entries(self._client, "/shipping/cancellations", after=after, key=key, page_size=PAGE_SIZE)
        return map(_ledger_cancellation, pages)

    def _find(self, path: str, key: str) -> dict[str, Any] | None:
        found = answers.objects(self._client.request("GET", path, params={"idempotency_key": key}), "data")
        # Absent is an empty list and nothing else: whatever looks odd must not read as "nothing happened" (I13).
        if len(found) > 1:
            raise OutcomeUnknown("more than one answer for one key")
        return found[0] if found else None


def _shipment_receipt(answer: dict[str, Any], intent: ShipmentIntent) -> ShipmentReceipt:
    _check_key(answer, intent.provider_key)
    _check_status(answer, done=("created", "cancelled"))
    return ShipmentReceipt(
        provider_reference=answers.text(answer, "id"), tracking_number=answers.text(answer, "tracking_number")
    )


def _cancellation_receipt(answer: dict[str, Any], intent: CancellationIntent) -> CancellationReceipt:
    _check_key(answer, intent.provider_key)
    if answers.text(answer, "shipment_id") != intent.shipment_reference:
        raise OutcomeUnknown("answer is about another shipment")
    _check_status(answer, done=("cancelled",))
    return CancellationReceipt(provider_reference=answers.text(answer, "id"))


def _check_key(answer: dict[str, Any], key: str) -> None:
    if answers.text(answer, "idempotency_key") != key:
        raise OutcomeUnknown("answer is about another key")


def _check_status(answer: dict[str, Any], *, done: tuple[str, ...]) -> None:
    """A found refusal is a refusal; a status this carrier does not know is not a receipt."""
    status = answers.text(answer, "status")
    if status == "refused":
        raise Refused(answers.reason(answer, "reason"))
    if status not in done:
        raise OutcomeUnknown(f"answer has status {status!r}")


def _ledger_shipment(entry: dict[str, Any]) -> LedgerShipment:
    return LedgerShipment(
        provider_reference=answers.text(entry, "id"),
        provider_key=answers.lenient_text(entry, "idempotency_key"),
        order_id=answers.lenient_text(entry, "order_id"),
        status=answers.lenient_text(entry, "status"),
        created_at=answers.moment(entry, "created_ms"),
    )


def _ledger_cancellation(entry: dict[str, Any]) -> LedgerCancellation:
    return LedgerCancellation(
        provider_reference=answers.text(entry, "id"),
        provider_key=answers.lenient_text(entry, "idempotency_key"),
        shipment_reference=answers.lenient_text(entry, "shipment_id"),
        status=answers.lenient_text(entry, "status"),
        created_at=answers.moment(entry, "created_ms"),
    )
