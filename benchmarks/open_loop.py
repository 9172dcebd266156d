"""P1's open loop: sagas arrive one commit at a time at a fixed rate, whatever became of those before.

Guarantee: arrivals keep to their schedule, so a service that falls behind cannot slow its own load down; how late the
latest was is printed. Times are the database's: from the saga's beginning to its end.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from benchmarks.criterion import Criterion, Rounds, judge
from benchmarks.figures import percentile
from benchmarks.place import Place, mean_batch, settle
from benchmarks.sides import new_rows

CLIENTS = 2
SETTLE_SECONDS = 60
TOOK = """
SELECT /* bench-own */ extract(epoch FROM ended_at - started_at)::float FROM sagas_saga
WHERE subject_id = ANY(%s) AND status = 'completed'
"""


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """How long sagas took that arrived one commit at a time, in seconds; `late` is the latest arrival's delay."""

    rate: float
    took: Sequence[float]
    batch: float
    late: float

    def line(self) -> str:
        shares = ", ".join(f"p{share * 100:.0f} {percentile(self.took, share):.2f} s" for share in (0.5, 0.95, 0.99))
        return f"{self.rate:,.0f} sagas/s: {shares}, mean batch {self.batch:.1f}, at most {self.late:.1f} s late"

    def criterion(self) -> Criterion:
        p95 = Rounds(unit="s from commit to end (p95)", ours=[percentile(self.took, 0.95)])
        return judge(f"open loop at {self.rate:,.0f} sagas/s, mean batch {self.batch:.1f}", p95, at_most=1.0)


def measure(here: Place, *, rate: float, seconds: int) -> Arrivals:
    """`rate` sagas a second for so many seconds, and how long each took."""
    with here.connect() as connection:
        rows = [UUID(row) for row in new_rows(connection, int(rate * seconds))]
        settle(connection)
        late = arrive(rows, rate=rate)
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(took := [row[0] for row in connection.execute(TOOK, [rows])]) < len(rows):
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(rows) - len(took)} of {len(rows)} sagas did not end.")
            time.sleep(0.2)
        found = Arrivals(rate=rate, took=took, batch=mean_batch(connection) or 0.0, late=late)
    print(f"  open loop: {found.line()}", flush=True)
    return found


def arrive(rows: Sequence[UUID], *, rate: float) -> float:
    """Starts one saga per row, each in a transaction of its own, on schedule; returns the longest delay in seconds."""
    begins = time.monotonic() + 0.1
    delays = [0.0] * CLIENTS

    def client(number: int) -> None:
        from django.db import connection, transaction

        from benchmarks.sagas import FOUR_STEPS
        from sagas import lifecycle

        for place in range(number, len(rows), CLIENTS):
            due = begins + place / rate
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            delays[number] = max(delays[number], time.monotonic() - due)
            with transaction.atomic():
                lifecycle.start(FOUR_STEPS, [(rows[place], {})])
        connection.close()

    threads = [threading.Thread(target=client, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(delays)
