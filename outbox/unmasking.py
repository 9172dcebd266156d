"""What a person made of masked JSON, with the secrets that they left masked put back.

Guarantee: a secret goes back only where it came from, and no mask passes for a secret: each that cannot be told is
named, so that nothing is sent. Items of a list are told by what they look like, since people take some out and move
others; where two look alike, by their place, if the list is as long as it was. One that was changed is told by its
place, if it is the only one that was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .masking import is_mask, is_secret, masked, masked_text

# Stands for a value of which nobody knows where it came from.
NOWHERE = object()


@dataclass(frozen=True, kw_only=True)
class Unmasked:
    """JSON as it would be sent, and the places where it still holds a mask."""

    data: Any
    left_masked: Sequence[str]


def unmasked(edited: Any, original: Any) -> Unmasked:
    """What a person made of `masked(original)`, its secrets whole."""
    left: list[str] = []
    return Unmasked(data=_value(edited, original, "", left), left_masked=left)


def _value(edited: Any, original: Any, place: str, left: list[str]) -> Any:
    if isinstance(edited, dict):
        known = original if isinstance(original, dict) else {}
        return {name: _member(name, value, known.get(name, NOWHERE), place, left) for name, value in edited.items()}
    if isinstance(edited, list):
        origins = _origins(edited, original if isinstance(original, list) else [])
        return [
            _value(value, origin, f"{place}[{number}]", left)
            for number, (value, origin) in enumerate(zip(edited, origins, strict=True))
        ]
    return edited


def _member(name: str, value: Any, original: Any, place: str, left: list[str]) -> Any:
    inner = f"{place}.{name}" if place else name
    if not is_secret(name):
        return _value(value, original, inner, left)
    if original is not NOWHERE and value == masked_text(original):
        return original
    # One that is written anew may be a list or an object, with masks inside.
    left.extend(_masks(value, inner))
    return value


def _masks(secret: Any, place: str) -> list[str]:
    if isinstance(secret, dict):
        return [found for name, value in secret.items() for found in _masks(value, f"{place}.{name}")]
    if isinstance(secret, list):
        return [found for number, value in enumerate(secret) for found in _masks(value, f"{place}[{number}]")]
    return [place] if is_mask(secret) else []


def _origins(edited: list[Any], original: list[Any]) -> list[Any]:
    """For each item the one that it was, as far as that can be told."""
    looks = [masked(item) for item in original]
    return [_origin(number, edited, original, looks) for number in range(len(edited))]


def _origin(number: int, edited: list[Any], original: list[Any], looks: list[Any]) -> Any:
    is_as_long = len(edited) == len(original)
    if is_as_long and edited[number] == looks[number]:
        return original[number]
    alike = [item for item, look in zip(original, looks, strict=True) if look == edited[number]]
    if alike:
        return alike[0] if all(item == alike[0] for item in alike) else NOWHERE
    # It was changed: it is the one of its place if it is the only one that was.
    changed = [place for place, look in enumerate(looks) if not is_as_long or edited[place] != look]
    return original[number] if changed == [number] else NOWHERE
