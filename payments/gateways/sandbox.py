"""Gateway to the sandbox provider (docs/sandbox.md), which speaks as real providers do.

Guarantees that a receipt names exactly the key, amount and currency that were asked for: an answer about anything else
is OutcomeUnknown. Does not guarantee that it is asked only once: the provider's idempotency key does that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from payments.gateways.base import ChargeIntent, ChargeReceipt, LedgerCharge, LedgerRefund, RefundIntent, RefundReceipt
from providers import answers, listing
from providers.client import ProviderClient
from providers.errors import OutcomeUnknown, Refused

PAGE_SIZE = 500


class SandboxGateway:
    def __init__(self, *, url: str, api_key: str, headers: Mapping[str, str] | None = None) -> None:
        self._client = ProviderClient(provider="payments", base_url=url, api_key=api_key, headers=headers)

    def charge(self, intent: ChargeIntent) -> ChargeReceipt:
        body = {
            "amount_minor": intent.amount_minor,
            "currency": intent.currency,
            "payment_method": intent.payment_method,
            "order_id": str(intent.order_id),
        }
        answer = self._client.request("POST", "/payments/charges", json=body, idempotency_key=intent.provider_key)
        return _charge_receipt(answer, intent)

    def find_charge(self, intent: ChargeIntent) -> ChargeReceipt | None:
        found = self._find("/payments/charges", intent.provider_key)
        if found is None:
            return None
        receipt = _charge_receipt(found, intent)
        if answers.integer(found, "refunded_minor") >= receipt.amount_minor:
            raise Refused("refunded")
        return receipt

    def refund(self, intent: RefundIntent) -> RefundReceipt:
        body = {"charge_id": intent.charge_reference, "amount_minor": intent.amount_minor, "currency": intent.currency}
        answer = self._client.request("POST", "/payments/refunds", json=body, idempotency_key=intent.provider_key)
        return _refund_receipt(answer, intent)

    def find_refund(self, intent: RefundIntent) -> RefundReceipt | None:
        found = self._find("/payments/refunds", intent.provider_key)
        return _refund_receipt(found, intent) if found else None

    def charges(self, *, after: str = "", key: str = "") -> Iterator[LedgerCharge]:
        pages = listing.entries(self._client, "/payments/charges", after=after, key=key, page_size=PAGE_SIZE)
        return map(_ledger_charge, pages)

    def refunds(self, *, after: str = "", key: str = "") -> Iterator[LedgerRefund]:
        pages = listing.entries(self._client, "/payments/refunds", after=after, key=key, page_size=PAGE_SIZE)
        return map(_ledger_refund, pages)

    def _find(self, path: str, key: str) -> dict[str, Any] | None:
        found = answers.objects(self._client.request("GET", path, params={"idempotency_key": key}), "data")
        # Absent is an empty list and nothing else: whatever looks odd must not read as "nothing happened" (I13).
        if len(found) > 1:
            raise OutcomeUnknown("more than one answer for one key")
        return found[0] if found else None


def _charge_receipt(answer: dict[str, Any], intent: ChargeIntent) -> ChargeReceipt:
    _check_subject(answer, key=intent.provider_key, amount_minor=intent.amount_minor, currency=intent.currency)
    _check_status(answer, done="captured")
    return ChargeReceipt(
        provider_reference=answers.text(answer, "id"), amount_minor=intent.amount_minor, currency=intent.currency
    )


def _refund_receipt(answer: dict[str, Any], intent: RefundIntent) -> RefundReceipt:
    _check_subject(answer, key=intent.provider_key, amount_minor=intent.amount_minor, currency=intent.currency)
    if answers.text(answer, "charge_id") != intent.charge_reference:
        raise OutcomeUnknown("answer is about another charge")
    _check_status(answer, done="refunded")
    return RefundReceipt(
        provider_reference=answers.text(answer, "id"), amount_minor=intent.amount_minor, currency=intent.currency
    )


def _check_subject(answer: dict[str, Any], *, key: str, amount_minor: int, currency: str) -> None:
    if answers.text(answer, "idempotency_key") != key:
        raise OutcomeUnknown("answer is about another key")
    if answers.integer(answer, "amount_minor") != amount_minor or answers.text(answer, "currency") != currency:
        raise OutcomeUnknown("answer is about another amount")


def _check_status(answer: dict[str, Any], *, done: str) -> None:
    """A found refusal is a refusal; a status this gateway does not know is not a receipt."""
    status = answers.text(answer, "status")
    if status == "declined":
        raise Refused(answers.reason(answer, "reason"))
    if status != done:
        raise OutcomeUnknown(f"answer has status {status!r}")


def _ledger_charge(entry: dict[str, Any]) -> LedgerCharge:
    return LedgerCharge(
        provider_reference=answers.text(entry, "id"),
        provider_key=answers.lenient_text(entry, "idempotency_key"),
        order_id=answers.lenient_text(entry, "order_id"),
        amount_minor=answers.integer(entry, "amount_minor"),
        refunded_minor=answers.integer(entry, "refunded_minor"),
        currency=answers.lenient_text(entry, "currency"),
        status=answers.lenient_text(entry, "status"),
        created_at=answers.moment(entry, "created_ms"),
    )


def _ledger_refund(entry: dict[str, Any]) -> LedgerRefund:
    return LedgerRefund(
        provider_reference=answers.text(entry, "id"),
        provider_key=answers.lenient_text(entry, "idempotency_key"),
        charge_reference=answers.lenient_text(entry, "charge_id"),
        amount_minor=answers.integer(entry, "amount_minor"),
        currency=answers.lenient_text(entry, "currency"),
        status=answers.lenient_text(entry, "status"),
        created_at=answers.moment(entry, "created_ms"),
    )
