"""Reads of idempotency keys: within one caller's scope, or about one thing that an answer named."""

from typing import Final
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from .models import IdempotencyKey

# One request names what it makes and its use of the key, both before BEGIN: UUIDv7s of nearly one moment.
NAMED_WITHIN_MILLISECONDS: Final = 5_000
# RFC 9562: 48 bits of milliseconds lead a UUIDv7.
MILLISECONDS_SHIFT: Final = 80
SHOWN_CHARACTERS: Final = 8


def uses_of(*, caller: str, key: str) -> QuerySet[IdempotencyKey]:
    """This caller's uses of a key, oldest first, each with `has_expired`; index one_use_per_caller_key_and_route."""
    return _shown(IdempotencyKey.objects.filter(caller=caller, key=key)).order_by("created_at", "id")


def use_that_made(resource_id: UUID) -> IdempotencyKey | None:
    """The use whose answer is about what was made under this id, a UUIDv7 that its request chose; with `has_expired`.

    The primary key, over the moment in which that request began: no index on the resource is worth its cost at intake.
    """
    began = resource_id.int >> MILLISECONDS_SHIFT << MILLISECONDS_SHIFT
    moment = (UUID(int=began), UUID(int=began + (NAMED_WITHIN_MILLISECONDS << MILLISECONDS_SHIFT)))
    return _shown(IdempotencyKey.objects.filter(pk__range=moment, resource_id=str(resource_id))).order_by("pk").first()


def masked_key(key: str) -> str:
    """Enough to recognise a key that somebody quotes, not enough to use it."""
    return key if len(key) <= SHOWN_CHARACTERS else f"{key[:SHOWN_CHARACTERS]}…"


def _shown(uses: QuerySet[IdempotencyKey]) -> QuerySet[IdempotencyKey]:
    """What may be shown of them, each with `has_expired`."""
    has_expired = ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField())
    return uses.defer("body", "fingerprint", "headers").annotate(has_expired=has_expired)
