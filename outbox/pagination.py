"""Pages of lists, newest first, 50 rows each, by cursor: a page stays itself while rows come in.

Guarantee: a cursor that we did not write, or a page size out of bounds, is a 400, never an error of the database and
never another page than the one that was asked for.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from . import selectors
from .models import InboxMessage

PAGE_SIZE = 50


class NewestFirst(CursorPagination):
    """By the primary key: a UUIDv7, so the order of the keys is the order of writing, and no page repeats a row."""

    ordering = "-pk"
    page_size = PAGE_SIZE

    def decode_cursor(self, request: Request) -> Cursor | None:
        if not request.query_params.get(self.cursor_query_param):
            return None
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise not_our_cursor() from None
        if cursor is not None and not _is_ours(cursor):
            raise not_our_cursor()
        return cursor


def not_our_cursor() -> ValidationError:
    return ValidationError({"cursor": ["This is no cursor of this list. Follow `next`, or begin without a cursor."]})


def page_size_of(request: Request, *, default: int, largest: int) -> int:
    """How many rows a page has: `page_size` of the address. Raises ValidationError."""
    text = request.query_params.get("page_size")
    if text is None:
        return default
    # int() would take "1_0", spaces and other scripts' digits.
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= largest:
        return int(text)
    raise ValidationError({"page_size": [f"A page has 1 to {largest} rows."]})


class InboxPages:
    """Forward pages of the inbox, whose key is two columns: the cursor is the last row's message id and consumer."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def read(self, *, consumer: str | None, message_id: UUID | None) -> list[InboxMessage]:
        """This page's rows, and one more if there is another page."""
        text = self.request.query_params.get("cursor")
        below = _decoded(text) if text else None
        return selectors.inbox_page(consumer=consumer, message_id=message_id, below=below, limit=PAGE_SIZE + 1)

    def answer(self, rows: Sequence[InboxMessage], data: Any) -> Response:
        return Response({"next": self._next(rows), "previous": None, "results": data})

    def _next(self, rows: Sequence[InboxMessage]) -> str | None:
        if len(rows) <= PAGE_SIZE:
            return None
        last = rows[PAGE_SIZE - 1]
        cursor = urlsafe_b64encode(f"{last.message_id} {last.consumer}".encode()).decode()
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)


def _is_ours(cursor: Cursor) -> bool:
    if cursor.position is None:
        # "The last page" back from an empty one. Forwards, REST framework would show the first page again.
        return bool(cursor.reverse)
    try:
        UUID(str(cursor.position))
    except ValueError:
        return False
    return True


def _decoded(cursor: str) -> tuple[UUID, str]:
    try:
        message_id, consumer = urlsafe_b64decode(cursor.encode("ascii")).decode().split(" ")
        return UUID(message_id), consumer.replace("\x00", "")
    except ValueError:  # UnicodeError and binascii.Error are ValueErrors
        raise not_our_cursor() from None
