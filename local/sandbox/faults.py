"""Which fault a request meets, and the names that faults have in headers, tokens, SKUs and rates.

A name is `<fault>[_<seconds>][_once]`, written with dashes or underscores in any case: `drop-reply`, `late_25`,
`5xx_once`. Not guaranteed: that `once` survives a restart of the sandbox.
"""

import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# Nothing happens in the ledger, and the caller is told so, or not.
BEFORE = ("5xx", "429", "503", "401", "404", "409", "hang", "cut", "html", "nonsense", "redirect", "empty")
# It happens in the ledger, and the caller does not get to know.
AFTER = (
    *("5xx_after", "hang_after", "drop_reply", "half_reply", "drip", "wrong_amount", "wrong_key"),
    *("html_after", "huge", "redirect_after", "bad_redirect", "two_lengths"),
)
# Answered in the ordinary way, but no, or late, or for another amount, or long after the caller was cut off.
OTHER = ("refused", "slow", "late", "wrong_capture")
NAMES = frozenset(BEFORE + AFTER + OTHER)
ALIASES = {"declined": "refused", "decline": "refused", "refuse": "refused"}
DEFAULT_SECONDS = {"hang": 30.0, "hang_after": 30.0, "late": 2.0, "slow": 3.0, "drip": 30.0}
FLAKY = {"5xx": 0.1, "5xx_after": 0.05, "drop_reply": 0.05, "429": 0.05, "slow_2": 0.05}
MOODS = ("ok", "slow", "flaky", "down", "dead")


@dataclass(frozen=True, kw_only=True)
class Fault:
    name: str
    seconds: float = 0.0
    once: bool = False


def parse(text: str) -> Fault | None:
    """The fault of that name, None for anything else: an ordinary token is no fault."""
    name = text.strip().lower().replace("-", "_")
    once = name.endswith("_once")
    name = name.removesuffix("_once")
    seconds = None
    if ALIASES.get(name, name) not in NAMES and (match := re.fullmatch(r"(\w+)_(\d{1,4})", name)):
        name, seconds = match[1], float(match[2])
    name = ALIASES.get(name, name)
    if name not in NAMES:
        return None
    return Fault(name=name, seconds=DEFAULT_SECONDS.get(name, 0.0) if seconds is None else seconds, once=once)


def of_token(token: str, *, prefix: str = "") -> Fault | None:
    """`tok_drop_reply` for the charge; `tok_refund_drop_reply`, with the prefix `refund_`, for its refund."""
    start = f"tok_{prefix}"
    return parse(token.removeprefix(start)) if token.startswith(start) else None


def of_skus(skus: Iterable[str], *, prefix: str) -> Fault | None:
    """`SHIP-HANG` for the shipment, `CANCEL-HANG` for its cancellation; `UNSHIPPABLE` is refused by the carrier."""
    for sku in skus:
        if sku.upper() == "UNSHIPPABLE" and prefix == "SHIP-":
            return parse("refused")
        if sku.upper().startswith(prefix) and (fault := parse(sku[len(prefix) :])):
            return fault
    return None


@dataclass(kw_only=True)
class Mood:
    """How one provider feels for the moment, for all its callers."""

    name: str = "ok"
    rates: Mapping[str, float] = field(default_factory=dict)


class Moods:
    """The moods of both providers, and what has already happened once. Safe between threads."""

    def __init__(self, *, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._moods = {"payments": Mood(), "shipping": Mood()}
        self._happened: set[tuple[str, str]] = set()

    def set(self, provider: str, *, name: str, rates: Mapping[str, float]) -> None:
        """Raises ValueError for an unknown provider, mood, fault or rate."""
        if provider not in self._moods or name not in MOODS:
            raise ValueError(f"providers: {', '.join(self._moods)}; moods: {', '.join(MOODS)}")
        for fault, rate in rates.items():
            if parse(fault) is None or not 0 <= rate <= 1:
                raise ValueError(f"{fault}={rate} is not a fault and a share from 0 to 1")
        with self._lock:
            self._moods[provider] = Mood(name=name, rates=dict(rates))

    def shown(self) -> dict[str, dict[str, object]]:
        with self._lock:
            return {name: {"mood": mood.name, "rates": dict(mood.rates)} for name, mood in self._moods.items()}

    def fault(self, provider: str, *, header: str, asked: Fault | None, key: str) -> Fault | None:
        """The fault that this request meets: by header, else by a provider that is down, by token or SKU, by mood."""
        with self._lock:
            mood = self._moods[provider]
            fault = parse(header) or _outage(mood.name) or asked or self._by_chance(mood)
            if fault is None or not fault.once:
                return fault
            happened = (key, fault.name) in self._happened
            self._happened.add((key, fault.name))
            return None if happened else fault

    def outage(self, provider: str) -> Fault | None:
        """What a provider that is down for everybody answers; None while it is up."""
        with self._lock:
            return _outage(self._moods[provider].name)

    def _by_chance(self, mood: Mood) -> Fault | None:
        if mood.name == "slow":
            return parse("slow")
        dice = self._random.random()
        for name, rate in (mood.rates or (FLAKY if mood.name == "flaky" else {})).items():
            dice -= rate
            if dice < 0:
                return parse(name)
        return None


def _outage(mood: str) -> Fault | None:
    return {"down": Fault(name="503"), "dead": Fault(name="cut")}.get(mood)
