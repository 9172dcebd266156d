"""Reads of the catalogue and the stock, each in one query. Nothing here locks: a reading may be old when it is used."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from .models import ProductPrice, Reservation, StockItem


@dataclass(frozen=True, kw_only=True)
class Price:
    sku: str
    currency: str
    unit_price_minor: int


def prices(skus: Collection[str], currency: str) -> dict[str, Price]:
    """The unit prices of these products in this currency, by SKU; one that is not sold so is left out."""
    rows = ProductPrice.objects.filter(
        product__sku__in=list(skus), product__active=True, currency=currency
    ).values_list("product__sku", "unit_price_minor")
    return {sku: Price(sku=sku, currency=currency, unit_price_minor=minor) for sku, minor in rows}


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


def reservations_of(order_id: UUID) -> QuerySet[Reservation]:
    """An order's reservations, in SKU order."""
    return Reservation.objects.filter(order_id=order_id).order_by("sku")
