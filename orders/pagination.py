"""Pages of orders, newest first, by cursor: a page stays itself while orders come in.

Guarantee: a cursor that we did not write is a 404, never an error of the database.
"""

from uuid import UUID

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class OrderPages(CursorPagination):
    # UUIDv7: the order of the ids is the order of placing; unique, so no page repeats a row.
    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 100

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                UUID(str(cursor.position))
            except ValueError:
                raise NotFound(self.invalid_cursor_message) from None
        return cursor
