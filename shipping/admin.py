"""Shipments and cancellations in the admin: read-only, linked to their order and to each other."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from shipping.models import Cancellation, Shipment


class _ReadOnly(admin.ModelAdmin):
    # Only says that there is a search; `get_search_results` answers it from the indexes.
    search_fields = ["id"]
    search_help_text = "An id, an order's id, a provider key or a carrier's reference, in full."
    list_filter = ["status"]
    ordering = ["-id"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(Q(pk=UUID(term)) | Q(order_id=UUID(term))), False
        except ValueError:
            return queryset.filter(Q(provider_key=term) | Q(provider_reference=term)), False

    @admin.display(description="order")
    def order(self, row: Shipment | Cancellation) -> str:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:orders_order_change", args=[row.order_id]), row.order_id
        )


@admin.register(Shipment)
class ShipmentAdmin(_ReadOnly):
    list_display = ["id", "order", "status", "tracking_number", "reason", "noted_at"]
    readonly_fields = ["order"]


@admin.register(Cancellation)
class CancellationAdmin(_ReadOnly):
    list_display = ["id", "order", "shipment", "status", "reason", "noted_at"]
    list_select_related = ["shipment"]
    readonly_fields = ["order"]
