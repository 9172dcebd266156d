"""P1's open loop: sagas arrive one commit at a time at a fixed rate, whatever became of those before.

Guarantee: arrivals keep to their schedule, so a service that falls behind cannot slow its own load down; how late the
latest was is printed. Times are the database's: from the saga's beginning to its end.
"""

import threading
import time
from collections.abc import Sequence
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


def measure(here: Place, *, rate: float, seconds: int) -> list[Criterion]:
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
        batch = mean_batch(connection) or 0.0
    print(
        f"  open loop: {rate:,.0f} sagas/s for {seconds} s: p50 {percentile(took, 0.5) * 1000:.0f} ms, "
        f"p95 {percentile(took, 0.95) * 1000:.0f} ms, p99 {percentile(took, 0.99) * 1000:.0f} ms, "
        f"mean batch {batch:.1f}, arrivals late by {late * 1000:.0f} ms at most",
        flush=True,
    )
    p95 = Rounds(unit="s from commit to end (p95)", ours=[percentile(took, 0.95)])
    return [judge(f"open loop at {rate:,.0f} sagas/s, mean batch {batch:.1f}", p95, at_most=1.0)]


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
