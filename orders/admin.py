"""Orders for operators: read-only, with links to everything that carries the order's id."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from inventory.money import to_decimal_string

from .models import Order, OrderLine

# Changelists of the other apps, each searched by the order's id; by name only, for their models are their own.
RELATED: Sequence[tuple[str, str]] = (
    ("saga", "admin:sagas_saga_changelist"),
    ("payments", "admin:payments_payment_changelist"),
    ("shipments", "admin:shipping_shipment_changelist"),
    ("stock", "admin:inventory_reservation_changelist"),
    ("messages", "admin:outbox_outboxmessage_changelist"),
    ("notifications", "admin:notifications_notification_changelist"),
)


class LineInline(admin.TabularInline):
    model = OrderLine
    extra = 0
    can_delete = False
    max_num = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("id", "customer", "status", "reason", "total", "placed_at", "ended_at", "related")
    list_filter = ("status", "reason", "currency", "placed_at")
    list_select_related = ("customer",)
    search_fields = ("=id", "=customer__username")
    ordering = ("-id",)
    list_per_page = 50
    show_full_result_count = False
    inlines = (LineInline,)
    readonly_fields = ("total", "related")

    @admin.display(description="total")
    def total(self, order: Order) -> str:
        return f"{to_decimal_string(order.total_minor, order.currency)} {order.currency}"

    @admin.display(description="related")
    def related(self, order: Order) -> SafeString:
        return format_html_join(" · ", '<a href="{}?q={}">{}</a>', self._links(order))

    def _links(self, order: Order) -> list[tuple[str, str, str]]:
        links = []
        for label, name in RELATED:
            try:
                links.append((reverse(name), str(order.id), label))
            except NoReverseMatch:
                continue  # that app shows nothing in the admin
        return links

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
