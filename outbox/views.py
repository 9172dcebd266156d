"""The staff's read API of outbox and inbox: newest first, 50 a page. Nothing here changes anything.

Guarantee: only staff get in (401, 403); an unknown filter or value is a 400. Not guaranteed: one moment for all rows;
a message may move on between two pages.
"""

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import selectors
from .filters import InboxMessageFilters, OutboxMessageFilters
from .models import InboxMessage, OutboxMessage
from .pagination import PAGE_SIZE, InboxPages, NewestFirst
from .serializers import (
    InboxMessageSerializer,
    InboxPageSerializer,
    OutboxMessageDetailSerializer,
    OutboxMessageSerializer,
)


@extend_schema_view(get=extend_schema(operation_id="outbox_messages", summary="Outbox messages, newest first (staff)"))
class OutboxMessageList(ListAPIView):
    """What was published, where it goes and what became of it."""

    permission_classes = (IsAdminUser,)
    serializer_class = OutboxMessageSerializer
    pagination_class = NewestFirst
    filterset_class = OutboxMessageFilters
    queryset = OutboxMessage.objects.none()  # names the model for the schema

    def get_queryset(self) -> QuerySet[OutboxMessage]:
        # What a list does not show is not read: payloads are most of a row.
        return selectors.with_readings(OutboxMessage.objects.defer("payload", "headers"))


@extend_schema_view(get=extend_schema(operation_id="outbox_message", summary="One outbox message (staff)"))
class OutboxMessageDetail(RetrieveAPIView):
    """One message for one destination, with what it carries."""

    permission_classes = (IsAdminUser,)
    serializer_class = OutboxMessageDetailSerializer
    lookup_field = "key"
    filter_backends = ()
    queryset = OutboxMessage.objects.none()

    def get_queryset(self) -> QuerySet[OutboxMessage]:
        return selectors.with_readings(OutboxMessage.objects.all())


class InboxMessageList(APIView):
    """What consumers have handled."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="inbox_messages",
        summary="Inbox messages, newest first (staff)",
        parameters=[
            OpenApiParameter("consumer", OpenApiTypes.STR),
            OpenApiParameter("message_id", OpenApiTypes.UUID),
            OpenApiParameter("cursor", OpenApiTypes.STR),
        ],
        responses=InboxPageSerializer,
    )
    def get(self, request: Request) -> Response:
        wanted = InboxMessageFilters(request.query_params, queryset=InboxMessage.objects.none())
        if not wanted.is_valid():
            raise ValidationError(wanted.errors)
        chosen = wanted.form.cleaned_data
        pages = InboxPages(request)
        rows = pages.read(consumer=chosen["consumer"] or None, message_id=chosen["message_id"])
        return pages.answer(rows, InboxMessageSerializer(rows[:PAGE_SIZE], many=True).data)
