"""`GET /idempotency-keys/{key}`: "what became of my key?" A caller sees only their own uses; others' are a 404."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import selectors
from .decorators import caller_of
from .serializers import IdempotencyKeySerializer


class IdempotencyKeyView(APIView):
    @extend_schema(
        operation_id="idempotency_key",
        summary="What became of my key?",
        responses={200: IdempotencyKeySerializer},
    )
    def get(self, request: Request, key: str) -> Response:
        # A path cannot carry NUL into the database, and no key holds one.
        uses = list(selectors.uses_of(caller=caller_of(request), key=key)) if key.isprintable() else []
        if not uses:
            raise NotFound("You have not used this key, or its answer has been removed.")
        return Response(IdempotencyKeySerializer({"key": key, "uses": uses}).data)
