"""Two orders placed as a customer would place them, and what became of each, as the rows tell it.

Guarantees that "ended well" means what the rows say: the first order confirmed; the second, which no carrier takes,
rejected with everything undone. Reads with SQL of its own, so it needs no Django.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import requests

from local.screen import Screen

WAIT_SECONDS = 60.0
ENDED = ("confirmed", "rejected", "cancelled")

# By primary key, and by the unique (name, subject_id) of the saga.
ORDER = "SELECT status, reason, placed_at, ended_at FROM orders_order WHERE id = %s"
STEPS = """
SELECT step.name, step.status, step.finished_at, step.undo_status, step.undo_finished_at
FROM sagas_saga AS saga JOIN sagas_sagastep AS step ON step.saga_id = saga.id
WHERE saga.name = 'fulfil_order' AND saga.subject_id = %s ORDER BY step.position
"""
SAGA_STATUS = "SELECT status FROM sagas_saga WHERE name = 'fulfil_order' AND subject_id = %s"


@dataclass(frozen=True, kw_only=True)
class Journey:
    """What is ordered, and how it should end."""

    title: str
    body: dict[str, Any]
    order_status: str
    saga_status: str


JOURNEYS = (
    Journey(
        title="An order",
        body={"sku": "WIDGET", "quantity": 3},
        order_status="confirmed",
        saga_status="completed",
    ),
    Journey(
        title="An order that no carrier takes: what was done is undone",
        body={"sku": "UNSHIPPABLE", "quantity": 1},
        order_status="rejected",
        saga_status="compensated",
    ),
)


@dataclass(frozen=True)
class Moment:
    """One thing that happened to an order."""

    at: datetime
    what: str


@dataclass(frozen=True, kw_only=True)
class Traveller:
    """Places orders over HTTP and reads their story from Postgres."""

    base_url: str
    token: str
    database_url: str
    screen: Screen

    def travel(self, journey: Journey) -> bool:
        """Prints the journey; tells whether it ended as it should."""
        self.screen.say(f"\n  {journey.title}")
        order_id = self._place(journey.body)
        if order_id is None:
            return False
        status = self._wait_for_end(order_id)
        with psycopg.connect(self.database_url) as connection:
            moments = story(connection, order_id)
            saga = connection.execute(SAGA_STATUS, [order_id]).fetchone()
        for moment in moments:
            self.screen.say(f"    +{(moment.at - moments[0].at).total_seconds():6.3f} s  {moment.what}")
        ended_well = status == journey.order_status and saga == (journey.saga_status,)
        if not ended_well:
            self.screen.complain(
                f"Order {order_id} is {status} and its saga {saga[0] if saga else 'unknown'}; "
                f"expected {journey.order_status} and {journey.saga_status}."
            )
        return ended_well

    def _place(self, body: dict[str, Any]) -> str | None:
        try:
            answer = requests.post(
                f"{self.base_url}/orders",
                json=body,
                headers={"Authorization": f"Token {self.token}", "Idempotency-Key": f'"{uuid.uuid4()}"'},
                timeout=30,
            )
        except requests.RequestException as error:
            self.screen.complain(f"POST /orders got no answer: {error}")
            return None
        if answer.status_code != 201:
            self.screen.complain(f"POST /orders answered {answer.status_code}: {answer.text[:500]}")
            return None
        order_id: str = answer.json()["id"]
        return order_id

    def _wait_for_end(self, order_id: str) -> str:
        deadline = time.monotonic() + WAIT_SECONDS
        status = "unknown"
        while status not in ENDED and time.monotonic() < deadline:
            time.sleep(0.05)
            answer = requests.get(
                f"{self.base_url}/orders/{order_id}", headers={"Authorization": f"Token {self.token}"}, timeout=30
            )
            status = answer.json().get("status", "unknown")
        return status


def story(connection: psycopg.Connection[Any], order_id: str) -> Sequence[Moment]:
    """The order's moments by their times, as Postgres holds them."""
    row = connection.execute(ORDER, [order_id]).fetchone()
    if row is None:
        return []
    status, reason, placed_at, ended_at = row
    moments = [Moment(placed_at, f"order {order_id} placed")]
    for name, step_status, finished_at, undo_status, undo_finished_at in connection.execute(STEPS, [order_id]):
        moments += [Moment(finished_at, f"{name}: {step_status}")] if finished_at else []
        moments += [Moment(undo_finished_at, f"undo of {name}: {undo_status}")] if undo_finished_at else []
    moments.sort(key=lambda moment: moment.at)
    if ended_at:
        moments.append(Moment(ended_at, f"order {status}{f' ({reason})' if reason else ''}"))
    return moments
