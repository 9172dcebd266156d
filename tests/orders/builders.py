"""Orders for tests, placed as the API places them."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from uuid_utils.compat import uuid7

from orders import services
from orders.models import Order


def customer(username: str = "ann", **options: Any) -> User:
    user, _ = User.objects.get_or_create(username=username, defaults=options)
    return user


def place(user: User, *items: tuple[str, int], **options: Any) -> Order:
    """An order of these (sku, quantity); one WIDGET unless told."""
    wanted = [services.ItemRequest(sku=sku, quantity=quantity) for sku, quantity in items or [("WIDGET", 1)]]
    settings = {"currency": "EUR", "payment_method": "tok_ok", **options}
    order_id: UUID = settings.pop("order_id", None) or uuid7()
    return services.place_order(order_id=order_id, customer_id=user.pk, items=wanted, **settings).order
