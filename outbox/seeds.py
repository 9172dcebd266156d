"""Events that nobody caused, to try the way with: valid, about aggregates that do not exist, and marked.

Guarantee: each carries `seeded` in its headers, so that who looks can tell it from what happened; each is the first
event of an aggregate of its own. Not guaranteed: that its consumers can do something with it: an order that does not
exist is fulfilled by nobody, and its message ends dead and says so.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db import transaction

from . import context
from .publisher import Publication, publish_all
from .registry import Event

HEADER = "seeded"
BATCH_SIZE = 500
# A field's value by what its name ends with; the first that fits. Customers are users' ids: none has this one.
BY_NAME = {"customer_id": "0", "amount": "9.99", "currency": "EUR", "product_id": "WIDGET"}


def seed(event: type[Event], count: int) -> Iterator[int]:
    """Publishes so many, in batches with a commit each; yields the size of each batch that is committed."""
    for start in range(0, count, BATCH_SIZE):
        size = min(BATCH_SIZE, count - start)
        with context.marked(**{HEADER: "true"}), transaction.atomic():
            publish_all([_publication(event) for _ in range(size)])
        yield size


def example(event: type[Event], aggregate_id: UUID) -> Event:
    """A valid event of that type about that aggregate."""
    kinds = get_type_hints(event)
    own_id = f"{event.aggregate_type}_id"
    values = {
        one.name: _plain(aggregate_id, kinds[one.name]) if one.name == own_id else _value(one.name, kinds[one.name])
        for one in fields(event)  # type: ignore[arg-type]  # every subclass is a dataclass
    }
    return event(**values)


def _publication(event: type[Event]) -> Publication:
    aggregate_id = uuid_utils.uuid7()
    return Publication(
        event=example(event, aggregate_id), aggregate_id=aggregate_id, sequence=1, correlation_id=aggregate_id
    )


def _value(name: str, kind: Any) -> Any:
    if get_origin(kind) is list:
        return [_value(name, get_args(kind)[0])]
    if is_typeddict(kind):
        return {key: _value(_snake(key), of) for key, of in get_type_hints(kind).items()}
    if kind is int:
        return 1
    for ending, value in BY_NAME.items():
        if name.endswith(ending) and kind is str:
            return value
    return _plain(uuid_utils.uuid7(), kind) if kind is UUID or name.endswith("_id") else "seeded"


def _plain(identity: UUID, kind: Any) -> Any:
    return identity if kind is UUID else str(identity)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
