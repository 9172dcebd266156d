"""The order's bodies: what a client may send, strictly, and what it gets.

Guarantee: an unknown field, a wrong type, a double product or a number out of bounds is a 400 that points at it.
Not guaranteed: that a product exists and costs what the client thinks; place_order decides that.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from outbox.money import EXPONENTS, to_decimal_string

from .fields import AmountText, StrictBody, StrictInteger, StrictText, in_minor_units
from .models import PAYMENT_METHOD_MAX_LENGTH, SKU_MAX_LENGTH, Order, OrderLine
from .openapi import ONE_ITEM_FORM, ORDER_FORM
from .selectors import OrderState
from .services import ItemRequest

SKU_PATTERN = rf"[A-Za-z0-9][A-Za-z0-9._/-]{{0,{SKU_MAX_LENGTH - 1}}}"
SKU_EXPECTED = f"a SKU has at most {SKU_MAX_LENGTH} letters, digits, dots, slashes, hyphens and underscores"
TOKEN_PATTERN = rf"[\x21-\x7e]{{1,{PAYMENT_METHOD_MAX_LENGTH}}}"
TOKEN_EXPECTED = f"a payment method is a token of 1 to {PAYMENT_METHOD_MAX_LENGTH} printable characters"
CURRENCY_EXPECTED = f"Not a currency we know: there are {', '.join(sorted(EXPONENTS))}."
SET_BY_SERVER = frozenset(
    (
        "id", "status", "reason", "total", "placed_at", "created_at", "ended_at", "cancel_requested_at", "fulfilment",
        "payment", "shipment", "customer", "customer_id", "user",
    )
)  # fmt: skip


class ItemSerializer(StrictBody):
    default_error_messages = {"invalid": "An item is a JSON object."}

    sku = StrictText(pattern=SKU_PATTERN, expected=SKU_EXPECTED)
    quantity = StrictInteger(min_value=1, max_value=settings.ORDER_LINE_MAX_QUANTITY)
    unit_price = AmountText(required=False, help_text="The price you expect; another one is a 409 `price-changed`.")


@extend_schema_serializer(examples=[ORDER_FORM, ONE_ITEM_FORM])
class PlaceOrderSerializer(StrictBody):
    """`items`, or one item's fields right here."""

    default_error_messages = {"invalid": "The body is a JSON object."}
    set_by_server = SET_BY_SERVER

    currency = serializers.ChoiceField(
        choices=sorted(EXPONENTS), required=False, error_messages={"invalid_choice": CURRENCY_EXPECTED}
    )
    payment_method = StrictText(pattern=TOKEN_PATTERN, expected=TOKEN_EXPECTED, required=False)
    items = ItemSerializer(
        many=True,
        required=False,
        allow_empty=False,
        max_length=settings.ORDER_MAX_LINES,  # type: ignore[call-arg]  # the list's own option
        error_messages={
            "not_a_list": "Not a JSON array of items.",
            "empty": "An order has at least one item.",
            "max_length": "An order has at most {max_length} items.",
        },
    )
    sku = StrictText(pattern=SKU_PATTERN, expected=SKU_EXPECTED, required=False)
    quantity = StrictInteger(min_value=1, max_value=settings.ORDER_LINE_MAX_QUANTITY, required=False)
    unit_price = AmountText(required=False)

    def get_initial(self) -> dict[str, Any]:
        """What the browsable API's form begins with: a body that the server takes."""
        return dict(ORDER_FORM.value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        currency = attrs.get("currency") or settings.ORDER_DEFAULT_CURRENCY
        given = _one_form(attrs)
        faults = _doubles(given)
        items = []
        for index, item in enumerate(given):
            try:
                items.append(_item(item, currency))
            except serializers.ValidationError as error:
                faults.setdefault(index, {})["unit_price"] = error.detail
        if faults:
            raise serializers.ValidationError(
                {"items": {str(index): fault for index, fault in faults.items()}} if "items" in attrs else faults[0]
            )
        payment_method = attrs.get("payment_method") or settings.ORDER_DEFAULT_PAYMENT_METHOD
        return {"currency": currency, "payment_method": payment_method, "items": items}


class LineSerializer(serializers.Serializer):
    sku = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = serializers.CharField()


class FulfilmentSerializer(serializers.Serializer):
    step = serializers.CharField(allow_null=True, help_text="Null until the fulfilment has begun.")
    direction = serializers.ChoiceField(choices=["forward", "backward"])


class PaymentSerializer(serializers.Serializer):
    status = serializers.CharField()
    amount = serializers.CharField()
    refunded = serializers.CharField()
    currency = serializers.CharField()


class ShipmentSerializer(serializers.Serializer):
    status = serializers.CharField()
    tracking_number = serializers.CharField(allow_null=True)


class OrderSerializer(serializers.Serializer):
    """An order as its owner sees it. The fields document the shape; one function writes it, for speed."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Order.Status.choices)
    reason = serializers.CharField(allow_null=True, help_text="Why it was rejected or cancelled.")
    currency = serializers.CharField()
    total = serializers.CharField(help_text='A decimal string: "29.97".')
    items = LineSerializer(many=True)
    placed_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    fulfilment = FulfilmentSerializer()
    payment = PaymentSerializer(allow_null=True)
    shipment = ShipmentSerializer(allow_null=True)

    def to_representation(self, instance: OrderState) -> dict[str, Any]:
        order = instance.order
        return {
            "id": str(order.id),
            "status": order.status,
            "reason": order.reason or None,
            "currency": order.currency,
            "total": to_decimal_string(order.total_minor, order.currency),
            "items": [_line(line, order.currency) for line in instance.lines],
            "placed_at": order.placed_at,
            "ended_at": order.ended_at,
            "cancel_requested_at": order.cancel_requested_at,
            "fulfilment": {"step": instance.step, "direction": instance.direction},
            "payment": instance.payment,
            "shipment": instance.shipment,
        }


def _line(line: OrderLine, currency: str) -> dict[str, Any]:
    return {
        "sku": line.sku,
        "quantity": line.quantity,
        "unit_price": to_decimal_string(line.unit_price_minor, currency),
    }


def _one_form(attrs: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The items, whichever way they were sent."""
    single = {name: attrs[name] for name in ("sku", "quantity", "unit_price") if name in attrs}
    if "items" in attrs:
        if single:
            raise serializers.ValidationError({name: ["Send this inside items, or no items."] for name in single})
        return attrs["items"]
    if not single:
        raise serializers.ValidationError({"items": ["Send items; or sku and quantity, for one product."]})
    if missing := [name for name in ("sku", "quantity") if name not in single]:
        raise serializers.ValidationError({name: ["This field is required."] for name in missing})
    return [single]


def _doubles(items: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """By index: each item whose product stands in an earlier one already."""
    first: dict[str, int] = {}
    faults: dict[int, dict[str, Any]] = {}
    for index, item in enumerate(items):
        earlier = first.setdefault(item["sku"], index)
        if earlier != index:
            faults[index] = {"sku": [f"The same product stands in item {earlier}: add up the quantities."]}
    return faults


def _item(item: Mapping[str, Any], currency: str) -> ItemRequest:
    """Raises ValidationError about the unit price."""
    expected = in_minor_units(item["unit_price"], currency) if "unit_price" in item else None
    return ItemRequest(sku=item["sku"], quantity=item["quantity"], expected_price_minor=expected)


def at(index: int | None, name: str, messages: Any) -> dict[str, Any]:
    """Where a message about one item belongs: beneath `items`, or at the top in the one-item form (None)."""
    return {name: messages} if index is None else {"items": {str(index): {name: messages}}}
