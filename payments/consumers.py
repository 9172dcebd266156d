"""A webhook's hint is followed by asking the provider what is true: on the payments queue, under its slots and breaker.

Guarantees that only what the provider answered becomes a fact, and that a capture found for a payment which had been
settled otherwise becomes `late` and is published, so that its owner undoes it (F13).
Does not decide anything about the order: the process that charges has a probe of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from outbox import routing
from outbox.envelope import Message
from outbox.exceptions import RetryLater
from outbox.remote import Answer, Call, remote
from payments import services
from payments.events import PaymentWebhookReceived
from providers.errors import Refused
from providers.gate import Gate, gate

ASK_AGAIN_AFTER = timedelta(seconds=10)


class Reread:
    """Asks again about payments that a webhook named."""

    def gate(self) -> Gate:
        return gate("payments")

    def note(self, messages: Sequence[Message]) -> Mapping[UUID, Call]:
        """Nothing to note: a question leaves no trace over there. A payment that is gone needs no answer."""
        ids = {message.key: UUID(message.payload["paymentId"]) for message in messages}
        intents = services.intents_of(ids.values())
        return {key: _question(intents[ids[key]]) for key in ids if ids[key] in intents}

    def record(self, answers: Sequence[Answer]) -> None:
        """Writes receipts and refusals; "absent" changes nothing. A question that could not be asked comes again."""
        unanswered = [answer for answer in answers if answer.mine and _is_failure(answer.result)]
        if unanswered:
            raise _again(unanswered[0])
        facts = [(answer.intent, answer.result) for answer in answers if not _is_failure(answer.result)]
        services.record_charges([(intent, result) for intent, result in facts if result is not None])


def _is_failure(result: object) -> bool:
    return isinstance(result, BaseException) and not isinstance(result, Refused)


def _again(answer: Answer) -> Exception:
    """A provider that is down costs no attempt; an answer that makes no sense does, and ends dead and visible."""
    if answer.provider_down:
        return RetryLater(ASK_AGAIN_AFTER, str(answer.result))
    return answer.result if isinstance(answer.result, Exception) else TypeError(f"no failure: {answer.result!r}")


def _question(intent: services.ChargeIntent) -> Call:
    return Call(intent=intent, perform=partial(services.find_charge, intent))


routing.register(
    routing.Inside(
        name="payments.reread",
        queue="payments",
        types=frozenset({PaymentWebhookReceived.type}),
        subscribes=frozenset({PaymentWebhookReceived.type}),
        run=remote(Reread()),
        remote=True,
    )
)
