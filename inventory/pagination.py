"""Pages of the catalogue: by number, at most 100 products each. A page that is not there is a 400."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

from outbox.pagination import page_size_of

Rows = QuerySet[Any] | Sequence[Any]


class CataloguePages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 100

    def paginate_queryset(self, queryset: Rows, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            raise ValidationError({"page": ["There is no such page. Follow `next`, or begin without one."]}) from None

    def get_page_size(self, request: Request) -> int:
        return page_size_of(request, default=self.page_size, largest=self.max_page_size)
