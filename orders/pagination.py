"""Pages of orders, newest first, by cursor: a page stays itself while orders come in.

Guarantee: a cursor that we did not write, or a page size out of bounds, is a 400, never an error of the database.
"""

from rest_framework.request import Request

from outbox.pagination import NewestFirst, page_size_of


class OrderPages(NewestFirst):
    # UUIDv7: the order of the ids is the order of placing; unique, so no page repeats a row.
    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 100

    def get_page_size(self, request: Request) -> int:
        return page_size_of(request, default=self.page_size, largest=self.max_page_size)
