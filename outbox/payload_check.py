"""Whether JSON that a person wrote is a payload of an event's class: every field there, none unknown, each of its type.

Guarantee: what passes has the shape that consumers of the type were written for; each objection names its place and
what is expected there. Not guaranteed: meaning. A sum that is no sum, an id of nothing: the consumer finds out.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

from .registry import Event, wire_name

SCALARS: Mapping[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
KINDS: Mapping[type, str] = {str: "a text", bool: "true or false", int: "a number", float: "a number"}


def objections(event: type[Event], payload: Any) -> list[str]:
    """What is wrong with a payload of this event, in sentences; empty when nothing is."""
    hints = get_type_hints(event)
    expected = {wire_name(field.name): hints[field.name] for field in fields(event)}  # type: ignore[arg-type]  # every subclass is a dataclass
    return list(_members(expected, payload, ""))


def _members(expected: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place or 'The payload'}: an object is expected, not {_kind(value)}."
        return
    for name in value.keys() - expected.keys():
        near = get_close_matches(name, list(expected), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(expected)}."
        yield f"{_at(place, name)}: there is no such field; {hint}"
    for name, hint in expected.items():
        if name not in value:
            yield f"{_at(place, name)}: the field is missing."
        else:
            yield from _value(hint, value[name], _at(place, name))


def _value(hint: Any, value: Any, place: str) -> Iterator[str]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        if all(any(_value(one, value, place)) for one in inner):
            yield f"{place}: {' or '.join(_expected(one) for one in inner)} is expected, not {_kind(value)}."
    elif origin in {list, tuple}:
        yield from _items(inner[0], value, place)
    elif is_typeddict(hint):
        yield from _members(get_type_hints(hint), value, place)
    elif not _fits(hint, value):
        yield f"{place}: {_expected(hint)} is expected, not {_kind(value)}."


def _items(hint: Any, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place}: a list is expected, not {_kind(value)}."
        return
    for number, item in enumerate(value):
        yield from _value(hint, item, f"{place}[{number}]")


def _fits(hint: Any, value: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is UUID:
        return _is_uuid(value)
    if hint in {int, float}:
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    if hint is type(None):
        return value is None
    plain = get_origin(hint) or hint
    return isinstance(value, plain) if isinstance(plain, type) else True


def _expected(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    return {UUID: "an id (UUID)", type(None): "null", **SCALARS}.get(hint, "an object")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return KINDS.get(type(value), "a list" if isinstance(value, list) else "an object")


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
