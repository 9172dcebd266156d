"""How a product of the catalogue is shown."""

from typing import Any

from rest_framework import serializers

from outbox.money import to_decimal_string


class ProductSerializer(serializers.Serializer):
    sku = serializers.CharField()
    name = serializers.CharField()
    currency = serializers.CharField()
    unit_price = serializers.SerializerMethodField(help_text='A decimal string: "9.99".')
    available = serializers.IntegerField(help_text="What no order has reserved, a moment ago.")

    def get_unit_price(self, row: Any) -> str:
        return to_decimal_string(row.unit_price_minor, row.currency)
