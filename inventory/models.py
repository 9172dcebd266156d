"""The catalogue with its prices, the stock, and what orders have reserved of it.

Guarantee: Postgres refuses stock that is negative or reserved beyond what is there (I10), a second reservation of one
product for one order, and a price that is not positive.
Not guaranteed here: that `reserved` is the sum of the open reservations; services.py writes both in one transaction,
and the audit compares them.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

SKU_MAX_LENGTH = 50


class Product(models.Model):
    """Something we sell. An inactive product keeps its history and takes no new orders."""

    sku = models.CharField(max_length=SKU_MAX_LENGTH, unique=True)
    name = models.CharField(max_length=200)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(sku=""), name="a_product_has_a_sku")]

    def __str__(self) -> str:
        return self.sku


class ProductPrice(models.Model):
    """What one unit costs, in integer minor units of one currency."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="prices", db_index=False)
    currency = models.CharField(max_length=3)
    unit_price_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "currency"], name="one_price_per_product_and_currency"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="price_currency_is_a_code"),
            # The upper bound keeps 100 lines of 10,000 units inside a bigint.
            models.CheckConstraint(
                condition=Q(unit_price_minor__gt=0, unit_price_minor__lte=1_000_000_000_000),
                name="a_price_is_positive_and_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit_price_minor} {self.currency}"


class StockItem(models.Model):
    """How much of one product there is, and how much of that is promised to orders."""

    sku = models.CharField(primary_key=True, max_length=SKU_MAX_LENGTH)
    on_hand = models.BigIntegerField()
    reserved = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reserved__gte=0) & Q(reserved__lte=F("on_hand")),
                name="stock_is_never_oversold",
            )
        ]

    def __str__(self) -> str:
        return self.sku


class Reservation(models.Model):
    """One product promised to one order, until it is committed (it left the shelf) or released (it stays)."""

    class State(models.TextChoices):
        RESERVED = "reserved"
        COMMITTED = "committed"
        RELEASED = "released"

    # Which state may follow which; services.py is the only writer.
    TRANSITIONS = {
        State.RESERVED: {State.COMMITTED, State.RELEASED},
        State.COMMITTED: set(),
        State.RELEASED: set(),
    }

    order_id = models.UUIDField()
    sku = models.CharField(max_length=SKU_MAX_LENGTH)
    quantity = models.IntegerField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.RESERVED)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order_id", "sku"], name="one_reservation_per_order_and_sku"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="reservation_quantity_is_positive"),
            models.CheckConstraint(
                condition=Q(state="reserved", ended_at__isnull=True)
                | Q(state__in=["committed", "released"], ended_at__isnull=False),
                name="reservation_has_an_end_if_and_only_if_it_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku} for {self.order_id}"
