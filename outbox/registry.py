"""Event types: a payload class and its wire name.

An event is a fact in the past tense, a frozen keyword-only dataclass that lives with its producer. Its fields are named
in snake_case here and in camelCase on the wire; ids travel as strings and money as decimal strings.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, ClassVar
from uuid import UUID


class Event:
    """Base of all event payloads.

    `type` is the wire name with its version ("order.created.v1"): a new meaning is a new version, never an edited one.
    `aggregate_type` names what the event is about ("order"); messages of one aggregate stay in order (I12).
    """

    type: ClassVar[str]
    aggregate_type: ClassVar[str]

    def payload(self) -> dict[str, Any]:
        """The payload as it travels: JSON-able, camelCase."""
        return {wire_name(f.name): _wire(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]  # every subclass is a dataclass


def event_class(event_type: str) -> type[Event] | None:
    """The payload class of a wire name, or None where this process has none."""
    return next((known for known in _descendants(Event) if known.__dict__.get("type") == event_type), None)


def known_types() -> dict[str, type[Event]]:
    """The event types of this code, by wire name."""
    known: dict[str, type[Event]] = {}
    waiting: list[type[Event]] = [Event]
    while waiting:
        event = waiting.pop()
        waiting += event.__subclasses__()
        if "type" in vars(event):
            known[event.type] = event
    return dict(sorted(known.items()))


def schema_version(event_type: str) -> int:
    """The version that an event type's name carries: 1 for "order.created.v1"."""
    return int(event_type.rpartition(".v")[2])


def _descendants(base: type[Event]) -> Iterator[type[Event]]:
    for known in base.__subclasses__():
        yield known
        yield from _descendants(known)


def wire_name(name: str) -> str:
    """A field's name as it travels."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _wire(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [_wire(item) for item in value]
    if isinstance(value, dict):
        return {wire_name(key): _wire(item) for key, item in value.items()}
    return value
