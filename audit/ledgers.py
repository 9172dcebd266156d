"""The books of provider and carrier, as violations: what they tell otherwise than ours, and what the sandbox witnessed.

Guarantee: read-only over there and here; a provider that cannot be asked costs its own comparison, and is said.
Not guaranteed: that a difference is one for ever; the reconciliation repairs what is provable. What an operator
resolved there is no violation here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from django.conf import settings

from providers.client import ProviderClient
from providers.errors import ProviderError

from .books import BOOKS, Book
from .check import Violation
from .comparison import Difference, compare
from .conf import conf
from .reconciliation import is_answered_for

# Which promise a difference breaks: money is kept or gone, a parcel stands for an order or does not.
PROMISES = {"charge": "I9", "refund": "I9", "shipment": "I5", "cancellation": "I8"}
SUMMARY = "Our book and the provider's tell otherwise of a {object}: {kind}."
# The sandbox keeps what no provider tells: each key that it saw with two bodies, each operation with two keys.
WITNESS = "sandbox"
WITNESSED = "the_provider_saw_one_key_and_one_body_per_operation"
DIFFERS = "provider_ledger_"


@dataclass(frozen=True, kw_only=True)
class Ledgers:
    """What was found; and, in sentences, which books could not be read to their end."""

    violations: Sequence[Violation] = field(default=())
    unjudged: Sequence[str] = field(default=())


def judge_ledgers(*, at_rest: bool) -> Ledgers:
    """Compares every book page by page, and asks the sandbox what it witnessed."""
    violations: list[Violation] = []
    unjudged: list[str] = []
    for name, judge in _judgements(at_rest=at_rest):
        try:
            violations += judge()
        except ProviderError as error:
            unjudged.append(f"Not judged: {name} could not be asked ({str(error) or type(error).__name__}).")
    return Ledgers(violations=violations, unjudged=unjudged)


def is_of_a_book(check: str) -> bool:
    """Whether only an audit with the providers' books can find it."""
    return check == WITNESSED or check.startswith(DIFFERS)


def _judgements(*, at_rest: bool) -> Iterator[tuple[str, Callable[[], list[Violation]]]]:
    for book in BOOKS:
        yield f"the {book.provider} provider's book of {book.object}s", partial(_differences, book, at_rest=at_rest)
    if WITNESS in settings.PAYMENT_GATEWAY["BACKEND"]:
        yield "what the sandbox witnessed", _witnessed


def _differences(book: Book, *, at_rest: bool) -> list[Violation]:
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    counts: dict[str, int] = {}
    for difference in compare(at_rest=at_rest, books=[book]):
        if is_answered_for(difference):
            continue
        kind = str(difference.kind.value)
        counts[kind] = counts.get(kind, 0) + 1
        shown = by_kind.setdefault(kind, [])
        if len(shown) < conf().rows_max:
            shown.append(_row(difference))
    return [_violation(book, kind, rows, counts[kind]) for kind, rows in sorted(by_kind.items())]


def _violation(book: Book, kind: str, rows: Sequence[Mapping[str, Any]], count: int) -> Violation:
    return Violation(
        promise=PROMISES[book.object],
        check=f"{DIFFERS}{book.object}_{kind}",
        summary=SUMMARY.format(object=book.object, kind=kind.replace("_", " ")),
        rows=rows,
        count=count,
    )


def _row(difference: Difference) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(difference).items() if name not in {"provider", "object", "kind"}}


def _witnessed() -> list[Violation]:
    options = settings.PAYMENT_GATEWAY["OPTIONS"]
    client = ProviderClient(provider="payments", base_url=options["url"], api_key=options["api_key"])
    rows = list(client.request("GET", "/ledger/violations").get("violations", []))
    if not rows:
        return []
    return [
        Violation(
            promise="I13",
            check=WITNESSED,
            summary="The provider saw one key with two bodies, or two keys for one operation.",
            rows=rows[: conf().rows_max],
            count=len(rows),
        )
    ]
