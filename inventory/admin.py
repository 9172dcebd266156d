"""The catalogue and the stock for operators: read-only. Stock changes through `operations.restock`, with a reason."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from .models import Product, ProductPrice, Reservation, StockItem


class ReadOnly(admin.ModelAdmin):
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PriceInline(admin.TabularInline):
    model = ProductPrice
    extra = 0
    can_delete = False
    max_num = 0


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
class ProductAdmin(ReadOnly):
    list_display = ("sku", "name", "active")
    list_filter = ("active",)
    search_fields = ("sku", "name")
    inlines = (PriceInline,)
    ordering = ("sku",)


@admin.register(StockItem)
class StockItemAdmin(ReadOnly):
    list_display = ("sku", "on_hand", "reserved", "available")
    list_filter = (SoldOutFilter,)
    search_fields = ("sku",)
    ordering = ("sku",)

    @admin.display(description="available")
    def available(self, item: StockItem) -> int:
        return item.on_hand - item.reserved


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    list_display = ("order_id", "sku", "quantity", "state", "created_at", "ended_at")
    list_filter = ("state", "created_at")
    search_fields = ("=order_id", "=sku")
    ordering = ("-id",)
