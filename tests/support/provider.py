"""A payment provider and a carrier with one ledger, in memory: idempotent by key, and as unreliable as a test says.

provider.will("charge", "cut")            # the next charge happens, its answer is lost
provider.always("create", "refuse")       # until told otherwise
provider.calls                            # every call, probes included: [("charge", key), …]
provider.happens_late("charge")           # what was asked for last, and lost, takes effect now (F13)
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.gateways.base import ChargeReceipt, LedgerCharge, LedgerRefund, RefundReceipt
from providers import backend
from providers import gate as gates
from providers.errors import OutcomeUnknown, Refused, Unavailable
from shipping.carriers.base import CancellationReceipt, LedgerCancellation, LedgerShipment, ShipmentReceipt

_current: list["Provider"] = []


def current() -> "Provider":
    """The backend that the settings name: the provider of the running test."""
    return _current[-1]


@dataclass
class Provider:
    calls: list[tuple[str, str]] = field(default_factory=list)
    # What happened, by operation and key, in the order in which it happened.
    ledger: dict[tuple[str, str], Any] = field(default_factory=dict)
    # What was asked for, whether or not it happened, by operation and key.
    intents: dict[tuple[str, str], Any] = field(default_factory=dict)
    # When everything in the books happened, by the provider's clock.
    created_at: datetime = field(default_factory=lambda: datetime.now(tz=UTC) - timedelta(hours=1))
    _next: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _always: dict[str, str] = field(default_factory=dict)
    _refused: set[tuple[str, str]] = field(default_factory=set)
    # Runs before each call of an operation, in the call's thread.
    before: dict[str, Callable[[], None]] = field(default_factory=dict)

    # ── what the test says ──

    def will(self, operation: str, *moods: str) -> None:
        """The next calls: ok, refuse, unavailable, cut (done, answer lost), lost (not done, nobody knows)."""
        self._next[operation] += moods

    def always(self, operation: str, mood: str = "ok") -> None:
        self._always[operation] = mood

    def remembers_refusal(self, operation: str, key: str) -> None:
        """Whoever asks for it, or about it, under this key is refused for ever, as real providers do."""
        self._refused.add((operation, key))

    def happens_late(self, operation: str) -> str:
        """What was asked for last and did not happen takes effect now, long after; returns its key."""
        asked = [key for called, key in self.intents if called == operation and (operation, key) not in self.ledger]
        self.calls_off(operation)
        self._do(operation, asked[-1], self.intents[operation, asked[-1]])
        return asked[-1]

    def calls_off(self, operation: str) -> None:
        """From now on an operation goes well."""
        self._next[operation].clear()
        self._always.pop(operation, None)

    def happened(self, operation: str) -> list[str]:
        """The keys under which an operation happened."""
        return [key for done, key in self.ledger if done == operation]

    def asked(self, operation: str) -> int:
        """How often an operation was called."""
        return sum(1 for called, _ in self.calls if called == operation)

    @property
    def order(self) -> list[str]:
        """What happened, in order."""
        return [operation for operation, _ in self.ledger]

    # ── Gateway ──

    def charge(self, intent: Any) -> Any:
        return self._do("charge", intent.provider_key, intent)

    def find_charge(self, intent: Any) -> Any:
        return self._find("find_charge", "charge", intent.provider_key)

    def refund(self, intent: Any) -> Any:
        return self._do("refund", intent.provider_key, intent)

    def find_refund(self, intent: Any) -> Any:
        return self._find("find_refund", "refund", intent.provider_key)

    # ── Carrier ──

    def create(self, intent: Any) -> Any:
        return self._do("create", intent.provider_key, intent)

    def find(self, intent: Any) -> Any:
        return self._find("find", "create", intent.provider_key)

    def cancel(self, intent: Any) -> Any:
        return self._do("cancel", intent.provider_key, intent)

    def find_cancellation(self, intent: Any) -> Any:
        return self._find("find_cancellation", "cancel", intent.provider_key)

    # ── listings, oldest first ──

    def charges(self, *, after: str = "", key: str = "") -> Iterator[LedgerCharge]:
        for reference, intent in self._listed("charge", after, key):
            yield LedgerCharge(
                provider_reference=reference,
                provider_key=intent.provider_key,
                order_id=str(intent.order_id),
                amount_minor=intent.amount_minor,
                refunded_minor=self._refunded(reference),
                currency=intent.currency,
                status="captured",
                created_at=self.created_at,
            )

    def refunds(self, *, after: str = "", key: str = "") -> Iterator[LedgerRefund]:
        for reference, intent in self._listed("refund", after, key):
            yield LedgerRefund(
                provider_reference=reference,
                provider_key=intent.provider_key,
                charge_reference=intent.charge_reference,
                amount_minor=intent.amount_minor,
                currency=intent.currency,
                status="refunded",
                created_at=self.created_at,
            )

    def shipments(self, *, after: str = "", key: str = "") -> Iterator[LedgerShipment]:
        cancelled = {self.intents["cancel", key].shipment_reference for key in self.happened("cancel")}
        for reference, intent in self._listed("create", after, key):
            yield LedgerShipment(
                provider_reference=reference,
                provider_key=intent.provider_key,
                order_id=str(intent.order_id),
                status="cancelled" if reference in cancelled else "created",
                created_at=self.created_at,
            )

    def cancellations(self, *, after: str = "", key: str = "") -> Iterator[LedgerCancellation]:
        for reference, intent in self._listed("cancel", after, key):
            yield LedgerCancellation(
                provider_reference=reference,
                provider_key=intent.provider_key,
                shipment_reference=intent.shipment_reference,
                status="cancelled",
                created_at=self.created_at,
            )

    def _listed(self, operation: str, after: str, key: str) -> list[tuple[str, Any]]:
        if self._mood(f"list_{operation}", key) == "unavailable":
            raise Unavailable("503")
        happened = [
            (receipt.provider_reference, self.intents[done, its_key])
            for (done, its_key), receipt in list(self.ledger.items())
            if done == operation and key in ("", its_key)
        ]
        references = [reference for reference, _ in happened]
        return happened[references.index(after) + 1 :] if after in references else happened

    def _refunded(self, charge_reference: str) -> int:
        refunds = [self.intents["refund", key] for key in self.happened("refund")]
        return sum(refund.amount_minor for refund in refunds if refund.charge_reference == charge_reference)

    # ── behaviour ──

    def _mood(self, operation: str, key: str) -> str:
        self.calls.append((operation, key))
        if before := self.before.get(operation):
            before()
        return self._next[operation].pop(0) if self._next[operation] else self._always.get(operation, "ok")

    def _do(self, operation: str, key: str, intent: Any) -> Any:
        mood = self._mood(operation, key)
        self.intents[operation, key] = intent
        if mood == "refuse" or (operation, key) in self._refused:
            raise Refused("no_luck")
        if mood == "unavailable":
            raise Unavailable("503")
        if mood == "lost":
            raise OutcomeUnknown("timed out")
        done = self.ledger.setdefault((operation, key), _receipt(operation, intent))
        if mood == "cut":
            raise OutcomeUnknown("the answer was cut")
        return done

    def _find(self, probe: str, operation: str, key: str) -> Any:
        mood = self._mood(probe, key)
        if mood == "unavailable":
            raise Unavailable("503")
        if mood == "lost":
            raise OutcomeUnknown("timed out")
        if (operation, key) in self._refused:
            raise Refused("no_luck")
        return self.ledger.get((operation, key))


def _receipt(operation: str, intent: Any) -> Any:
    reference = f"{operation}-{intent.provider_key}"
    match operation:
        case "charge":
            return ChargeReceipt(
                provider_reference=reference, amount_minor=intent.amount_minor, currency=intent.currency
            )
        case "refund":
            return RefundReceipt(
                provider_reference=reference, amount_minor=intent.amount_minor, currency=intent.currency
            )
        case "create":
            return ShipmentReceipt(provider_reference=reference, tracking_number=f"T{reference}")
    return CancellationReceipt(provider_reference=reference)


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    """Payments and shipping talk to this one. No horizon and no breaker, unless the test sets them."""
    _forget_objects()
    _current.append(Provider())
    settings.PAYMENT_GATEWAY = {"BACKEND": "tests.support.provider.current"}
    settings.CARRIER = {"BACKEND": "tests.support.provider.current"}
    limits(settings, IN_FLIGHT_HORIZON_SECONDS=0.0, BREAKER_FAILURES=1_000)
    yield _current[-1]
    _current.pop()
    _forget_objects()


def limits(settings: Any, **changed: Any) -> None:
    """Changes the limits of every provider."""
    settings.PROVIDERS = {name: given | changed for name, given in settings.PROVIDERS.items()}
    gates.gate.cache_clear()


def _forget_objects() -> None:
    backend.forget()
    gates.gate.cache_clear()
