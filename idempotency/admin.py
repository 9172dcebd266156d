"""Idempotency keys for operators: read-only, the key shortened, the stored answer and the fingerprint never shown.

This app and the outbox are siblings, so what the other admins share (outbox/read_only_admin.py) is repeated here.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from . import selectors
from .models import IdempotencyKey

COUNTED_ROWS_MAX = 10_000


class BoundedPaginator(Paginator):
    """Pages that count no further than `COUNTED_ROWS_MAX`: beyond it, a search is the way."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.values("pk")[:COUNTED_ROWS_MAX].count())


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):
    list_display = ("id", "caller", "method", "path", "masked_key", "status_code", "created_at", "expires_at")
    search_fields = ("key",)  # only says that there is a search; get_search_results answers it
    search_help_text = "A caller, a space and a key, in full; or the id of a use, or of what it made (an order)."
    fields = (
        "id", "caller", "method", "path", "masked_key", "status_code", "resource_id", "created_at", "expires_at",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    @admin.display(description="key")
    def masked_key(self, use: IdempotencyKey) -> str:
        return selectors.masked_key(use.key)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[IdempotencyKey], search_term: str
    ) -> tuple[QuerySet[IdempotencyKey], bool]:
        caller, separator, key = search_term.strip().partition(" ")
        if separator:
            # Index one_use_per_caller_key_and_route.
            return queryset.filter(caller=caller, key=key), False
        return (queryset.filter(pk__in=_by_id(request, caller)) if caller else queryset), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False


def _by_id(request: HttpRequest, word: str) -> list[UUID]:
    """The uses that an id names. A key without its caller names none: it would be looked for in every row."""
    try:
        identity = UUID(word)
    except ValueError:
        messages.warning(request, "A key is found with its caller only: a caller, a space and the key.")
        return []
    made = selectors.use_that_made(identity)
    return [identity, made.pk] if made else [identity]
