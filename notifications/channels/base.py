"""What a channel must do: send one notice, without the database, and say what came of it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message to one customer. `message_id` is derived from order and kind: the same however often it is sent."""

    address: str
    subject: str
    body: str
    message_id: str


class Channel(Protocol):
    """Made as `Channel(**OPTIONS)`; used by several threads at once."""

    def send(self, notice: Notice) -> None:
        """Returns when the channel has accepted the notice.

        Raises providers.errors: Refused (there is no such recipient), Unavailable (not sent), OutcomeUnknown.
        """
        ...
