"""Serializer fields that take a value as it was meant or not at all: no "1" for 1, no true for 1, no float for money.

Guarantee: what a field returns has exactly the JSON type that the documentation names.
Not guaranteed: control characters and depth; the parser has refused those before.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers

from outbox.money import MoneyError, to_minor_units


class StrictText(serializers.CharField):
    """A JSON string that matches a pattern; never a number that becomes one."""

    default_error_messages = {"pattern": "Not acceptable: {expected}."}

    def __init__(self, *, pattern: str, expected: str, **options: Any) -> None:
        self.pattern = re.compile(pattern, re.ASCII)
        self.expected = expected
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if self.pattern.fullmatch(data) is None:
            self.fail("pattern", expected=self.expected)
        return data


class StrictInteger(serializers.IntegerField):
    """A JSON integer; never a string, a boolean or a float."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class AmountText(serializers.CharField):
    """A decimal string of money. Its currency stands elsewhere in the body, so `in_minor_units` finishes the check."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError('An amount is a string with a decimal number, for example "9.99".')
        return data


def in_minor_units(amount: str, currency: str) -> int:
    """The amount in minor units. Raises ValidationError."""
    try:
        return to_minor_units(amount, currency)
    except MoneyError as error:
        raise serializers.ValidationError(str(error)) from error


def refuse_unknown_fields(data: Any, known: Mapping[str, Any]) -> None:
    """A field that nobody reads is a misunderstanding: ValidationError, with the nearest known name."""
    if not isinstance(data, Mapping):
        return
    unknown = [name for name in data if name not in known]
    if unknown:
        raise serializers.ValidationError({name: [_unknown(name, known)] for name in unknown})


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    nearest = get_close_matches(name[:100], known, n=1, cutoff=0.0)
    return f"Unknown field. Did you mean {nearest[0]!r}?" if nearest else "Unknown field."
