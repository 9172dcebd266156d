"""People and machines outside: customers who order and cancel and insist, a provider's webhooks, operators at a desk.

Customers keep to the contract: one key per wish, the same again until there is an answer, and give up well before the
key's lifetime ends. Operators do what a runbook allows: what they resolve they have looked up in the provider's books.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
from rest_framework.authtoken.models import Token

from outbox import exceptions as outbox_errors
from outbox import operations as outbox
from outbox.models import OutboxMessage
from payments.models import Payment, Refund
from payments.webhooks import sign
from sagas import operations as sagas
from sagas.exceptions import SagaError
from sagas.models import Saga
from shipping.models import Cancellation, Shipment

from . import clock

if TYPE_CHECKING:
    from .strands import Strand
    from .world import World

PATIENCE_SECONDS = 6 * 3600.0
VERBS = {"retry": 4, "resume": 4, "resolve": 3, "compensate": 1, "cancel": 1}
REFUSALS = (SagaError, outbox_errors.OutboxError)


@dataclass(kw_only=True)
class Wish:
    """One request that a customer wants answered; `key` is empty for one who does without."""

    name: str
    path: str
    body: dict[str, Any]
    key: str
    token: str
    first_at: float
    next_at: float
    under_way: int = 0
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    order: Wish | None = None
    insists: bool = False
    gave_up: bool = False

    @property
    def is_over(self) -> bool:
        return bool(self.answers) or self.gave_up

    @property
    def order_id(self) -> str | None:
        placed = [json.loads(body) for status, body in self.answers if status == 201]
        return placed[0]["id"] if placed else None


class People:
    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self.wishes: list[Wish] = []
        self.webhooks: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.skipped: set[UUID] = set()
        self._handler = WSGIHandler()
        self._factory = RequestFactory()
        self._tokens: list[str] = []

    def move_in(self) -> None:
        for name in ("ann", "bob"):
            user = User.objects.create(username=name, email=f"{name}@example.org")
            self._tokens.append(Token.objects.create(user=user, key=hashlib.sha1(name.encode()).hexdigest()).key)

    # ── customers ──

    def wants_to_order(self, lines: list[tuple[str, int]]) -> Wish:
        number = sum(wish.order is None for wish in self.wishes) + 1
        wish = Wish(
            name=f"order {number}",
            path="/orders",
            body={"items": [{"sku": sku, "quantity": quantity} for sku, quantity in lines]},
            key=f"wish-{number}" if self.random.random() < 0.9 else "",
            token=self.random.choice(self._tokens),
            first_at=self.world.now,
            next_at=self.world.now,
        )
        self.wishes.append(wish)
        return wish

    def wants_to_cancel(self, order: Wish) -> None:
        assert order.order_id is not None
        self.wishes.append(
            Wish(
                name=f"cancel of {order.name}",
                path=f"/orders/{order.order_id}/cancel",
                body={},
                key=f"{order.key or order.name}-cancel-{len(self.wishes)}",
                token=order.token,
                first_at=self.world.now,
                next_at=self.world.now,
                order=order,
            )
        )

    def due_wishes(self) -> list[Wish]:
        """Who asks now: for the first time, again, or, impatiently, while the first is under way."""
        now = self.world.now
        for wish in self.wishes:
            # Hours may have passed since the last try: a key whose lifetime is over would be a new wish.
            wish.gave_up = wish.gave_up or (not wish.answers and now - wish.first_at > PATIENCE_SECONDS)
        return [
            wish
            for wish in self.wishes
            if not wish.is_over and wish.next_at <= now and wish.under_way < (2 if wish.key else 1)
        ]

    def ask(self, wish: Wish) -> Callable[[], Any]:
        """The request, for a thread of a web process."""
        wish.under_way += 1
        wish.next_at = self.world.now + self.random.uniform(0.5, 8.0)
        headers = {"Authorization": f"Token {wish.token}", **({"Idempotency-Key": wish.key} if wish.key else {})}
        return partial(self._request, wish.path, json.dumps(wish.body).encode(), headers)

    def heard(self, wish: Wish, strand: Strand) -> None:
        """What came back, if anything did, and if anybody still listened."""
        wish.under_way -= 1
        now, calm = self.world.now, self.world.fate.calm
        if strand.crashed or (wish.key and not calm and self.random.random() < 0.1):
            self.world.tell(f"{wish.name}: no answer")
        else:
            self._answered(wish, strand)
        if not wish.key and not wish.answers:
            # Without a key nobody may ask again.
            wish.gave_up = True
        if not wish.is_over and now - wish.first_at > PATIENCE_SECONDS:
            wish.gave_up = True

    def _answered(self, wish: Wish, strand: Strand) -> None:
        assert strand.error is None, f"{wish.name} ended with {strand.error!r}"
        status, body = strand.result
        self.world.tell(f"{wish.name}: {status}")
        ended_otherwise = wish.order is not None and b"already-ended" in body
        if status in {429, 503} or (status == 409 and not ended_otherwise):
            return
        if status >= 500 or (wish.order is None and status != 201):
            self.errors.append(f"{wish.name} was answered {status}: {body[:300]!r}")
        wish.answers.append((status, body))

    def webhook(self, event: dict[str, Any]) -> None:
        self.webhooks.append({"event": event, "tries": 0, "next_at": self.world.now})

    def due_webhooks(self) -> list[dict[str, Any]]:
        return [hook for hook in self.webhooks if hook["next_at"] <= self.world.now]

    def report(self, hook: dict[str, Any]) -> Callable[[], Any]:
        hook["next_at"] = float("inf")
        raw = json.dumps(hook["event"]).encode()
        stamp = str(int(clock.moment(self.world.now).timestamp()))
        return partial(
            self._request,
            "/webhooks/payments",
            raw,
            {"Webhook-Signature": f"t={stamp},v1={sign(raw, timestamp=stamp)}"},
        )

    def reported(self, hook: dict[str, Any], strand: Strand) -> None:
        hook["tries"] += 1
        taken = not strand.crashed and strand.error is None and strand.result[0] == 200
        self.world.tell(f"webhook {'taken' if taken else 'not taken'}")
        if taken or hook["tries"] >= 3:
            # By identity: an event that was sent twice is two equal webhooks, each with its own end.
            self.webhooks = [other for other in self.webhooks if other is not hook]
        else:
            hook["next_at"] = self.world.now + self.random.uniform(0.5, 10.0)

    def _request(self, path: str, raw: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        request = self._factory.post(path, raw, content_type="application/json", headers=headers)
        response = self._handler.get_response(request)
        return response.status_code, response.content

    # ── operators ──

    def act(self) -> tuple[str, Callable[[], Any]] | None:
        """Something that a person does now: a verb on a saga that looks stuck, or on a message that is not done."""
        if self.random.random() < 0.35:
            return self._message_verb()
        live = list(Saga.objects.filter(status__in=["running", "needs_attention"]).order_by("pk"))
        if not live:
            return None
        saga = self.random.choice(live)
        verb = self.random.choices(list(VERBS), list(VERBS.values()))[0]
        if verb == "resolve":
            return self._resolve(saga)
        perform = partial(getattr(sagas, verb), saga.pk, who=None, reason="simulated")
        return f"{verb} {self.world.label(saga.subject_id)}", partial(_politely, perform)

    def _resolve(self, saga: Saga) -> tuple[str, Callable[[], Any]] | None:
        """Only what is certain: nothing of it is on its way any more."""
        keys = {
            ("charge_payment", False): Payment, ("charge_payment", True): Refund,
            ("create_shipment", False): Shipment, ("create_shipment", True): Cancellation,
        }  # fmt: skip
        model: Any = keys.get((saga.current_step, saga.goes_backward))
        row = model.objects.filter(order_id=saga.subject_id).order_by("-pk").first() if model else None
        if row is None or not self.world.network.is_quiet_about(row.provider_key) or self._may_still_be_sent():
            return None
        happened = self.world.network.reference_of(row.provider_key)
        perform = partial(sagas.resolve, saga.pk, happened=happened, who=None, reason="looked it up")
        return f"resolve {self.world.label(saga.subject_id)} as {happened}", partial(_politely, perform)

    def _may_still_be_sent(self) -> bool:
        return any(strand.is_call for process in self.world.processes for strand in process.strands)

    def _message_verb(self) -> tuple[str, Callable[[], Any]] | None:
        rows = list(
            OutboxMessage.objects.exclude(order_free=True).order_by("id").values_list("key", "state", "destination")
        )
        if not rows:
            return None
        key, state, destination = self.random.choice(rows)
        if state in {"open", "dead"} and destination == "outside":
            self.skipped.add(key)
            return f"skip a message to {destination}", partial(outbox.skip, [key], who=None, reason="simulated")
        return (
            f"requeue a message to {destination}",
            partial(outbox.requeue, [key], who=None, reason="simulated", sent=self.random.random() < 0.7),
        )


def _politely(perform: Callable[[], Any]) -> Any:
    try:
        return perform()
    except REFUSALS as refusal:
        return f"refused: {refusal}"
