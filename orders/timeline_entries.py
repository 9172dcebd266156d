"""The words of a timeline: an entry says that something happened, took a while, or goes on, and which row says so.

Values only; `timeline.py` reads them, `timeline_rows.py` makes them of rows, and apps above this one make their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    ORDER = "order"
    KEY = "idempotency_key"
    STEP = "step"
    COMPENSATION = "compensation"
    PAYMENT = "payment"
    REFUND = "refund"
    SHIPMENT = "shipment"
    CANCELLATION = "cancellation"
    RESERVATION = "reservation"
    NOTIFICATION = "notification"
    MESSAGE = "message"
    DIFFERENCE = "difference"
    OPERATOR_ACT = "operator_act"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where an entry stands: a table, which also names its admin page ("payments_payment"), and an id."""

    table: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that happened at once (it ends when it begins), took a while, or goes on (no end).

    `attempts` counts those since an operator's last retry; `facts` are JSON, secrets masked.
    """

    kind: Kind
    name: str
    began_at: datetime
    ended_at: datetime | None
    status: str = ""
    attempts: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    row: Row | None = None
