"""What may be done with payments: note before the call, call without the database, record what came of it.

    with transaction.atomic():
        intents = note_charges(requests)             # phase 1
    receipt = charge(intents[order_id])              # phase 2: network only
    with transaction.atomic():
        record_charges([(intent, receipt)])          # phase 3

This app raises (`providers.errors`); the process that asked decides what follows.
"""

from payments.gateways.base import ChargeIntent, ChargeReceipt, LedgerCharge, LedgerRefund, RefundIntent, RefundReceipt
from payments.services.charges import (
    ChargeRequest,
    charge,
    find_charge,
    forget_charges,
    intents_of,
    note_charges,
    record_charges,
)
from payments.services.provider import provider_charges, provider_refunds
from payments.services.refunds import (
    RefundRequest,
    find_refund,
    note_refunds,
    record_refunds,
    refund,
    refund_intents_of,
)

__all__ = [
    "ChargeIntent",
    "ChargeReceipt",
    "ChargeRequest",
    "LedgerCharge",
    "LedgerRefund",
    "RefundIntent",
    "RefundReceipt",
    "RefundRequest",
    "charge",
    "find_charge",
    "find_refund",
    "forget_charges",
    "intents_of",
    "note_charges",
    "note_refunds",
    "provider_charges",
    "provider_refunds",
    "record_charges",
    "record_refunds",
    "refund",
    "refund_intents_of",
]
