"""Products and stock for tests, and readings of what became of them."""

from uuid import UUID

from inventory.models import Product, ProductPrice, Reservation, StockItem


def stocked(sku: str, on_hand: int, *, reserved: int = 0, **prices_minor: int) -> StockItem:
    """A product with its stock; prices by currency, 9.99 EUR unless told."""
    product = Product.objects.create(sku=sku, name=sku.title())
    for currency, minor in (prices_minor or {"EUR": 999}).items():
        ProductPrice.objects.create(product=product, currency=currency, unit_price_minor=minor)
    return StockItem.objects.create(sku=sku, on_hand=on_hand, reserved=reserved)


def stock(sku: str) -> tuple[int, int]:
    """(on hand, reserved)"""
    return StockItem.objects.values_list("on_hand", "reserved").get(sku=sku)


def reservations(order_id: UUID) -> dict[str, tuple[int, str]]:
    """{sku: (quantity, state)}"""
    rows = Reservation.objects.filter(order_id=order_id).values_list("sku", "quantity", "state")
    return {sku: (quantity, state) for sku, quantity, state in rows}
