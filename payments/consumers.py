"""A hint (a webhook's, a comparison's) is followed by asking the provider what is true: under its slots and breaker.

Guarantees that only what the provider answered becomes a fact, and that a capture found for a payment which had been
settled otherwise becomes `late` and is published, so that its owner undoes it (F13).
Does not decide anything about the order: the process that charges has a probe of its own.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from outbox import routing
from outbox.envelope import Message
from outbox.exceptions import RetryLater
from outbox.registry import Event
from outbox.remote import Answer, Call, remote
from payments import services
from payments.events import PaymentDoubted, PaymentWebhookReceived, RefundDoubted
from providers.errors import Refused
from providers.gate import Gate, gate

ASK_AGAIN_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Reread:
    """Asks again about rows that a message names in its payload's `field`."""

    field: str
    intents_of: Callable[[Collection[UUID]], Mapping[UUID, Any]]
    find: Callable[[Any], object]
    record_facts: Callable[[Sequence[tuple[Any, object]]], None]

    def gate(self) -> Gate:
        return gate("payments")

    def note(self, messages: Sequence[Message]) -> Mapping[UUID, Call]:
        """Nothing to note: a question leaves no trace over there. A row that is gone needs no answer."""
        ids = {message.key: UUID(message.payload[self.field]) for message in messages}
        intents = self.intents_of(ids.values())
        return {key: self._question(intents[ids[key]]) for key in ids if ids[key] in intents}

    def record(self, answers: Sequence[Answer]) -> None:
        """Writes receipts and refusals; "absent" changes nothing. A question that could not be asked comes again."""
        unanswered = [answer for answer in answers if answer.mine and _is_failure(answer.result)]
        if unanswered:
            raise _again(unanswered[0])
        facts = [(answer.intent, answer.result) for answer in answers if not _is_failure(answer.result)]
        self.record_facts([(intent, result) for intent, result in facts if result is not None])

    def _question(self, intent: Any) -> Call:
        return Call(intent=intent, perform=partial(self.find, intent))


def _is_failure(result: object) -> bool:
    return isinstance(result, BaseException) and not isinstance(result, Refused)


def _again(answer: Answer) -> Exception:
    """A provider that is down costs no attempt; an answer that makes no sense does, and ends dead and visible."""
    if answer.provider_down:
        return RetryLater(ASK_AGAIN_AFTER, str(answer.result))
    return answer.result if isinstance(answer.result, Exception) else TypeError(f"no failure: {answer.result!r}")


def _register(name: str, work: Reread, *events: type[Event]) -> None:
    types = frozenset(event.type for event in events)
    routing.register(
        routing.Inside(name=name, queue="payments", types=types, subscribes=types, run=remote(work), remote=True)
    )


_register(
    "payments.reread",
    Reread(
        field="paymentId",
        intents_of=services.intents_of,
        find=services.find_charge,
        record_facts=services.record_charges,
    ),
    PaymentWebhookReceived,
    PaymentDoubted,
)
_register(
    "payments.reread_refund",
    Reread(
        field="refundId",
        intents_of=services.refund_intents_of,
        find=services.find_refund,
        record_facts=services.record_refunds,
    ),
    RefundDoubted,
)
