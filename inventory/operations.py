"""What operators do with the catalogue and its stock: restock, and a catalogue to begin with.

Guarantee: stock changes by a guarded UPDATE and leaves an operator act with its reason in the same transaction (I10).
Not guaranteed: that a catalogue that was edited is brought back; seeding only adds what is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from outbox.acts import Person, act

from .models import Product, ProductPrice, StockItem

# Both bounds of the CHECK, so that a wrong number is an answer and not an error of the database.
RESTOCK = """
INSERT INTO inventory_stockitem AS stock (sku, on_hand, reserved) VALUES (%(sku)s, %(quantity)s, 0)
ON CONFLICT (sku) DO UPDATE SET on_hand = stock.on_hand + excluded.on_hand
WHERE stock.on_hand + excluded.on_hand >= stock.reserved
RETURNING on_hand
"""
TAKE_OFF = """
UPDATE inventory_stockitem SET on_hand = on_hand + %(quantity)s
WHERE sku = %(sku)s AND on_hand + %(quantity)s >= reserved RETURNING on_hand
"""
STOCK_MAX = 1_000_000_000_000


class RestockRefused(ValueError):
    """The product is unknown, the quantity is zero or beyond bounds, or orders have reserved what would be taken."""


@dataclass(frozen=True, kw_only=True)
class CatalogueEntry:
    """One product to begin with. Prices are integer minor units by currency."""

    sku: str
    name: str
    prices_minor: Mapping[str, int]
    on_hand: int = 1_000_000


# The sandbox reacts to some products by name (docs/sandbox.md); the others are for people to look at.
DEMO_CATALOGUE: Sequence[CatalogueEntry] = (
    CatalogueEntry(sku="WIDGET", name="Widget", prices_minor={"EUR": 999, "USD": 1_099, "JPY": 1_600, "KWD": 3_250}),
    CatalogueEntry(sku="GADGET", name="Gadget", prices_minor={"EUR": 2_450, "USD": 2_699, "JPY": 3_900}),
    CatalogueEntry(sku="GIZMO", name="Gizmo", prices_minor={"EUR": 12_900, "USD": 13_900}),
    CatalogueEntry(sku="CABLE", name="Cable, 2 m", prices_minor={"EUR": 450, "USD": 499, "JPY": 700, "KWD": 1_500}),
    CatalogueEntry(sku="LAST-ONE", name="The last one", prices_minor={"EUR": 5_000}, on_hand=1),
    CatalogueEntry(sku="SOLD-OUT", name="Sold out", prices_minor={"EUR": 1_500}, on_hand=0),
    CatalogueEntry(sku="SHIP-SLOW", name="A parcel that takes the carrier a while", prices_minor={"EUR": 1_999}),
    CatalogueEntry(sku="SHIP-HANG", name="A parcel the carrier never answers for", prices_minor={"EUR": 1_999}),
    CatalogueEntry(sku="SHIP-5XX-ONCE", name="A parcel the carrier stumbles over", prices_minor={"EUR": 1_999}),
    CatalogueEntry(sku="SHIP-DROP-REPLY", name="A parcel whose label gets lost", prices_minor={"EUR": 1_999}),
    CatalogueEntry(sku="UNSHIPPABLE", name="A parcel no carrier takes", prices_minor={"EUR": 1_999, "USD": 2_199}),
)


def restock(sku: str, quantity: int, *, who: Person, reason: str) -> int:
    """Adds to what is on hand (a negative quantity takes off what nobody has reserved); returns what is there now.

    Raises RestockRefused; ValueError without a reason.
    """
    if quantity == 0 or abs(quantity) > STOCK_MAX:
        raise RestockRefused("The quantity is zero or beyond bounds.")
    with transaction.atomic():
        if not Product.objects.filter(sku=sku).exists():
            raise RestockRefused("There is no such product.")
        with connection.cursor() as cursor:
            cursor.execute(RESTOCK if quantity > 0 else TAKE_OFF, {"sku": sku, "quantity": quantity})
            row = cursor.fetchone()
        if row is None:
            raise RestockRefused("Orders have reserved what would be taken off.")
        act(who=who, verb="restock", target=("stockitem", sku), reason=reason, quantity=quantity, on_hand=row[0])
    return int(row[0])


@transaction.atomic
def seed_catalogue(entries: Sequence[CatalogueEntry] = DEMO_CATALOGUE) -> int:
    """Adds the products, prices and stock that are missing; what is there stays as it is. Returns how many SKUs."""
    Product.objects.bulk_create([Product(sku=e.sku, name=e.name) for e in entries], ignore_conflicts=True)
    products = Product.objects.in_bulk([e.sku for e in entries], field_name="sku")
    ProductPrice.objects.bulk_create(
        [
            ProductPrice(product=products[e.sku], currency=currency, unit_price_minor=minor)
            for e in entries
            for currency, minor in e.prices_minor.items()
        ],
        ignore_conflicts=True,
    )
    StockItem.objects.bulk_create([StockItem(sku=e.sku, on_hand=e.on_hand) for e in entries], ignore_conflicts=True)
    return len(products)
