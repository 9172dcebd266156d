"""Idempotency keys for operators: read-only, the key shortened, the stored answer and the fingerprint never shown.

This app and the outbox are siblings, so what the other admins share (outbox/read_only_admin.py) is repeated here.
"""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from . import selectors
from .models import IdempotencyKey


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):
    list_display = ("id", "caller", "method", "path", "masked_key", "status_code", "created_at", "expires_at")
    list_filter = ("method",)
    search_fields = ("key",)  # only says that there is a search; get_search_results answers it
    search_help_text = "A caller, a space and a key, in full; or a key alone, which reads the day's keys."
    fields = (
        "id", "caller", "method", "path", "masked_key", "status_code", "resource_id", "created_at", "expires_at",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

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
        return queryset.filter(key=caller) if caller else queryset, False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False
