"""What may be done with shipments: note before the call, call without the database, record what came of it.

    with transaction.atomic():
        intents = note_shipments(requests)               # phase 1
    receipt = create_shipment(intents[order_id])         # phase 2: network only
    with transaction.atomic():
        record_shipments([(intent, receipt)])            # phase 3

This app raises (`providers.errors`); the process that asked decides what follows.
"""

from shipping.carriers.base import (
    CancellationIntent,
    CancellationReceipt,
    LedgerCancellation,
    LedgerShipment,
    ShipmentIntent,
    ShipmentReceipt,
)
from shipping.services.cancellations import (
    CancellationRequest,
    cancel_shipment,
    cancellation_intents_of,
    find_cancellation,
    note_cancellations,
    record_cancellations,
)
from shipping.services.provider import provider_cancellations, provider_shipments
from shipping.services.shipments import (
    ShipmentRequest,
    create_shipment,
    find_shipment,
    forget_shipments,
    intents_of,
    note_shipments,
    record_shipments,
)

__all__ = [
    "CancellationIntent",
    "CancellationReceipt",
    "CancellationRequest",
    "LedgerCancellation",
    "LedgerShipment",
    "ShipmentIntent",
    "ShipmentReceipt",
    "ShipmentRequest",
    "cancel_shipment",
    "cancellation_intents_of",
    "create_shipment",
    "find_cancellation",
    "find_shipment",
    "forget_shipments",
    "intents_of",
    "note_cancellations",
    "note_shipments",
    "provider_cancellations",
    "provider_shipments",
    "record_cancellations",
    "record_shipments",
]
