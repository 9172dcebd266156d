"""`POST /webhooks/payments`: the provider says that something happened; we note the hint, and ask.

Guarantees: only what the provider signed, recently, is looked at; one event has one effect, however often it comes; the
payload is never believed, only used to find which payment to ask about, later and outside this request.
Does not guarantee order or completeness: a webhook may come before the reply, five times or never. All is well without.
"""

import hashlib
import hmac
import json
import time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from outbox import inbox
from outbox.publisher import publish
from payments import selectors
from payments.events import PaymentWebhookReceived

CONSUMER = "payments.webhooks"
SIGNATURE_HEADER = "Webhook-Signature"
BODY_MAX_BYTES = 65_536
# One `t`, and a `v1` for each secret while the provider changes it.
SIGNATURE_PARTS_MAX = 8


class SignatureInvalid(APIException):
    status_code = 400
    default_code = "webhook-signature-invalid"
    default_detail = "The signature or its timestamp does not hold."


class BodyInvalid(APIException):
    status_code = 400
    default_code = "malformed-body"
    default_detail = "The body is not a webhook event."


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body-too-large"
    default_detail = f"A webhook event has at most {BODY_MAX_BYTES} bytes."


class PaymentWebhookView(APIView):
    """The signature is the authentication."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        raw = request.body
        if len(raw) > BODY_MAX_BYTES:
            raise BodyTooLarge
        verify(raw, header=request.headers.get(SIGNATURE_HEADER, ""))
        event_id, provider_key = parse(raw)
        return Response({"received": note(event_id=event_id, provider_key=provider_key)})


def verify(raw: bytes, *, header: str) -> None:
    """Raises SignatureInvalid unless the header, `t=<unix seconds>,v1=<hex>`, signs these bytes and is recent.

    The signature is HMAC-SHA256 of `<t>.<raw body>` with the shared secret, as Stripe does it.
    """
    parts = [part.strip().partition("=")[::2] for part in header.split(",", SIGNATURE_PARTS_MAX)]
    stamps = [value for name, value in parts if name == "t"]
    if len(stamps) != 1 or not stamps[0].isascii() or not stamps[0].isdecimal() or len(stamps[0]) > 12:
        raise SignatureInvalid
    expected = sign(raw, timestamp=stamps[0])
    # Every candidate is compared, each in constant time; bytes, since a header may hold anything.
    matches = [hmac.compare_digest(value.encode(), expected.encode()) for name, value in parts if name == "v1"]
    is_recent = abs(time.time() - int(stamps[0])) <= settings.PAYMENT_WEBHOOK_TOLERANCE_SECONDS
    if not any(matches) or not is_recent:
        raise SignatureInvalid


def sign(raw: bytes, *, timestamp: str) -> str:
    secret = settings.PAYMENT_WEBHOOK_SECRET.encode()
    return hmac.new(secret, timestamp.encode() + b"." + raw, hashlib.sha256).hexdigest()


def parse(raw: bytes) -> tuple[str, str]:
    """Event id and the key it is about, "" for an event about something else. Raises BodyInvalid."""
    try:
        event = json.loads(raw)
        event_id, data = event["id"], event.get("data")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BodyInvalid from None
    if not isinstance(event_id, str) or not 1 <= len(event_id) <= 255:
        raise BodyInvalid
    return event_id, _key_in(data)


@transaction.atomic
def note(*, event_id: str, provider_key: str) -> bool:
    """Publishes the hint, once per event id (I5); False for a replayed event, or one that is not about our payments."""
    found = selectors.id_of_key(provider_key) if provider_key else None
    if found is None:
        return False
    payment_id, order_id = found
    hint_id = uuid5(NAMESPACE_URL, f"payments.webhooks:{event_id}")
    if not inbox.record(CONSUMER, [hint_id]):
        return False
    # An aggregate of its own: hints have no order among them, and one that ended dead must not park the next.
    publish(PaymentWebhookReceived(payment_id=payment_id), aggregate_id=hint_id, sequence=None, correlation_id=order_id)
    return True


def _key_in(data: Any) -> str:
    key = data.get("idempotency_key") if isinstance(data, dict) else None
    return key if isinstance(key, str) and len(key) <= 255 and "\0" not in key else ""
