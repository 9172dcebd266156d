"""StrictJSONParser: the only way a body enters the API.

Guarantee: what a view sees is UTF-8 JSON of at most `REQUEST_BODY_MAX_BYTES` and `REQUEST_JSON_MAX_DEPTH`, with unique
keys, finite numbers and texts free of control characters and lone surrogates; everything else is a 4xx.
A body that arrived shorter than its Content-Length is a 400 even where what arrived happens to be JSON.
It does not guarantee any shape: serializers do.
"""

import codecs
import functools
import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.http.request import UnreadablePostError
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from orders_project.problem_details import Problem, pointer_below
from orders_project.problem_sources import BodyTooLarge, MalformedRequest

_UTF_8 = ("", "utf-8", "utf8")
# C0, DEL, C1 and surrogates: no field of this API has a use for them, and Postgres refuses NUL with an error.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    media_type = "application/json"
    # What the browsable API's form writes its first content with.
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request = (parser_context or {}).get("request")
        if request is None:
            return loads(_read(stream))
        _check_encoding(request.META.get("HTTP_CONTENT_ENCODING", ""), media_type or "")
        body = _read(stream)
        _check_length(body, request.META.get("CONTENT_LENGTH") or "")
        return loads(body)


def loads(body: bytes) -> Any:
    """The value of one strict JSON text. Raises an API exception of 400."""
    value = _decode(body)
    _check_values(value)
    return value


def _read(stream: IO[Any]) -> bytes:
    limit = settings.REQUEST_BODY_MAX_BYTES
    try:
        body: bytes = stream.read(limit + 1)
    except UnreadablePostError as error:
        raise MalformedRequest("The body ended before its Content-Length.") from error
    if len(body) > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    return body


def _check_length(body: bytes, announced: str) -> None:
    """A client that is cut off sends less than it announced: half an order is not the order it meant."""
    if announced.isdecimal() and len(body) < int(announced):
        raise MalformedRequest("The body ended before its Content-Length.")


def _check_encoding(content_encoding: str, media_type: str) -> None:
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]*)", media_type, re.IGNORECASE)
    if content_encoding.lower() not in ("", "identity") or (charset and charset[1].lower() not in _UTF_8):
        raise UnsupportedMediaType(media_type, detail="Send plain UTF-8: no Content-Encoding, no other charset.")


def _decode(body: bytes) -> Any:
    if body.startswith(codecs.BOM_UTF8):
        raise ParseError("The body starts with a byte order mark.")
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8: byte {error.start}.") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        # Positions are safe to tell; the text around them could be somebody's data.
        raise ParseError(f"The body is not JSON: {_reason(error)}.") from error


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        # Some of Python's messages end in the word that comes next.
        return f"{error.msg.lower().removesuffix(' at')} at line {error.lineno}, column {error.colno}"
    return "a number has too many digits"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ParseError(f"The key {ascii(twice)[:60]} stands twice in one object.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ParseError("A number is too large.")
    return value


def _too_deep() -> APIException:
    return ParseError(f"The body is nested deeper than {settings.REQUEST_JSON_MAX_DEPTH} levels.")


def _check_values(root: Any) -> None:
    """One walk over every key and text, without recursion, so that depth is our limit and not the interpreter's."""
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(root, ())]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, str):
            _check_text(value, place)
        elif isinstance(value, (dict, list)):
            if len(place) >= settings.REQUEST_JSON_MAX_DEPTH:
                raise _too_deep()
            waiting.extend(_children(value, place))


def _children(value: dict[str, Any] | list[Any], place: tuple[Any, ...]) -> list[tuple[Any, tuple[Any, ...]]]:
    if isinstance(value, list):
        return [(inner, (*place, index)) for index, inner in enumerate(value)]
    for key in value:
        _check_text(key, place)
    return [(inner, (*place, key)) for key, inner in value.items()]


def _check_text(text: str, place: tuple[Any, ...]) -> None:
    if _FORBIDDEN.search(text):
        raise Problem(
            "malformed-body",
            detail="A text holds a control character or half a character.",
            errors=[{"detail": "Control characters and lone surrogates are refused.", "pointer": _pointer_to(place)}],
        )


def _pointer_to(place: tuple[Any, ...]) -> str:
    return functools.reduce(pointer_below, place, "#")
