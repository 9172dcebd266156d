"""Serializer fields that take a value as it was meant or not at all: no "1" for 1, no true for 1, no float for money.

Guarantee: what a field returns has exactly the JSON type that the documentation names.
Not guaranteed: control characters and depth; the parser has refused those before.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, cast

from rest_framework import serializers

from outbox.money import MoneyError, to_minor_units


class StrictText(serializers.CharField):
    """A JSON string that matches a pattern; never a number that becomes one."""

    default_error_messages = {"invalid": "Not a JSON string.", "pattern": "Not acceptable: {expected}."}

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

    default_error_messages = {"invalid": "Not a JSON integer."}

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


class StrictBody(serializers.Serializer):
    """A JSON object of known fields. All that is wrong with it is told at once, unknown fields among it."""

    # Names that a client may know from an answer: what they hold is decided here.
    set_by_server: ClassVar[frozenset[str]] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        unknown = self._unknown(data) if isinstance(data, Mapping) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            known = cast(dict[str, Any], error.detail)
            raise serializers.ValidationError({**known, **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, data: Mapping[Any, Any]) -> dict[str, list[str]]:
        """A field that nobody reads is a misunderstanding."""
        return {str(name): [self._hint(str(name))] for name in data if name not in self.fields}

    def _hint(self, name: str) -> str:
        if name in self.set_by_server:
            return "Set by the server: leave it out."
        known = list(self.fields)
        if nearest := get_close_matches(name[:100], known, n=1):
            return f"Unknown field. Did you mean {nearest[0]!r}?"
        return f"Unknown field. There are {', '.join(known)}."
