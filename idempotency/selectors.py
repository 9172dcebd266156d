"""Reads of idempotency keys: always within one caller's scope."""

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from .models import IdempotencyKey


def uses_of(*, caller: str, key: str) -> QuerySet[IdempotencyKey]:
    """This caller's uses of a key, oldest first, each with `has_expired`; index one_use_per_caller_key_and_route."""
    return (
        IdempotencyKey.objects.filter(caller=caller, key=key)
        .defer("body", "fingerprint", "headers")
        .annotate(has_expired=ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField()))
        .order_by("created_at", "id")
    )
