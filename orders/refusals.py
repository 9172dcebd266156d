"""The services' refusals as answers of the API: which problem, and where in the body its cause stands."""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.exceptions import APIException, ValidationError

from outbox.money import to_decimal_string

from .exceptions import CancelUndecided, OrderAlreadyEnded, PricesDiffer, UnknownProducts
from .serializers import at


class PriceChanged(APIException):
    status_code = 409
    default_code = "price_changed"
    default_detail = "The catalogue's price is not the one you expect."

    def __init__(self, errors: Sequence[dict[str, str]]) -> None:
        super().__init__()
        self.errors = list(errors)


class AlreadyEnded(APIException):
    status_code = 409
    default_code = "order_already_ended"


class Undecided(APIException):
    status_code = 503
    default_code = "service_unavailable"
    headers = {"Retry-After": "1"}


def undecided(refusal: CancelUndecided) -> APIException:
    return Undecided(refusal.__doc__)


def already_ended(refusal: OrderAlreadyEnded) -> APIException:
    return AlreadyEnded(f"The order is {refusal.status} and cannot be cancelled any more.")


def unknown_products(refusal: UnknownProducts, body: Mapping[str, Any], currency: str) -> APIException:
    message = [f"The catalogue does not sell this in {currency}."]
    places = _places(body)
    if None in places.values():
        return ValidationError(at(None, "sku", message))
    return ValidationError({"items": {str(places[sku]): {"sku": message} for sku in refusal.skus}})


def prices_differ(refusal: PricesDiffer, body: Mapping[str, Any], currency: str) -> APIException:
    places = _places(body)
    return PriceChanged(
        [
            {
                "detail": f"It costs {to_decimal_string(difference.actual_minor, currency)} {currency},"
                f" not {to_decimal_string(difference.expected_minor, currency)}.",
                "pointer": "#/unit_price" if places[sku] is None else f"#/items/{places[sku]}/unit_price",
            }
            for sku, difference in refusal.differences.items()
        ]
    )


def _places(body: Mapping[str, Any]) -> dict[str, int | None]:
    """Where each product stands in the body: its index in `items`, or None for the one-item form."""
    if "items" not in body:
        return {body["sku"]: None}
    return {item["sku"]: index for index, item in enumerate(body["items"])}
