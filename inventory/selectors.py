"""Reads of the catalogue and the stock, each in one query. Nothing here locks: a reading may be old when it is used."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from .models import ProductPrice, Reservation, StockItem


@dataclass(frozen=True, kw_only=True)
class Price:
    sku: str
    currency: str
    unit_price_minor: int


# Unique indexes on sku, and on (product, currency). In plain SQL because every POST /orders waits for it.
PRICES = """
SELECT product.sku, price.unit_price_minor
FROM inventory_product product JOIN inventory_productprice price ON price.product_id = product.id
WHERE product.sku = ANY(%s) AND product.active AND price.currency = %s
"""


def prices(skus: Collection[str], currency: str) -> dict[str, Price]:
    """The unit prices of these products in this currency, by SKU; one that is not sold so is left out."""
    with connection.cursor() as cursor:
        cursor.execute(PRICES, [list(skus), currency])
        return {sku: Price(sku=sku, currency=currency, unit_price_minor=minor) for sku, minor in cursor.fetchall()}


def catalogue(*, currency: str | None = None) -> QuerySet[ProductPrice]:
    """What can be ordered: a row per active product and currency, with `sku`, `name`, `available`; in SKU order."""
    available = StockItem.objects.filter(sku=OuterRef("product__sku")).annotate(free=F("on_hand") - F("reserved"))
    rows = ProductPrice.objects.filter(product__active=True)
    if currency is not None:
        rows = rows.filter(currency=currency)
    return rows.annotate(
        sku=F("product__sku"),
        name=F("product__name"),
        available=Coalesce(Subquery(available.values("free")), 0),
    ).order_by("product__sku", "currency")


def reservations_of(order_id: UUID) -> list[Reservation]:
    """What an order has, or had, reserved, in SKU order. Index one_reservation_per_order_and_sku."""
    return list(Reservation.objects.filter(order_id=order_id).order_by("sku"))
