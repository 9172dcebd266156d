"""Idempotency keys for operators: read-only, the key shortened, the stored answer and the fingerprint never shown."""

from django.contrib import admin
from django.http import HttpRequest

from .models import IdempotencyKey

SHOWN_CHARACTERS = 8


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):
    list_display = ("id", "caller", "method", "path", "masked_key", "status_code", "created_at", "expires_at")
    list_filter = ("method", "status_code", "created_at")
    search_fields = ("=key", "=resource_id", "=caller")
    fields = (
        "id", "caller", "method", "path", "masked_key", "status_code", "resource_id", "created_at", "expires_at",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    list_per_page = 50
    show_full_result_count = False

    @admin.display(description="key")
    def masked_key(self, use: IdempotencyKey) -> str:
        """Enough to recognise a key that somebody quotes, not enough to use it."""
        return use.key if len(use.key) <= SHOWN_CHARACTERS else f"{use.key[:SHOWN_CHARACTERS]}…"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False
