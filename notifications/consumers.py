"""Each end of an order, and each refund, becomes one notice, sent as a remote step is.

This app knows events by their wire names only: it stands below the orders that it tells about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from outbox import backoff, consumer, remote, routing
from outbox.envelope import Message
from outbox.querysets import PutBack
from outbox.remote import Answer, Call
from outbox.routing import Inside
from providers import gate as providers
from providers.errors import Refused

from . import services
from .models import Notification
from .services import PROVIDER, NoticeRequest

# Destination -> the event it subscribes to, and the kind of notice that comes of it.
NOTICES = {
    "notifications.order_confirmed": ("order.confirmed.v1", Notification.Kind.CONFIRMED),
    "notifications.order_rejected": ("order.rejected.v1", Notification.Kind.REJECTED),
    "notifications.order_cancelled": ("order.cancelled.v1", Notification.Kind.CANCELLED),
    "notifications.order_refunded": ("order.refunded.v1", Notification.Kind.REFUNDED),
}


@dataclass(frozen=True, kw_only=True)
class NoticeWork:
    """Notes, sends and records the notices of one kind (outbox.remote)."""

    destination: str
    kind: Notification.Kind

    def gate(self) -> providers.Gate:
        return providers.gate(PROVIDER)

    def note(self, messages: Sequence[Message]) -> Mapping[UUID, Call]:
        notices = services.note([self._request(message) for message in messages])
        return {
            message.key: Call(intent=message.aggregate_id, perform=partial(services.send, notice))
            for message in messages
            if (notice := notices.get((message.aggregate_id, self.kind)))
        }

    def record(self, answers: Sequence[Answer]) -> None:
        """The channel's yes is a fact, whoever runs now; a failure goes again while the claim is still ours."""
        services.mark_sent([(a.intent, self.kind) for a in answers if not isinstance(a.result, BaseException)])
        for answer in answers:
            if isinstance(answer.result, Refused):
                services.refuse([(answer.intent, self.kind)], error=answer.result.reason)
        failed = [a for a in answers if isinstance(a.result, BaseException) and not isinstance(a.result, Refused)]
        consumer.later(self.destination, [_again(answer) for answer in failed if answer.mine])

    def _request(self, message: Message) -> NoticeRequest:
        return NoticeRequest(
            order_id=message.aggregate_id,
            kind=self.kind,
            recipient_id=int(message.payload["customerId"]),
            facts=message.payload,
        )


def _again(answer: Answer) -> PutBack:
    return PutBack(
        answer.message,
        after=backoff.delay(answer.message.attempts) + timedelta(seconds=1),
        error=str(answer.result),
        gives_attempt_back=answer.provider_down,
    )


for name, (event_type, kind) in NOTICES.items():
    routing.register(
        Inside(
            name=name,
            queue=PROVIDER,
            types=frozenset({event_type}),
            subscribes=frozenset({event_type}),
            run=remote.remote(NoticeWork(destination=name, kind=kind)),
            remote=True,
        )
    )
