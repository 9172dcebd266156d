"""A backlog on purpose: old messages by the hundred thousand, and how long the service takes to drain them.

They are copies, under new ids, of what was handled long ago, as a restored backup would bring them back: the natural
unique key of each effect must keep them from having another. The drill takes them away before the audit.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from local.drill.counters import Rows

DESTINATION = "orders.start_fulfilment"
# Each about another aggregate, so that all of them are due at once.
ADD = """
INSERT INTO outbox_outboxmessage
    (key, message_id, destination, type, aggregate_type, aggregate_id, order_free, correlation_id, payload, headers,
     state, attempts, epoch, last_error)
SELECT gen_random_uuid(), gen_random_uuid(), old.destination, old.type, old.aggregate_type, gen_random_uuid(), false,
       %s, old.payload, '{}', 'open', 0, 0, ''
FROM (SELECT row_number() OVER (ORDER BY key) - 1 AS number, destination, type, aggregate_type, payload
      FROM outbox_outboxmessage WHERE destination = %s AND state = 'done') old
JOIN generate_series(0, %s - 1) AS wanted(number)
  ON wanted.number %% (SELECT count(*) FROM outbox_outboxmessage WHERE destination = %s AND state = 'done') = old.number
"""
# Index outbox_open.
LEFT = "SELECT count(*) FROM outbox_outboxmessage WHERE destination = %s AND state = 'open'"
TAKE_AWAY = "DELETE FROM outbox_outboxmessage WHERE correlation_id = %s"
DRAIN_SECONDS = 3_600.0


@dataclass
class Backlog:
    """One backlog, from its first row to its last."""

    rows: Rows
    mark: UUID = field(default_factory=uuid4)
    added: int = 0
    seconds: float = 0.0

    def add(self, count: int) -> None:
        self.added = self.rows.change(ADD, self.mark, DESTINATION, count, DESTINATION)

    def drain(self, look: Callable[[], None]) -> int:
        """Waits until it is gone; returns how many are left when it took too long."""
        began = time.monotonic()
        while (left := self.left()) and time.monotonic() - began < DRAIN_SECONDS:
            look()
        self.seconds = time.monotonic() - began
        return left

    def left(self) -> int:
        return int(self.rows.ask(LEFT, DESTINATION)[0][0])

    def take_away(self) -> None:
        self.rows.change(TAKE_AWAY, self.mark)
