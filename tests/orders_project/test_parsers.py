"""StrictJSONParser: what it reads, and how it refuses the rest."""

import io
import json
from contextlib import suppress
from types import SimpleNamespace

import pytest
from django.http.request import UnreadablePostError
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType

from orders_project.parsers import StrictJSONParser, loads
from orders_project.problem_details import Problem
from orders_project.problem_sources import MalformedRequest


def parse(body: bytes, *, media_type="application/json", content_encoding="") -> object:
    request = SimpleNamespace(META={"HTTP_CONTENT_ENCODING": content_encoding})
    return StrictJSONParser().parse(io.BytesIO(body), media_type, {"request": request})


def refusal(body: bytes) -> APIException:
    with pytest.raises(APIException) as caught:
        parse(body)
    return caught.value


def test_plain_json_is_read_as_it_is():
    assert parse('{"items": [{"sku": "Größe", "quantity": 3}], "x": null, "y": 1.5}'.encode()) == {
        "items": [{"sku": "Größe", "quantity": 3}],
        "x": None,
        "y": 1.5,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "a": 2}}]',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\n"}',
        b'{"a": "\\u007f"}',
        b'{"a": "\x00"}',
    ],
)
def test_a_body_that_is_not_strict_json_is_a_400(body):
    assert refusal(body).status_code == 400


def test_a_control_character_is_pointed_at():
    problem = refusal(b'{"items": [{"sku": "A"}, {"a/b": "x\\u0000"}]}')
    assert isinstance(problem, Problem)
    assert [fault["pointer"] for fault in problem.errors] == ["#/items/1/a~1b"]


def test_twenty_levels_are_read_and_one_more_is_refused():
    assert loads(b"[" * 20 + b"]" * 20)
    assert refusal(b"[" * 21 + b"]" * 21).status_code == 400


def test_a_body_made_of_brackets_is_refused_without_a_recursion_error():
    assert refusal(b"[" * 65_000).status_code == 400
    assert refusal(b'{"a":' * 10_000 + b"1" + b"}" * 10_000).status_code == 400


def test_the_largest_body_is_read_and_one_byte_more_is_a_413(settings):
    settings.REQUEST_BODY_MAX_BYTES = 10
    assert parse(b'"12345678"') == "12345678"
    assert refusal(b'"123456789"').status_code == 413


def test_a_body_that_ends_too_early_is_a_400():
    class Broken(io.BytesIO):
        def read(self, size=-1, /):
            raise UnreadablePostError("gone")

    with pytest.raises(APIException) as caught:
        StrictJSONParser().parse(Broken())
    assert caught.value.status_code == 400


def parse_announced(body: bytes, announced: str) -> object:
    request = SimpleNamespace(META={"CONTENT_LENGTH": announced})
    return StrictJSONParser().parse(io.BytesIO(body), "application/json", {"request": request})


@pytest.mark.parametrize("announced", ["14", "100"])
def test_json_that_arrived_short_of_its_length_is_never_taken_for_the_whole(announced: str):
    with pytest.raises(MalformedRequest, match="Content-Length"):
        parse_announced(b'{"a": [1, 2]}', announced)


@pytest.mark.parametrize("announced", ["13", ""])
def test_json_of_its_announced_length_or_of_none_is_read(announced: str):
    assert parse_announced(b'{"a": [1, 2]}', announced) == {"a": [1, 2]}


@pytest.mark.parametrize("body", [b'{"a": "\n"}', b'{"a": "', b"{", b"\x00"])
def test_a_refusal_of_json_says_no_word_twice(body: bytes):
    assert " at at " not in str(refusal(body).detail)


@pytest.mark.parametrize("media_type", ["application/json; charset=latin-1", 'application/json; charset="utf-16"'])
def test_another_charset_is_a_415(media_type):
    with pytest.raises(UnsupportedMediaType):
        parse(b"{}", media_type=media_type)


def test_a_named_utf_8_is_read():
    assert parse(b"{}", media_type='application/json; charset="UTF-8"') == {}


def test_a_compressed_body_is_a_415():
    with pytest.raises(UnsupportedMediaType):
        parse(b"{}", content_encoding="gzip")


@given(st.binary(max_size=300))
def test_whatever_bytes_arrive_the_answer_is_a_value_or_a_4xx(body):
    with suppress(ParseError, Problem):
        parse(body)


_TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_every_clean_value_survives(value):
    assert loads(json.dumps(value).encode()) == value
