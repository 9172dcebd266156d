"""What differs between two JSON values, place by place, for people: secrets masked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .masking import is_secret, masked, masked_text

# Stands for a value where there is none.
NOTHING = object()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place that differs; None: there is nothing on that side."""

    place: str
    was: str | None
    becomes: str | None


def differences(was: Any, becomes: Any, place: str = "") -> Iterator[Difference]:
    """Every place at which two JSON values differ, in the order of the first."""
    if isinstance(was, dict) and isinstance(becomes, dict):
        for name in [*was, *(name for name in becomes if name not in was)]:
            inner = f"{place}.{name}" if place else name
            if not is_secret(name):
                yield from differences(was.get(name, NOTHING), becomes.get(name, NOTHING), inner)
            elif was.get(name, NOTHING) != becomes.get(name, NOTHING):
                yield _secret(was.get(name, NOTHING), becomes.get(name, NOTHING), inner)
    elif isinstance(was, list) and isinstance(becomes, list):
        for number in range(max(len(was), len(becomes))):
            yield from differences(_item(was, number), _item(becomes, number), f"{place}[{number}]")
    elif type(was) is not type(becomes) or was != becomes:
        yield Difference(place=place, was=_text(was), becomes=_text(becomes))


def _secret(was: Any, becomes: Any, place: str) -> Difference:
    shown = [None if value is NOTHING else f"{masked_text(value)} (masked)" for value in (was, becomes)]
    return Difference(place=place, was=shown[0], becomes=shown[1])


def _item(values: list[Any], number: int) -> Any:
    return values[number] if number < len(values) else NOTHING


def _text(value: Any) -> str | None:
    return None if value is NOTHING else json.dumps(masked(value), ensure_ascii=False)
