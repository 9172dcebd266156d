"""The catalogue and the stock for operators: read-only. Stock changes through `operations.restock`, with a reason."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from outbox.read_only_admin import ReadOnlyAdmin, amount, list_link, page_link, short

from .models import Product, ProductPrice, Reservation, StockItem


class PriceInline(admin.TabularInline):
    model = ProductPrice
    extra = 0
    can_delete = False
    max_num = 0
    fields = readonly_fields = ("currency", "unit_price")

    @admin.display(description="unit price")
    def unit_price(self, price: ProductPrice) -> str:
        return amount(price.unit_price_minor, price.currency)


class SoldOutFilter(admin.SimpleListFilter):
    title = "availability"
    parameter_name = "available"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("none", "Nothing free"), ("some", "Something free")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        match self.value():
            case "none":
                return queryset.filter(on_hand=F("reserved"))
            case "some":
                return queryset.filter(on_hand__gt=F("reserved"))
        return queryset


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("sku", "name", "active", "stock")
    list_filter = ("active",)
    search_fields = ("sku",)
    search_help_text = "SKUs, in full."
    readonly_fields = ("stock",)
    inlines = (PriceInline,)
    ordering = ("sku",)

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        return not chosen

    @admin.display(description="stock")
    def stock(self, product: Product) -> SafeString | str:
        return list_link("inventory_stockitem", "stock", q=product.sku)


@admin.register(StockItem)
class StockItemAdmin(ReadOnlyAdmin):
    list_display = ("sku", "on_hand", "reserved", "available")
    list_filter = (SoldOutFilter,)
    search_fields = ("sku",)
    search_help_text = "SKUs, in full."
    ordering = ("sku",)

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # An index on what is free would be written with every reservation.
        return not chosen

    @admin.display(description="available")
    def available(self, item: StockItem) -> int:
        return item.on_hand - item.reserved


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("id", "order", "sku", "quantity", "state", "created_at", "ended_at")
    list_filter = ("state",)
    # Index one_reservation_per_order_and_sku.
    search_fields = ("order_id",)
    search_help_text = "Order ids, in full."
    fields = ("order", "sku", "quantity", "state", "created_at", "ended_at")

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # An index on the state would make every reservation cost more; those of an order have theirs.
        return not chosen

    @admin.display(description="order")
    def order(self, reservation: Reservation) -> SafeString | str:
        return page_link("orders_order", reservation.order_id, short(reservation.order_id))
