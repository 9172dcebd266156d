"""What a transport to a destination outside must do; one conformance suite holds every transport to it."""

from collections.abc import Sequence
from typing import Protocol

from outbox.envelope import Message
from outbox.exceptions import MessageRejected


class Transport(Protocol):
    """Sends messages to one destination outside and returns only when the destination has confirmed them.

    Made as `Transport(**OPTIONS)`, used by one thread at a time, connects lazily and again after a failure.
    """

    def send(self, messages: Sequence[Message]) -> list[MessageRejected | None]:
        """Sends a batch in order; per message None (confirmed) or why it can never be sent.

        Raises DestinationUnavailable when the destination as a whole takes nothing: what its `answers` do not name does
        not count as sent, and will be sent again with the same message ids.
        """
        ...

    def close(self) -> None:
        """Lets go of the connection; a later send connects again."""
        ...
