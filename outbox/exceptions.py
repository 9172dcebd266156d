"""Every exception of the outbox; the docstring is the message.

OutboxError
├── NotInTransaction      publish() outside a transaction
├── PayloadTooLarge       a message no destination could carry
├── UnknownDestination    no code here knows this destination
├── Hopeless              raised by a consumer: can never succeed, dead at once
├── RetryLater            raised by a consumer: not now; the attempt is given back
├── CallOverstayed        a remote call that outlived its total deadline: its outcome is unknown
├── DestinationUnavailable  raised by a transport: the destination as a whole is in trouble
├── MessageRejected       raised by a transport: this message can never be sent
├── PayloadRefused        what a person wrote is no payload of the message's type
└── VerbRefused           an operator's verb that the message's state does not allow
    └── AlreadyActed      the same form was submitted before
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID


class OutboxError(Exception):
    """Base of all errors of the outbox."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class NotInTransaction(OutboxError):
    """publish() must run inside the transaction that changes the domain's rows: wrap both in transaction.atomic()."""


class PayloadTooLarge(OutboxError):
    """A message's payload is larger than any destination takes: send a reference instead."""


class UnknownDestination(OutboxError):
    """No code of this process knows the destination."""


class Hopeless(OutboxError):
    """This message can never succeed anywhere: it is dead at once, with this reason."""


class RetryLater(OutboxError):
    """Not now: the same message comes again after this time, and the attempt does not count."""

    def __init__(self, after: timedelta, reason: str = "") -> None:
        super().__init__(reason)
        self.after = after


class CallOverstayed(OutboxError, TimeoutError):
    """The call outlived its total deadline and was given up; its outcome is unknown."""


class DestinationUnavailable(OutboxError):
    """The destination as a whole takes nothing now; no message is at fault and no attempt is burnt."""

    def __init__(self, message: str = "", *, answers: "Mapping[UUID, MessageRejected | None] | None" = None) -> None:
        super().__init__(message)
        # By the row's key, what it answered before the trouble; the others count as not sent.
        self.answers = dict(answers or {})


class MessageRejected(OutboxError):
    """The destination will never take this message (malformed, too large)."""


class PayloadRefused(OutboxError):
    """What was written is no payload of this type of message."""

    def __init__(self, sentences: "Sequence[str]") -> None:
        super().__init__(" ".join(sentences))
        self.sentences = list(sentences)


class VerbRefused(OutboxError):
    """The message's state does not allow this verb."""


class AlreadyActed(VerbRefused):
    """This very form was submitted before: what it asked for is done, and nothing changed."""
