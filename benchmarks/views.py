"""What POST /orders is compared to: REST framework's own way to save an order and its lines, and nothing else.

The same authentication, middleware and tables as ours. It promises nothing: no idempotency, no message, no server-side
price, no strict parsing, no stored answer.
"""

from typing import Any

from django.db import transaction
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.models import Order, OrderLine
from orders.views import customer_id_of


class BareLine(serializers.Serializer):
    sku = serializers.CharField(max_length=50)
    quantity = serializers.IntegerField(min_value=1)
    unit_price_minor = serializers.IntegerField(min_value=1)


class BareOrder(serializers.Serializer):
    id = serializers.UUIDField(read_only=True)
    status = serializers.CharField(read_only=True)
    currency = serializers.CharField(max_length=3)
    total_minor = serializers.IntegerField(read_only=True)
    items = BareLine(many=True, source="rows")


class BareOrders(APIView):
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    throttle_classes = ()

    def post(self, request: Request) -> Response:
        wanted = BareOrder(data=request.data)
        wanted.is_valid(raise_exception=True)
        items = wanted.validated_data["rows"]
        with transaction.atomic():
            order = _save(request, wanted.validated_data["currency"], items)
        order.rows = items
        return Response(BareOrder(order).data, status=201)


def _save(request: Request, currency: str, items: list[dict[str, Any]]) -> Any:
    order = Order.objects.create(
        customer_id=customer_id_of(request),
        currency=currency,
        total_minor=sum(item["quantity"] * item["unit_price_minor"] for item in items),
        payment_method="tok_ok",
    )
    OrderLine.objects.bulk_create(
        [OrderLine(order=order, line_total_minor=item["quantity"] * item["unit_price_minor"], **item) for item in items]
    )
    return order
