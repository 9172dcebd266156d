"""Breakers in the admin: read-only. One row per provider: nothing to search.

This app and the outbox are siblings, so what the other admins share (outbox/read_only_admin.py) is repeated here.
"""

from django.contrib import admin
from django.http import HttpRequest

from providers.models import Breaker


@admin.register(Breaker)
class BreakerAdmin(admin.ModelAdmin):
    list_display = ["provider", "state", "failures", "trips", "opened_at", "retry_at", "reason"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Breaker | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Breaker | None = None) -> bool:
        return False
