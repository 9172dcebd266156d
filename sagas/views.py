"""The staff's read API of sagas: newest first, 50 a page. Nothing here changes anything.

Guarantee: only staff get in (401, 403); an unknown filter or value is a 400.
"""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import IsAdminUser

from outbox.pagination import NewestFirst

from .filters import SagaFilters
from .models import Saga
from .serializers import SagaDetailSerializer, SagaSerializer


@extend_schema_view(get=extend_schema(operation_id="sagas", summary="Sagas, newest first (staff)"))
class SagaList(ListAPIView):
    """Processes and where they stand."""

    permission_classes = (IsAdminUser,)
    serializer_class = SagaSerializer
    pagination_class = NewestFirst
    filterset_class = SagaFilters
    queryset = Saga.objects.none()  # names the model for the schema

    def get_queryset(self) -> QuerySet[Saga]:
        return Saga.objects.defer("data")


@extend_schema_view(get=extend_schema(operation_id="saga", summary="One saga with its steps (staff)"))
class SagaDetail(RetrieveAPIView):
    """One process: its steps, its clock, its data."""

    permission_classes = (IsAdminUser,)
    serializer_class = SagaDetailSerializer
    filter_backends = ()
    queryset = Saga.objects.prefetch_related("steps")
