"""A payment provider and a carrier with one ledger, in memory: idempotent by key, and as unreliable as a test says.

provider.will("charge", "cut")            # the next charge happens, its answer is lost
provider.always("create", "refuse")       # until told otherwise
provider.calls                            # every call, probes included: [("charge", key), …]
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from payments.gateways.base import ChargeReceipt, RefundReceipt
from providers import backend
from providers import gate as gates
from providers.errors import OutcomeUnknown, Refused, Unavailable
from shipping.carriers.base import CancellationReceipt, ShipmentReceipt

_current: list["Provider"] = []


def current() -> "Provider":
    """The backend that the settings name: the provider of the running test."""
    return _current[-1]


@dataclass
class Provider:
    calls: list[tuple[str, str]] = field(default_factory=list)
    # What happened, by operation and key, in the order in which it happened.
    ledger: dict[tuple[str, str], Any] = field(default_factory=dict)
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
        def receipt(reference: str) -> ChargeReceipt:
            return ChargeReceipt(
                provider_reference=reference, amount_minor=intent.amount_minor, currency=intent.currency
            )

        return self._do("charge", intent.provider_key, receipt)

    def find_charge(self, intent: Any) -> Any:
        return self._find("find_charge", "charge", intent.provider_key)

    def refund(self, intent: Any) -> Any:
        def receipt(reference: str) -> RefundReceipt:
            return RefundReceipt(
                provider_reference=reference, amount_minor=intent.amount_minor, currency=intent.currency
            )

        return self._do("refund", intent.provider_key, receipt)

    def find_refund(self, intent: Any) -> Any:
        return self._find("find_refund", "refund", intent.provider_key)

    # ── Carrier ──

    def create(self, intent: Any) -> Any:
        return self._do(
            "create",
            intent.provider_key,
            lambda reference: ShipmentReceipt(provider_reference=reference, tracking_number=f"T{reference}"),
        )

    def find(self, intent: Any) -> Any:
        return self._find("find", "create", intent.provider_key)

    def cancel(self, intent: Any) -> Any:
        return self._do(
            "cancel", intent.provider_key, lambda reference: CancellationReceipt(provider_reference=reference)
        )

    def find_cancellation(self, intent: Any) -> Any:
        return self._find("find_cancellation", "cancel", intent.provider_key)

    # ── behaviour ──

    def _mood(self, operation: str, key: str) -> str:
        self.calls.append((operation, key))
        if before := self.before.get(operation):
            before()
        return self._next[operation].pop(0) if self._next[operation] else self._always.get(operation, "ok")

    def _do(self, operation: str, key: str, receipt: Callable[[str], Any]) -> Any:
        mood = self._mood(operation, key)
        if mood == "refuse" or (operation, key) in self._refused:
            raise Refused("no_luck")
        if mood == "unavailable":
            raise Unavailable("503")
        if mood == "lost":
            raise OutcomeUnknown("timed out")
        done = self.ledger.setdefault((operation, key), receipt(f"{operation}-{key}"))
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
