"""Note what a customer will be told, send it, record that it was sent. The only writer of notifications.

`note` and `record` run in the caller's transaction and are set-based; `send` uses the network only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.db.models.functions import Now

from outbox.error_text import one_line
from providers import tracing
from providers.backend import backend
from providers.rows import insert

from . import texts
from .channels.base import Channel, Notice
from .models import Notification

COLUMNS = {
    "order_id": "uuid",
    "kind": "text",
    "recipient_id": "bigint",
    "status": "text",
    "facts": "jsonb",
    "error": "text",
}
Status = Notification.Status
# As its gate, its queue and its calls' spans are called.
PROVIDER = "notifications"


@dataclass(frozen=True, kw_only=True)
class NoticeRequest:
    order_id: UUID
    kind: str
    recipient_id: int
    facts: Mapping[str, Any]


def note(requests: Sequence[NoticeRequest]) -> dict[tuple[UUID, str], Notice]:
    """Writes down what will be sent; returns, by order and kind, what still has to be sent.

    A customer without an address has nothing sent, and the row says so.
    """
    rows = [
        Notification(order_id=r.order_id, kind=r.kind, recipient_id=r.recipient_id, facts=dict(r.facts))
        for r in sorted(requests, key=lambda r: (r.order_id, r.kind))
    ]
    written = insert(rows, table="notifications_notification", columns=COLUMNS)
    known = _known([row for row in rows if row.pk not in written])
    pending = [row for row in rows if row.pk in written] + [row for row in known if row.status == Status.PENDING]
    addresses = _addresses({row.recipient_id for row in pending})
    refuse([(row.order_id, row.kind) for row in pending if not addresses.get(row.recipient_id)], error="no address")
    return {
        (row.order_id, row.kind): texts.notice(row, address=address)
        for row in pending
        if (address := addresses.get(row.recipient_id))
    }


def send(notice: Notice) -> None:
    """Sends through the configured channel. Network only; raises providers.errors."""
    channel: Channel = backend(settings.NOTIFICATION_CHANNEL)
    with tracing.calling(PROVIDER, f"send {PROVIDER}", {"notification.message_id": notice.message_id}):
        channel.send(notice)


def mark_sent(sent: Sequence[tuple[UUID, str]]) -> None:
    """Records that the channel accepted these."""
    _pending(sent).update(status=Status.SENT, sent_at=Now(), error="")


def refuse(refused: Sequence[tuple[UUID, str]], *, error: str) -> None:
    """Records that there is nobody to tell."""
    _pending(refused).update(status=Status.REFUSED, error=one_line(error))


def _pending(pairs: Sequence[tuple[UUID, str]]) -> QuerySet[Notification]:
    kinds = {kind for _, kind in pairs}
    orders = [order_id for order_id, _ in pairs]
    return Notification.objects.filter(order_id__in=orders, kind__in=kinds, status=Status.PENDING)


def _known(rows: Sequence[Notification]) -> list[Notification]:
    """What stands in the table for the orders and kinds of these rows."""
    found = Notification.objects.filter(order_id__in=[r.order_id for r in rows], kind__in={r.kind for r in rows})
    return list(found.order_by("order_id", "kind"))


def _addresses(user_ids: set[int]) -> dict[int, str]:
    return dict(get_user_model()._default_manager.filter(pk__in=user_ids).values_list("pk", "email"))
