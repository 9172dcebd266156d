"""What the schema says about orders beside their bodies: the key, and the problems each route may answer."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

PROBLEM_MEDIA_TYPE = "application/problem+json"

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="1 to 255 printable characters, in double quotes or bare. A repetition with the same key and body gets"
    " the first answer, byte for byte, with `Idempotent-Replay: true`. Without a key a retry is not protected.",
)


ORDER_FORM = OpenApiExample(
    "An order",
    value={"currency": "EUR", "items": [{"sku": "WIDGET", "quantity": 3}], "payment_method": "tok_ok"},
    request_only=True,
)
ONE_ITEM_FORM = OpenApiExample(
    "One product, at the price you expect",
    value={"sku": "WIDGET", "quantity": 1, "unit_price": "9.99", "currency": "EUR"},
    request_only=True,
)


class FaultSerializer(serializers.Serializer):
    detail = serializers.CharField()
    pointer = serializers.CharField(help_text="A JSON pointer into the body: `#/items/0/quantity`.")


class ProblemSerializer(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    errors = FaultSerializer(many=True, required=False)  # type: ignore[assignment]  # RFC 9457 member, not DRF's


def staff_see_what_owners_see(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A timeline for staff is one for its owner with more in it, so it fits both: any of them, not exactly one."""
    timeline = result["components"]["schemas"].get("OrderTimeline", {})
    if "oneOf" in timeline:
        timeline["anyOf"] = timeline.pop("oneOf")
    return result


def problems(**descriptions: str) -> dict[tuple[int, str], OpenApiResponse]:
    """The problem answers of a route: `problems(s404="…")`, and those that every route has."""
    always = {"s401": "Not authenticated.", "s429": "Too many requests.", "s503": "Postgres cannot answer: retry."}
    return {
        (int(status[1:]), PROBLEM_MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=text)
        for status, text in {**always, **descriptions}.items()
    }
