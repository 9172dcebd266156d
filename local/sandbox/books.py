"""What the two providers do: the operations on the ledger, and their business rules.

The fault that a request meets reaches an effect only where it changes the books. An operation reads its request
strictly, as a real provider would, and answers with a status and JSON. It never sees keys in flight or HTTP.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.sandbox import faults
from local.sandbox.faults import Fault
from local.sandbox.ledger import Answer, Ledger, Row

MEANINGFUL_REFUSALS = {"tok_insufficient_funds": "insufficient_funds", "tok_expired_card": "expired_card"}


class Invalid(Exception):
    """The request is not one this API takes; the code tells why."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One kind of write: the table it writes to, the fault its content asks for, and its effect."""

    provider: str
    table: str
    effect: Callable[[Ledger, str, Row, Fault | None], Answer]
    fault: Callable[[Ledger, Row], Fault | None]


def error(code: str) -> Row:
    return {"error": {"code": code}}


def _charge(ledger: Ledger, key: str, body: Row, fault: Fault | None) -> Answer:
    amount, token = _amount(body), _text(body, "payment_method")
    refusal = "card_declined" if _refuses(fault) else MEANINGFUL_REFUSALS.get(token, "")
    entry = ledger.enter(
        "charges",
        "ch",
        idempotency_key=key,
        order_id=_text(body, "order_id"),
        # A fault of its own: the books hold another amount than was asked for.
        amount_minor=amount - 1 if fault and fault.name == "wrong_capture" else amount,
        currency=_text(body, "currency"),
        payment_method=token,
        status="declined" if refusal else "captured",
        reason=refusal,
    )
    return (402, error(refusal)) if refusal else (201, entry)


def _charge_fault(ledger: Ledger, body: Row) -> Fault | None:
    return faults.of_token(str(body.get("payment_method", "")))


def _refund(ledger: Ledger, key: str, body: Row, fault: Fault | None) -> Answer:
    amount = _amount(body)
    try:
        charge = ledger.entry("charges", _text(body, "charge_id"))
    except KeyError:
        raise Invalid("charge_unknown", 422) from None
    refusal = "refund_refused" if _refuses(fault) else _refund_refusal(charge, amount)
    if refusal == "refund_exceeds_charge":
        ledger.breach(refusal, charge["id"])
    entry = ledger.enter(
        "refunds",
        "re",
        idempotency_key=key,
        charge_id=charge["id"],
        amount_minor=amount,
        currency=_text(body, "currency"),
        status="declined" if refusal else "refunded",
        reason=refusal,
    )
    if refusal:
        return 422, error(refusal)
    ledger.change("UPDATE charges SET refunded_minor = refunded_minor + ? WHERE id = ?", amount, charge["id"])
    return 201, entry


def _refund_refusal(charge: Row, amount: int) -> str:
    left = charge["amount_minor"] - charge["refunded_minor"] if charge["status"] == "captured" else 0
    return "refund_exceeds_charge" if amount > left else ""


def _refund_fault(ledger: Ledger, body: Row) -> Fault | None:
    rows = ledger.rows("SELECT payment_method FROM charges WHERE id = ?", str(body.get("charge_id", "")))
    return faults.of_token(rows[0]["payment_method"], prefix="refund_") if rows else None


def _ship(ledger: Ledger, key: str, body: Row, fault: Fault | None) -> Answer:
    lines = body.get("lines")
    if not isinstance(lines, list) or not lines:
        raise Invalid("lines_invalid")
    refusal = "unshippable" if _refuses(fault) else ""
    entry = ledger.enter(
        "shipments",
        "sh",
        idempotency_key=key,
        order_id=_text(body, "order_id"),
        lines=json.dumps(lines),
        tracking_number="",
        status="refused" if refusal else "created",
        reason=refusal,
    )
    if refusal:
        return 422, error(refusal)
    tracking_number = f"TRACK{entry['id'][-12:].upper()}"
    ledger.change("UPDATE shipments SET tracking_number = ? WHERE id = ?", tracking_number, entry["id"])
    return 201, entry | {"tracking_number": tracking_number}


def _ship_fault(ledger: Ledger, body: Row) -> Fault | None:
    return faults.of_skus(_skus(body.get("lines")), prefix="SHIP-")


def _cancel(ledger: Ledger, key: str, body: Row, fault: Fault | None) -> Answer:
    try:
        shipment = ledger.entry("shipments", _text(body, "shipment_id"))
    except KeyError:
        raise Invalid("shipment_unknown", 422) from None
    refusal = "already_handed_over" if _refuses(fault) else ""
    if shipment["status"] != "created":
        refusal = refusal or "not_active"
    entry = ledger.enter(
        "cancellations",
        "ca",
        idempotency_key=key,
        shipment_id=shipment["id"],
        status="refused" if refusal else "cancelled",
        reason=refusal,
    )
    if refusal:
        return 422, error(refusal)
    ledger.change("UPDATE shipments SET status = 'cancelled' WHERE id = ?", shipment["id"])
    return 201, entry


def _cancel_fault(ledger: Ledger, body: Row) -> Fault | None:
    rows = ledger.rows("SELECT lines FROM shipments WHERE id = ?", str(body.get("shipment_id", "")))
    return faults.of_skus(_skus(json.loads(rows[0]["lines"])), prefix="CANCEL-") if rows else None


def _refuses(fault: Fault | None) -> bool:
    return fault is not None and fault.name == "refused"


def _skus(lines: Any) -> list[str]:
    entries = lines if isinstance(lines, list) else []
    return [str(line.get("sku", "")) for line in entries if isinstance(line, dict)]


def _amount(body: Row) -> int:
    amount = body.get("amount_minor")
    if type(amount) is not int or amount <= 0:
        raise Invalid("amount_invalid")
    return amount


def _text(body: Row, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise Invalid(f"{name}_invalid")
    return value


CHARGE = Operation(provider="payments", table="charges", effect=_charge, fault=_charge_fault)
REFUND = Operation(provider="payments", table="refunds", effect=_refund, fault=_refund_fault)
SHIP = Operation(provider="shipping", table="shipments", effect=_ship, fault=_ship_fault)
CANCEL = Operation(provider="shipping", table="cancellations", effect=_cancel, fault=_cancel_fault)
